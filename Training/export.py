"""Turn a checkpoint into a model file with its card: ``python -m Training.export``.

To bundle it with the extension, give ``--output LiverSeg/Resources/Models/liver_unet.pt``.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LiverSegLib import __version__
from LiverSegLib.atomic import replacing

from .checkpoint import averaged_weights, weights_for
from .data.splits import IRCAD, LITS, Split, get_split
from .settings import Settings
from .spec import CLASSES, TUMOUR_ABOVE, WINDOW_HU
from .table import read_rows

DATA_SETS = [
    {
        "name": "3D-IRCADb-01",
        "citation": "L. Soler et al., 3D image reconstruction for comparison of algorithm database, IRCAD 2010",
        "licence": "CC BY-NC-ND 4.0",
        "scans": IRCAD,
    },
    {
        "name": "LiTS 2017 training set",
        "citation": "P. Bilic et al., The Liver Tumor Segmentation Benchmark, Medical Image Analysis 84, 2023",
        "licence": "CC BY-NC-ND 4.0",
        "scans": LITS,
    },
]
PHANTOMS = {
    "name": "phantoms of random anatomy (LiverSegLib/phantom)",
    "citation": "this repository",
    "licence": "Apache-2.0",
    "patients": "seeds from 1000",
}
LIMITS = [
    "For research use; not a certified medical device.",
    "Adult abdominal CT. Not tested on true children, after true liver resection or transplantation, or on MR.",
    "The tumour class is experimental: in cross-validation 71 of 90 lesions above 10 mm were found, with 21 false ones "
    "in 31 scans; of the test patients 16 of 18, and none false.",
    "A large tumour of another organ beside the liver may be taken for it, and one of the liver that hangs far down "
    "from it may be missed: Dice 0.89 and 0.91, the two worst of cross-validation.",
    "Livers full of fat, below about 10 HU, may be found only in part: Dice 0.92 where patient 16's was darkened to "
    "-24 HU (by an earlier network, before its last stage).",
    "Ascites round a liver that is hardly brighter, and lung without air that is as bright as the liver, are taken for "
    "it in part: Dice 0.78 for ascites drawn round patient 16's fatty liver of 26 HU (before the last stage), 0.94 "
    "with a litre and a half of airless lung drawn beside patient 19's. In a noisy plain CT of another hospital a part "
    "of a large pleural effusion was taken for liver.",
    "Without contrast medium the edge to stomach and spleen can be invisible: of a lean person's plain CT of another "
    "hospital the tip of the left lobe was missed, Dice 0.93 with a segmentation by TotalSegmentator.",
    "Cysts, iodised oil after chemoembolisation and tumours brighter than the liver were drawn, not seen: with many "
    "cysts the 34 scans of cross-validation have 0.90, the worst 0.66, with oil 0.94 and 0.89; with a large cyst the "
    "three validation scans have 0.92, with bright tumours 0.94, the worst 0.82 and 0.93 (before the last stage). "
    "Sound liver beside them may be missed.",
    "Slices that show little of the liver, at the dome and at the lower tip, agree less with a reader than the whole.",
    "Vessels at the hilum are outside the liver, as in the training data.",
]


def export(
    checkpoint: Path,
    output: Path,
    name: str,
    evaluation: Path | None,
    calibration: Path | None = None,
    average_with: Sequence[Path] = (),
) -> None:
    """Write ``output``, the averaged weights, and the card beside it, with the digest of the bytes written.

    With the checkpoints of earlier runs in ``average_with`` the weights are the mean of all: runs that went on from
    each other lie close enough together, and their mean is steadier than each (Wortsman et al., ICML 2022).

    Kernels of convolutions are stored in float16, half the size: inference on most devices rounds them further. Biases
    and what batch normalisation holds stay float32.
    """
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    settings = Settings.from_checkpoint(state["settings"])
    split = get_split(settings.split)
    members = [averaged_weights(state), *(weights_for(settings, path) for path in average_with)]
    weights = {key: value.half() if value.ndim == 4 else value for key, value in mean_weights(members).items()}
    buffer = io.BytesIO()
    torch.save(weights, buffer)
    content = buffer.getvalue()
    card = {
        "name": name,
        "version": __version__,
        "sha256": hashlib.sha256(content).hexdigest(),
        "spacing_mm": settings.spacing_mm,
        "offsets_mm": settings.offsets_mm,
        "window_hu": WINDOW_HU,
        "classes": CLASSES,
        "widths": settings.widths,
        "block": settings.block,
        "patch": settings.patch,
        "tumour_above": TUMOUR_ABOVE,
        "intended_use": "Liver segmentation in adult abdominal CT, plain or contrast-enhanced, for research.",
        "training_data": training_data(split, settings.phantom_share > 0),
        "licence": (
            "Weights: research and non-commercial use only, as the CC BY-NC-ND 4.0 licences of their training data say."
        ),
        "training": {
            "command": "make train",
            "record": "Training/README.md and Training/record",
            **_run(checkpoint, state),
            "earlier_runs": _earlier_runs(settings),
            "mean_of_runs": [str(path.parent) for path in (*average_with, checkpoint)],
        },
        "accuracy": json.loads(evaluation.read_text()) if evaluation else {},
        "calibration": json.loads(calibration.read_text()) if calibration else None,
        "limits": LIMITS,
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    # Both are whole on the disk before either takes its place; weights beside the card of others are refused.
    with replacing(output) as new_weights, replacing(output.with_suffix(".json")) as new_card:
        new_weights.write_bytes(content)
        new_card.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def mean_weights(members: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each weight and each statistic; counts of batches as in the first."""
    first = members[0]
    return {
        name: torch.stack([member[name] for member in members]).mean(dim=0) if value.is_floating_point() else value
        for name, value in first.items()
    }


