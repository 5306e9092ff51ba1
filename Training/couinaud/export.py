"""Turn joined networks into the model file of the Couinaud segments: ``python -m Training.couinaud.export``.

A card goes beside it. How the runs were made goes into ``FILE.training.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverSegLib import __version__
from LiverSegLib.model.couinaud_model import CouinaudCard, CouinaudModel, CouinaudNetwork

from ..checkpoint import averaged_weights, read_checkpoint
from ..export import LICENCE, export_from, summary_in, training_data, write_network
from .settings import FINEST_MM, SHAPE, WINDOW_HU, Settings, SliceSettings

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
    """Write ``output``, the weights of joined networks with kernels in float16, and its card and record beside it.

    The card has the summaries of what ``Training.couinaud.evaluate`` wrote, if there are any.
    """
    state, results = read_checkpoint(checkpoint), {"crossvalidation": crossvalidation, "test": test}
    accuracy = {name: summary_in(path) for name, path in results.items() if path}
    write_network(output, state, card_of(state) | {"accuracy": accuracy})


def card_of(state: dict[str, Any]) -> dict[str, Any]:
    """What the card of joined networks says, but for the digest of its file and its accuracy."""
    volume, slices = Settings(**state["settings"]["volume"]), SliceSettings(**state["settings"]["slices"])
    return {
        "name": NAME,
        "version": __version__,
        "sha256": "",
        "shape": SHAPE,
        "finest_mm": FINEST_MM,
        "window_hu": WINDOW_HU,
        "widths": volume.widths,
        "patch": volume.patch,
        "slice_widths": slices.widths,
        "slice_patch": slices.patch,
        "classes": [f"segment {segment}" for segment in range(1, 9)],
        "intended_use": "Couinaud segments within a liver that was found in adult abdominal CT, for research.",
        "training_data": [*training_data(state["trained_on"]), LABELS],
        "licence": LICENCE,
        "training": {"record": "Training/record/couinaud.json"},
        "accuracy": {},
        "limits": LIMITS.read_text(encoding="utf-8").splitlines(),
    }


def model_of(state: dict[str, Any]) -> CouinaudModel:
    """The model of joined networks, as the library uses it."""
    said = card_of(state)
    del said["classes"]
    card = CouinaudCard(**said)
    network = CouinaudNetwork(card)
    network.load_state_dict(averaged_weights(state))
    return CouinaudModel(network.eval(), card)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    export_from(argv, "Training.couinaud", __doc__, export, ("crossvalidation", "test"))


if __name__ == "__main__":
    main()
