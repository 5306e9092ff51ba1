"""Turn a checkpoint into the model file of the network that corrects: ``python -m Training.refine.export``.

How the run was made goes into ``FILE.training.json``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from LiverSegLib import __version__
from LiverSegLib.model.refine_model import STROKE_CHANNELS, RefineCard, RefineModel
from LiverSegLib.model.unet import UNet

from ..checkpoint import averaged_weights, read_checkpoint
from ..export import bytes_of, training_data, write_together
from .settings import OFFSETS_MM, SLICE_MM, SPACING_MM, WINDOW_HU, Settings

LIMITS = Path(__file__).with_name("limits.txt")
NAME = "refine_unet"


def export(checkpoint: Path, output: Path, evaluation: Path | None = None) -> None:
    """Write ``output``, the averaged weights with kernels in float16, the card beside it and the record of the run.

    The card has the summary of what ``Training.refine.evaluate`` wrote, if there is any.
    """
    state = read_checkpoint(checkpoint)
    content = bytes_of(averaged_weights(state))
    card = card_of(state) | {"sha256": hashlib.sha256(content).hexdigest()}
    if evaluation:
        card["accuracy"] = json.loads(evaluation.read_text(encoding="utf-8"))["summary"]
    write_together(output, content, card, {name: state[name] for name in ("settings", "code", "trained_on")})


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
        "licence": "Weights: research and non-commercial use only, as the licences of their training data say.",
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
    parser = argparse.ArgumentParser(prog="python -m Training.refine.export", description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--evaluation", type=Path, help="JSON file of Training.refine.evaluate")
    export(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
