"""How long a reader waits after a click: ``make bench-clicks``; fifty clicks on 512 × 512 × 300 voxels.

The scan is the native test patient, or a phantom, interpolated to thin slices. Clicks follow each other at random
places beside the outline of the liver, on one result after the other, as in use.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from Testing.benchmark import inputs

CLICKS, SLICES = 50, 300
# Of a click from the outline.
AWAY_MM = 8.0


def measure(folder: str, clicks: int, model: str | None) -> dict[str, Any]:
    """Median and worst seconds of a click, and those of getting ready for the first."""
    from scipy import ndimage

    from LiverSegLib.inference.refine import Refiner
    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.io.files import read_ct
    from LiverSegLib.model.refine_model import RefineModel

    ct = inputs.stretched(read_ct(inputs.make(inputs.NATIVE, folder)["path"]).canonical(), SLICES)
    labels = Segmenter().segment(ct).labels
    began = perf_counter()
    refiner = Refiner(RefineModel.load(model), ct, labels)
    ready = perf_counter() - began
    liver = labels > 0
    places = np.argwhere(liver & ~ndimage.binary_erosion(liver))
    rng = np.random.default_rng(0)
    strokes, seconds = [], []
    for place in places[rng.integers(len(places), size=clicks)]:
        strokes.append(_click(place, rng, ct.affine))
        began = perf_counter()
        labels = refiner.refine(labels, strokes)
        seconds.append(perf_counter() - began)
    return {
        "shape": ct.hu.shape,
        "clicks": clicks,
        "ready": round(ready, 2),
        "first": round(seconds[0], 2),
        "median": round(float(np.median(seconds)), 2),
        "worst": round(max(seconds), 2),
    }


def _click(place: np.ndarray, rng: np.random.Generator, affine: np.ndarray) -> Any:
    from LiverSegLib.data.strokes import Stroke

    point = (affine @ (*place[::-1], 1.0))[:3] + rng.uniform(-AWAY_MM, AWAY_MM, 3)
    return Stroke(point[None], bool(rng.random() < 0.5))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m Testing.benchmark.corrections", description=__doc__)
    parser.add_argument("--clicks", type=int, default=CLICKS)
    parser.add_argument("--model", type=Path, help="weights other than the bundled ones")
    chosen = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measure(folder, chosen.clicks, chosen.model), indent=2))


if __name__ == "__main__":
    main()
