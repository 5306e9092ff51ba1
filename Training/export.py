"""Turn a checkpoint into a model file with its card: ``python -m Training.export``.

To bundle it with the extension, give ``--output LiverSeg/Resources/Models/liver_unet.pt``.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
from pathlib import Path
from typing import Any

import torch

from LiverSegLib import __version__

from .spec import CLASSES, OFFSETS_MM, SPACING_MM, VALIDATION, WIDTHS, WINDOW_HU

TRAINING_DATA = [
    {
        "name": "3D-IRCADb-01",
        "citation": "L. Soler et al., 3D image reconstruction for comparison of algorithm database, IRCAD 2010",
        "licence": "CC BY-NC-ND 4.0",
        "patients": "1-18; 10 and 16 for validation; 19 and 20 are the test set and were never used",
    },
    {
        "name": "LiTS 2017 training set",
        "citation": "P. Bilic et al., The Liver Tumor Segmentation Benchmark, Medical Image Analysis 84, 2023",
        "licence": "CC BY-NC-ND 4.0",
        "patients": "000, 001, 003, 004, 006-012, 014, 015, 018, 050; 023 for validation",
    },
    {
        "name": "phantoms of random anatomy (LiverSegLib/phantom.py)",
        "citation": "this repository",
        "licence": "Apache-2.0",
        "patients": "seeds 1000-1029",
    },
]
LIMITS = [
    "For research use; not a certified medical device.",
    "Adult abdominal CT. Not tested on children, after liver resection or transplantation, or on MR.",
    "The tumour class is experimental.",
    "Vessels at the hilum are outside the liver, as in the training data.",
]


def export(checkpoint: Path, output: Path, name: str, evaluation: Path | None) -> None:
    """Write ``output`` (averaged weights, float32) and the card beside it, with the digest of the bytes written."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    prefix = "module."
    weights = {key.removeprefix(prefix): value for key, value in state["average"].items() if key.startswith(prefix)}
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    content = buffer.getvalue()
    card = {
        "name": name,
        "version": __version__,
        "sha256": hashlib.sha256(content).hexdigest(),
        "spacing_mm": SPACING_MM,
        "offsets_mm": OFFSETS_MM,
        "window_hu": WINDOW_HU,
        "classes": CLASSES,
        "widths": WIDTHS,
        "intended_use": "Liver segmentation in adult abdominal CT, plain or contrast-enhanced, for research.",
        "training_data": TRAINING_DATA,
        "licence": (
            "Weights: research and non-commercial use only, as the CC BY-NC-ND 4.0 licences of their training data say."
        ),
        "training": {
            "command": "make train",
            "record": "Training/README.md and Training/record",
            "settings": state["settings"],
            "steps_done": state["step"],
            "code_commit": state["commit"],
            "validation_scans": VALIDATION,
            "log": _last_row(checkpoint.with_name("log.csv")),
        },
        "accuracy": json.loads(evaluation.read_text()) if evaluation else {},
        "limits": LIMITS,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_bytes(content)
    output.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _last_row(log: Path) -> dict[str, Any]:
    with log.open(newline="") as file:
        return list(csv.DictReader(file))[-1]


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/bundled/last.ckpt"))
    parser.add_argument("--output", type=Path, default=Path("runs/bundled/liver_unet.pt"))
    parser.add_argument("--name", default="liver_unet")
    parser.add_argument("--evaluation", type=Path, help="summary.json of Training.evaluate, copied into the card")
    options = parser.parse_args(argv)
    export(options.checkpoint, options.output, options.name, options.evaluation)


if __name__ == "__main__":
    main()
