"""Measure networks of the vessels on scans that they never saw: ``python -m Training.vessels.evaluate``.

Within the liver of the reference, on each scan's own grid, by the code that users run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverSegLib.data.metrics import dice
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.vessels import find_vessels
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.vessel_model import VesselModel

from ..evaluation.unseen import evaluate_from, measure_unseen
from .export import model_of
from .prepare import VESSEL, VesselScan, vessel_scans
from .skeleton import skeleton


def evaluate(checkpoints: Sequence[Path], data: Path, scans: Sequence[str] = ()) -> dict[str, Any]:
    """Results of each scan that a network holds back, or of those named, and their summary.

    Raises
    ------
    ValueError
        If a network has trained on the person of a scan.
    """
    all_scans = {scan.name: scan for scan in vessel_scans(data)}
    rows = measure_unseen(checkpoints, all_scans, scans, model_of, measure)
    return {"summary": summary(rows), "scans": rows}


def measure(model: VesselModel, scan: VesselScan) -> dict[str, Any]:
    """Dice, clDice and volumes of the vessels of a scan."""
    ct, labels = read_ct(scan.ct_file).canonical(), scan.labels()
    box, found = find_vessels(model, ct, labels, ProgressReporter())
    reference = labels[box] == VESSEL
    volumes = (np.count_nonzero(mask) * ct.voxel_volume_ml for mask in (found, reference))
    return {
        "scan": scan.name,
        "dice": round(dice(found, reference), 4),
        **{name: round(value, 4) for name, value in centreline_measures(found, reference).items()},
        **{f"{name}_ml": round(volume, 1) for name, volume in zip(("found", "reference"), volumes, strict=True)},
    }


def centreline_measures(found: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """clDice (Shit et al., CVPR 2021), and the two shares that it is the harmonic mean of.

    Topology precision is how much of the skeleton of what was found lies in the reference, topology sensitivity how
    much of the reference's skeleton was found.
    """
    precision, sensitivity = _share_inside(found, reference), _share_inside(reference, found)
    both = precision + sensitivity
    cl_dice = 2 * precision * sensitivity / both if both else 0.0
    return {"cl_dice": cl_dice, "topology_precision": precision, "topology_sensitivity": sensitivity}


def _share_inside(mask: np.ndarray, other: np.ndarray) -> float:
    """How much of a mask's skeleton lies in the other mask; 0 of nothing."""
    line = skeleton(mask)
    return float(other[line].mean()) if line.any() else 0.0


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the scans, each of another person, and the worst Dice."""
    means: dict[str, Any] = {"scans": len(rows)}
    for name in ("dice", "cl_dice", "topology_precision", "topology_sensitivity"):
        means[name] = round(float(np.mean([row[name] for row in rows])), 4)
    means["worst_dice"] = min(row["dice"] for row in rows)
    return means


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    evaluate_from(argv, "Training.vessels", __doc__, evaluate)


if __name__ == "__main__":
    main()
