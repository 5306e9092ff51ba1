"""Measure the bundled model, or another, on labelled scans: ``python -m Training.evaluate``.

By default the scans that training never saw: the two test patients, at both resolutions, the validation scans, and
phantoms.
``--folder`` takes any folder of ``<name>_ct.nii.gz`` and ``<name>_liver.nii.gz`` instead.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm import tqdm

from LiverSegLib.files import read_ct, read_labels
from LiverSegLib.metrics import compare, dice
from LiverSegLib.model import LiverModel
from LiverSegLib.phantom import make_phantom
from LiverSegLib.segmenter import Segmenter
from LiverSegLib.volume import CTVolume

from .prepare import read_catalogue, shared_data
from .spec import VALIDATION

PHANTOM_SEEDS = range(4)


@dataclass(frozen=True)
class Case:
    """A CT with its reference labels (k, j, i), and the group it is averaged in."""

    group: str
    name: str
    ct: CTVolume
    reference: np.ndarray
    tumour_labelled: bool


def held_out_cases(data: Path) -> Iterator[Case]:
    """The test patients, the validation scans and the phantoms, read one at a time."""
    for entry in read_catalogue(data):
        group = "test" if entry["split"] == "test" else "validation" if entry["id"] in VALIDATION else None
        if group:
            yield _read_case(group, entry["id"], data / "train", bool(entry["tumour_labelled"]))
    yield _read_case("native", "ircad_e19", data / "native", True)
    for seed in PHANTOM_SEEDS:
        phantom = make_phantom(seed)
        yield Case("phantom", f"phantom_{seed}", phantom.ct, phantom.labels, True)


def folder_cases(folder: Path) -> Iterator[Case]:
    """Every ``<name>_ct.nii.gz`` in the folder that has its ``<name>_liver.nii.gz``."""
    for path in sorted(folder.glob("*_ct.nii.gz")):
        name = path.name.removesuffix("_ct.nii.gz")
        if (folder / f"{name}_liver.nii.gz").exists():
            yield _read_case(folder.name, name, folder, True)


def evaluate_case(case: Case, segmenter: Segmenter) -> dict[str, str | float | None]:
    """One row of results: metrics of the liver by volume, Dice averaged over slices, tumour Dice, seconds."""
    started = perf_counter()
    found = segmenter.segment(case.ct, tumour=True).labels
    seconds = perf_counter() - started
    truth = case.reference
    has_tumour = case.tumour_labelled and bool((truth == 2).any())
    return {
        "group": case.group,
        "name": case.name,
        **compare(found > 0, truth > 0, case.ct.spacing),
        "slice_dice": slice_dice(found > 0, truth > 0),
        "tumour_dice": dice(found == 2, truth == 2) if has_tumour else None,
        "slices": len(truth),
        "seconds": seconds,
    }


def slice_dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice over the slices (masks are (k, j, i)) where either mask has a voxel, as earlier projects averaged."""
    scores = [dice(f, t) for f, t in zip(found, truth, strict=True) if f.any() or t.any()]
    return float(np.mean(scores)) if scores else 1.0


def summarise(rows: list[dict]) -> dict:
    """Mean, median and worst volume Dice of each group, with the per-case rows."""
    groups = sorted({row["group"] for row in rows})
    summary: dict = {}
    for group in groups:
        members = [row for row in rows if row["group"] == group]
        scores = [row["dice"] for row in members]
        summary[group] = {
            "cases": len(members),
            "dice_mean": round(statistics.mean(scores), 4),
            "dice_median": round(statistics.median(scores), 4),
            "dice_worst": round(min(scores), 4),
            "per_case": {
                row["name"]: {
                    key: round(row[key], 4)
                    for key in (
                        "dice",
                        "slice_dice",
                        "iou",
                        "hd95_mm",
                        "assd_mm",
                        "volume_difference_percent",
                        "tumour_dice",
                    )
                    if row[key] is not None and np.isfinite(row[key])
                }
                for row in members
            },
        }
    return summary


def evaluate(cases: Iterator[Case], segmenter: Segmenter, output: Path) -> dict:
    """Write ``results.csv`` (a row a case) and ``summary.json`` into the folder; returns the summary."""
    rows = [evaluate_case(case, segmenter) for case in tqdm(cases, desc="cases", unit="case")]
    output.mkdir(parents=True, exist_ok=True)
    with (output / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    summary = {"model_sha256": segmenter.model.card.sha256, "device": str(segmenter.device), **summarise(rows)}
    (output / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return summary


def _read_case(group: str, name: str, folder: Path, tumour_labelled: bool) -> Case:
    ct = read_ct(folder / f"{name}_ct.nii.gz")
    reference, _ = read_labels(folder / f"{name}_liver.nii.gz")
    return Case(group, name, ct, reference, tumour_labelled)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder that holds train/ and native/")
    parser.add_argument("--folder", type=Path, help="measure on this folder of CT and masks instead")
    parser.add_argument("--model", type=Path, help="weights file with its card beside it (default: the bundled one)")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--output", type=Path, default=Path("out/evaluation"))
    options = parser.parse_args(argv)
    cases = folder_cases(options.folder) if options.folder else held_out_cases(options.data)
    summary = evaluate(cases, Segmenter(LiverModel.load(options.model), options.device), options.output)
    print(json.dumps(summary, indent=2))


if __name__ == "__main__":
    main()
