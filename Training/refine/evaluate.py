"""What clicks are worth on scans that no network has seen: ``python -m Training.refine.evaluate``.

A simulated reader clicks into the middle of the largest mistake, ten times, beginning with the liver network's result:
Dice after each click, beside growth over the CT from the same kind of clicks and painting the clicked slices.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage
from tqdm import tqdm

from LiverSegLib.data.metrics import dice
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.refine import Refiner
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.atomic import replacing
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.refine_model import RefineModel

from ..checkpoint import read_checkpoint
from ..data.catalogue import DATA_SETS, NEVER_TRAINED_ON, Entry, data_set_of, read_catalogue, shared_data
from ..data.splits import check_unseen
from ..export import export
from .baselines import Growth, Painting
from .clicks import next_click
from .export import model_of
from .settings import UNSEEN

CLICKS = 10
SHOWN = (0, 1, 2, 3, 5, 10)
WANTED = (0.95, 0.97)
METHODS = ("network", "growth", "painting")
# Clicks on what is right already, so far from the outline of result and reference that nobody means a mistake by them.
STRAY_CLICKS, STRAY_MM = 3, 8.0

Refine = Callable[[np.ndarray, Sequence[Stroke], np.ndarray], np.ndarray]


def evaluate(
    model: RefineModel,
    segmenter: Segmenter,
    data: Path,
    output: Path,
    scans: Sequence[str],
    methods: Sequence[str],
    sloppy: int | None,
) -> list[dict[str, Any]]:
    """A row for each scan and method; the liver network's results are kept in ``output`` for the next time."""
    output.mkdir(parents=True, exist_ok=True)
    rows = []
    for entry in tqdm(_entries(data, scans), desc="scans"):
        scan = entry.read()
        ct, reference = scan.ct, scan.liver
        automatic = _automatic(segmenter, ct, output / f"{entry.name}.npz")
        for method in methods:
            refine = _method(method, model, ct, automatic)
            rng = None if sloppy is None else np.random.default_rng(sloppy)
            curve = clicked(refine, ct, automatic, reference, rng)
            rows.append({"scan": entry.name, "method": method, "dice": [round(value, 5) for value in curve]})
            if method == "network":
                rows[-1]["stray"] = stray_changes(refine, ct, automatic, reference)
    return rows


def _entries(data: Path, scans: Sequence[str]) -> list[Entry]:
    folders = [name for name, about in DATA_SETS["folders"].items() if not about.get("single_slices")]
    return [entry for entry in read_catalogue(data, folders) if entry.name in scans]


def _automatic(segmenter: Segmenter, ct: CTVolume, path: Path) -> np.ndarray:
    """The liver network's result, bool (k, j, i)."""
    if not path.exists():
        with replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, liver=segmenter.segment(ct).labels > 0)
    with np.load(path) as stored:
        found: np.ndarray = stored["liver"]
    return found


def _method(name: str, model: RefineModel, ct: CTVolume, automatic: np.ndarray) -> Refine:
    if name == "network":
        refiner = Refiner(model, ct, automatic.astype(np.uint8))
        return lambda labels, strokes, _: refiner.refine(labels, strokes)
    return {"growth": Growth, "painting": Painting}[name](ct).refine


def clicked(
    refine: Refine, ct: CTVolume, automatic: np.ndarray, reference: np.ndarray, rng: np.random.Generator | None
) -> list[float]:
    """Dice without a click, and after each of ten."""
    labels, strokes = automatic.astype(np.uint8), []
    curve = [dice(labels > 0, reference)]
    for _ in range(CLICKS):
        place = next_click((labels > 0) != reference, ct.spacing, rng)
        if place is not None:
            strokes.append(stroke_at(place, bool(reference[place]), ct))
            labels = refine(labels, strokes, reference)
        curve.append(dice(labels > 0, reference))
    return curve


def stroke_at(place: tuple[int, int, int], is_liver: bool, ct: CTVolume) -> Stroke:
    """A click on a voxel."""
    return Stroke((ct.affine @ (*place[::-1], 1.0))[None, :3], is_liver)