def training_data(split: Split, phantoms: bool) -> list[dict[str, str]]:
    """The card's entry for each data set that a split trains or validates on."""
    entries = []
    for data_set in DATA_SETS:
        parts = {
            "training": split.training,
            "validation": split.validation,
            "test, never trained on": split.test,
        }
        named = {part: [name for name in names if name in data_set["scans"]] for part, names in parts.items()}
        if named["training"] or named["validation"]:
            patients = "; ".join(f"{part}: {', '.join(names)}" for part, names in named.items() if names)
            described = {key: value for key, value in data_set.items() if key != "scans"}
            entries.append({**described, "patients": patients})
    return [*entries, PHANTOMS] if phantoms else entries


def _run(checkpoint: Path, state: dict[str, Any]) -> dict[str, Any]:
    """What the card tells of a run, from its checkpoint and the log beside it."""
    settings = Settings.from_checkpoint(state["settings"])
    return {
        "settings": asdict(settings),
        "steps_done": state["step"],
        "code_commit": state["commit"],
        "validation_scans": get_split(settings.split).validation,
        "log": read_rows(checkpoint.with_name("log.csv"))[-1],
    }


def _earlier_runs(settings: Settings) -> list[dict[str, Any]]:
    """The runs whose weights this one began with, the first first."""
    if not settings.start_from:
        return []
    checkpoint = Path(settings.start_from)
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return [*_earlier_runs(Settings.from_checkpoint(state["settings"])), _run(checkpoint, state)]


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, default=Path("runs/bundled/last.ckpt"))
    parser.add_argument("--output", type=Path, default=Path("runs/bundled/liver_unet.pt"))
    parser.add_argument("--name", default="liver_unet")
    parser.add_argument(
        "--evaluation", type=Path, help="summary.json of Training.evaluation.evaluate, copied into the card"
    )
    parser.add_argument(
        "--calibration", type=Path, help="calibration.json of Training.evaluation.calibrate, copied into the card"
    )
    parser.add_argument("--average-with", type=Path, nargs="+", default=[], help="checkpoints of runs before that one")
    export(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
