"""Turn a checkpoint into the model file of the vessels with its card: ``python -m Training.vessels.export``.

How the run was made goes into ``FILE.training.json``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverSegLib import __version__
from LiverSegLib.model.vessel_model import VesselCard, VesselModel

from ..checkpoint import averaged_weights, read_checkpoint
from ..export import LICENCE, export_from, summary_in, training_data, write_network
from .fit import build_network
from .settings import OFFSETS_MM, SPACING_MM, WINDOW_HU, Settings

LIMITS = Path(__file__).with_name("limits.txt")
NAME = "vessel_unet"
# In cross-validation as good as 0.5 by Dice, and better by clDice: it misses fewer thin branches.
VESSEL_ABOVE = 0.38
# Who drew the vessels.
LABELS = {
    "name": "Vessels within the liver, drawn on the two",
    "citation": "Zhang et al., Couinaud segmentation, MICCAI 2023",
    "licence": "CC BY-NC-ND 4.0, as the images",
    "patients": "the same",
}


def export(checkpoint: Path, output: Path, crossvalidation: Path | None = None, test: Path | None = None) -> None:
    """Write ``output``, the averaged weights with kernels in float16, the card beside it and the record of the run.

    The card has the summaries of what ``Training.vessels.evaluate`` wrote, if there are any.
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
        "spacing_mm": SPACING_MM,
        "offsets_mm": OFFSETS_MM,
        "window_hu": WINDOW_HU,
        "widths": settings.widths,
        "patch": settings.patch,
        "vessel_above": VESSEL_ABOVE,
        "classes": ["vessel"],
        "intended_use": "Portal and hepatic veins within a liver that was found in adult abdominal CT, for research.",
        "training_data": [*training_data(state["trained_on"]), LABELS],
        "licence": LICENCE,
        "training": {"record": "Training/record/vessels.json"},
        "accuracy": {},
        "limits": LIMITS.read_text(encoding="utf-8").splitlines(),
    }


def model_of(state: dict[str, Any]) -> VesselModel:
    """The model of a checkpoint, as the library uses it."""
    card = card_of(state)
    del card["classes"]
    network = build_network(Settings(**state["settings"]))
    network.load_state_dict(averaged_weights(state))
    return VesselModel(network.eval(), VesselCard(**card))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    export_from(argv, "Training.vessels", __doc__, export, ("crossvalidation", "test"))


if __name__ == "__main__":
    main()