def stray_changes(refine: Refine, ct: CTVolume, automatic: np.ndarray, reference: np.ndarray) -> list[float]:
    """What clicks on what is right already change, each alone, in Dice."""
    rng = np.random.default_rng(0)
    found = automatic > 0
    doubtful = ndimage.distance_transform_edt(~((found != reference) | _outline(reference)), ct.spacing) < STRAY_MM
    near = ndimage.distance_transform_edt(~reference, ct.spacing) < 40
    places = np.argwhere(~doubtful & near)
    before = dice(found, reference)
    changes = []
    for place in places[rng.integers(len(places), size=STRAY_CLICKS)]:
        at = (int(place[0]), int(place[1]), int(place[2]))
        after = refine(automatic.astype(np.uint8), [stroke_at(at, bool(reference[at]), ct)], reference)
        changes.append(round(dice(after > 0, reference) - before, 5))
    return changes


def _outline(mask: np.ndarray) -> np.ndarray:
    edge: np.ndarray = mask & ~ndimage.binary_erosion(mask)
    return edge


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Of each method: mean and worst Dice after some clicks, in all and by data set, and the clicks needed."""
    result: dict[str, Any] = {}
    for method in dict.fromkeys(row["method"] for row in rows):
        own = [row for row in rows if row["method"] == method]
        groups = {"all": own}
        for row in own:
            groups.setdefault(data_set_of(row["scan"])["name"], []).append(row)
        result[method] = {name: _of_group(group) for name, group in groups.items()}
        stray = [change for row in own for change in row.get("stray", ())]
        if stray:
            result[method]["stray"] = {"mean": round(float(np.mean(stray)), 5), "worst": min(stray)}
    return result


def _of_group(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    curves = np.array([row["dice"] for row in rows])
    steps = np.diff(curves, axis=1).mean(axis=0)
    about: dict[str, Any] = {
        "scans": len(rows),
        "mean": {str(n): round(float(curves[:, n].mean()), 4) for n in SHOWN},
        "worst": {str(n): round(float(curves[:, n].min()), 4) for n in SHOWN},
        "worst_mean_change_of_a_click": round(float(steps.min()), 5),
    }
    for wanted in WANTED:
        reached = curves >= wanted
        needed = [int(row.argmax()) for row in reached if row.any()]
        about[f"clicks_for_{wanted}"] = {
            "reached": f"{len(needed)} of {len(rows)}",
            "mean_of_those": round(float(np.mean(needed)), 2) if needed else None,
        }
    return about


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.refine.evaluate", description=__doc__)
    parser.add_argument("checkpoint", type=Path, help="of Training.refine.fit")
    parser.add_argument("liver", type=Path, help="checkpoint of the liver network whose results are to be corrected")
    parser.add_argument("--data", type=Path, default=shared_data(), help="holds the folders (default: LIVERSEG_DATA)")
    parser.add_argument("--output", type=Path, default=Path("out/refine"), help="folder for results.json")
    parser.add_argument("--scans", nargs="*", default=[*UNSEEN.split(","), *NEVER_TRAINED_ON])
    parser.add_argument("--methods", nargs="*", default=METHODS, choices=METHODS)
    parser.add_argument("--sloppy", type=int, help="seed of a reader who does not hit the middle")
    chosen = parser.parse_args(argv)
    state = read_checkpoint(chosen.checkpoint)
    for trained_on in (state["trained_on"], read_checkpoint(chosen.liver)["trained_on"]):
        check_unseen(trained_on, chosen.scans)
    liver = chosen.output / "liver_unet.pt"
    export(chosen.liver, liver)
    segmenter = Segmenter(LiverModel.load(liver))
    rows = evaluate(model_of(state), segmenter, chosen.data, chosen.output, chosen.scans, chosen.methods, chosen.sloppy)
    results = {"summary": summary(rows), "scans": rows}
    (chosen.output / "results.json").write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(results["summary"], indent=2))


if __name__ == "__main__":
    main()
