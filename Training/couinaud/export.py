"""Turn a checkpoint into the model file of the Couinaud segments with its card: ``python -m Training.couinaud.export``.

How the run was made goes into ``FILE.training.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverSegLib import __version__
from LiverSegLib.model.couinaud_model import CouinaudCard, CouinaudModel

from ..checkpoint import averaged_weights, read_checkpoint
from ..export import LICENCE, export_from, summary_in, training_data, write_network
from .fit import build_network
from .settings import FINEST_MM, SHAPE, WINDOW_HU, Settings

LIMITS = Path(__file__).with_name("limits.txt")
NAME = "couinaud_unet"
# Who drew the segments.
LABELS = {
    "name": "Couinaud segments drawn on the two",
    "citation": "Zhang et al., Couinaud segmentation, MICCAI 2023",
    "licence": "CC BY-NC-ND 4.0, as the images",
    "patients": "the same",
}


def export(checkpoint: Path, output: Path, crossvalidation: Path | None = None, test: Path | None = None) -> None:
    """Write ``output``, the averaged weights with kernels in float16, the card beside it and the record of the run.

    The card has the summaries of what ``Training.couinaud.evaluate`` wrote, if there are any.
    """
    state, results = read_checkpoint(checkpoint), {"crossvalidation": crossvalidation, "test": test}
    accuracy = {name: summary_in(path) for name, path in results.items() if path}
    write_network(output, state, card_of(state) | {"accuracy": accuracy})


def card_of(state: dict[str, Any]) -> dict[str, Any]:
    """What the card of a checkpoint's network says, but for the digest of its file and its accuracy."""
    settings = Settings(**state["settings"])
    return {
        "name": NAME,
        "version": __version__,
        "sha256": "",
        "shape": SHAPE,
        "finest_mm": FINEST_MM,
        "window_hu": WINDOW_HU,
        "widths": settings.widths,
        "patch": settings.patch,
        "classes": [f"segment {segment}" for segment in range(1, 9)],
        "intended_use": "Couinaud segments within a liver that was found in adult abdominal CT, for research.",
        "training_data": [*training_data(state["trained_on"]), LABELS],
        "licence": LICENCE,
        "training": {"record": "Training/record/couinaud.json"},
        "accuracy": {},
        "limits": LIMITS.read_text(encoding="utf-8").splitlines(),
    }


def model_of(state: dict[str, Any]) -> CouinaudModel:
    """The model of a checkpoint, as the library uses it."""
    card = card_of(state)
    del card["classes"]
    network = build_network(Settings(**state["settings"]))
    network.load_state_dict(averaged_weights(state))
    return CouinaudModel(network.eval(), CouinaudCard(**card))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    export_from(argv, "Training.couinaud", __doc__, export, ("crossvalidation", "test"))


if __name__ == "__main__":
    main()
