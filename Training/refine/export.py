"""Turn a checkpoint into the model file of the network that corrects: ``python -m Training.refine.export``.

How the run was made goes into ``FILE.training.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverSegLib import __version__
from LiverSegLib.model.refine_model import STROKE_CHANNELS, RefineCard, RefineModel
from LiverSegLib.model.unet import UNet

from ..checkpoint import averaged_weights, read_checkpoint
from ..export import LICENCE, export_from, summary_in, training_data, write_network
from .settings import OFFSETS_MM, SLICE_MM, SPACING_MM, WINDOW_HU, Settings

LIMITS = Path(__file__).with_name("limits.txt")
NAME = "refine_unet"


def export(checkpoint: Path, output: Path, evaluation: Path | None = None) -> None:
    """Write ``output``, the averaged weights with kernels in float16, the card beside it and the record of the run.

    The card has the summary of what ``Training.refine.evaluate`` wrote, if there is any.
    """
    state = read_checkpoint(checkpoint)
    write_network(output, state, card_of(state) | {"accuracy": summary_in(evaluation) if evaluation else {}})


def card_of(state: dict[str, Any]) -> dict[str, Any]:
    """What the card of a checkpoint's network says, but for the digest of its file and its accuracy."""
    settings = Settings(**state["settings"])
    return {
        "name": NAME,
        "version": __version__,
        "sha256": "",
        "spacing_mm": SPACING_MM,
        "slice_mm": SLICE_MM,
        "offsets_mm": OFFSETS_MM,
        "window_hu": WINDOW_HU,
        **state["built"],
        "intended_use": "Correcting the liver in abdominal CT where a reader marked what is liver, for research.",
        "training_data": training_data(state["trained_on"]),
        "licence": LICENCE,
        "training": {"record": "Training/record/refine.json", "held_out": settings.held_out.split(",")},
        "accuracy": {},
        "limits": LIMITS.read_text(encoding="utf-8").splitlines(),
    }


def model_of(state: dict[str, Any]) -> RefineModel:
    """The model of a checkpoint, as the library uses it."""
    card = RefineCard(**card_of(state))
    network = UNet(2 * len(OFFSETS_MM) + STROKE_CHANNELS, 1, card.widths, patch=card.patch)
    network.load_state_dict(averaged_weights(state))
    return RefineModel(network.eval(), card)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    export_from(argv, "Training.refine", __doc__, export, ("evaluation",))


if __name__ == "__main__":
    main()
