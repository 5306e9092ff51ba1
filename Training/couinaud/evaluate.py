"""Measure networks of the Couinaud segments on scans that they never saw: ``python -m Training.couinaud.evaluate``.

Within the liver of the reference, on each scan's own grid, by the code that users run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverSegLib.data.metrics import dice
from LiverSegLib.inference.couinaud import find_segments
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.couinaud_model import SEGMENTS, CouinaudModel

from ..data.catalogue import person_of, read_values
from ..evaluation.unseen import evaluate_from, measure_unseen
from .export import model_of
from .prepare import SegmentedScan, segmented_scans

# Cantlie's line parts 5 to 8 from the rest; the caudate lobe is drained by itself and belongs to neither.
RIGHT, LEFT = (5, 6, 7, 8), (2, 3, 4)


def evaluate(checkpoints: Sequence[Path], data: Path, scans: Sequence[str] = ()) -> dict[str, Any]:
    """Results of each scan that a network holds back, or of those named, and their summary.

    Raises
    ------
    ValueError
        If a network has trained on the person of a scan.
    """
    all_scans = {scan.name: scan for scan in segmented_scans(data)}
    rows = measure_unseen(checkpoints, all_scans, scans, model_of, measure)
    return {"summary": summary(rows), "scans": rows}


def measure(model: CouinaudModel, scan: SegmentedScan) -> dict[str, Any]:
    """Dice of each segment of a scan, and the volumes of the right and left liver in percent of the liver."""
    ct, reference = read_ct(scan.ct_file).canonical(), read_values(scan.segments_file)
    box, found = find_segments(model, ct, reference, ProgressReporter())
    reference = reference[box]
    result: dict[str, Any] = {"scan": scan.name}
    for segment in range(1, SEGMENTS + 1):
        if (reference == segment).any():
            result[f"dice_{segment}"] = round(dice(found == segment, reference == segment), 4)
    result["dice"] = round(float(np.mean([value for name, value in result.items() if name.startswith("dice_")])), 4)
    result["right_error_percent"] = round(share(found, RIGHT) - share(reference, RIGHT), 2)
    result["left_error_percent"] = round(share(found, LEFT) - share(reference, LEFT), 2)
    return result


def share(segments: np.ndarray, some: Sequence[int]) -> float:
    """Volume of some segments in percent of the liver."""
    return 100 * np.count_nonzero(np.isin(segments, some)) / np.count_nonzero(segments)


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the scans, and over the persons, each of whom counts once."""
    means: dict[str, Any] = {"scans": len(rows), "persons": len({person_of(row["scan"]) for row in rows})}
    for name in ("dice", *(f"dice_{segment}" for segment in range(1, SEGMENTS + 1))):
        means[name] = round(float(np.mean([row[name] for row in rows if name in row])), 4)
    persons: dict[str, list[float]] = {}
    for row in rows:
        persons.setdefault(person_of(row["scan"]), []).append(row["dice"])
    means["dice_of_persons"] = round(float(np.mean([np.mean(values) for values in persons.values()])), 4)
    means["worst_dice"] = min(row["dice"] for row in rows)
    within = [max(abs(row["right_error_percent"]), abs(row["left_error_percent"])) <= 5 for row in rows]
    means["within_5_percent"] = round(float(np.mean(within)), 3)
    return means


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    evaluate_from(argv, "Training.couinaud", __doc__, evaluate)


if __name__ == "__main__":
    main()
