"""Our segmenter, with the time of its network alone; another engine can take the network's place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from statistics import median_low
from time import perf_counter

import numpy as np
from torch import Tensor

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.devices import fast_dtype
from Testing.benchmark.memory import whole_process_gb
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ, Measurement

NOTHING_FOUND = "No liver was found in this CT; name one with a liver: --ct scan.nii.gz"


class TimedSegmenter(Segmenter):
    """Keeps how long the network took, and the shapes of its batches."""

    def __init__(self) -> None:
        super().__init__(device="cpu")
        self._own_answer = self.predictor.logits
        self.predictor.logits = self._timed_answer  # type: ignore[method-assign]
        self.start_over()

    def start_over(self) -> None:
        """Forget what was kept."""
        self.network_seconds = 0.0
        self.batches: list[list[int]] = []
        self.last_images: Tensor | None = None

    def _timed_answer(self, images: Tensor) -> Tensor:
        started = perf_counter()
        answer = self.answer(images)
        self.network_seconds += perf_counter() - started
        self.batches.append(list(images.shape))
        self.last_images = images
        return answer

    def answer(self, images: Tensor) -> Tensor:
        """The network's logits of a batch."""
        return self._own_answer(images)

    @property
    def precision(self) -> str:
        """What the network computes in."""
        return str(fast_dtype(self.device)).removeprefix("torch.")


def measure(make: Callable[[], TimedSegmenter], ct_path: str, runs: int) -> Measurement:
    """Segment a CT several times with a segmenter that stays; the run whose time is the median counts.

    A first run does not count, as the first patch of the others does not; its seconds are among the details.
    """
    segmenter = make()
    first, *counted = [one_run(segmenter, ct_path) for _ in range(runs + 1)]
    middle = median_low(run.whole for run in counted)
    chosen = next(run for run in counted if run.whole == middle)
    details = {"runs": [run.whole for run in counted], "first run": first.whole, "precision": segmenter.precision}
    return replace(chosen, peak_gb=whole_process_gb(), details=chosen.details | details)


def one_run(segmenter: TimedSegmenter, ct_path: str) -> Measurement:
    """From the file to labels on its grid."""
    segmenter.start_over()
    started = perf_counter()
    ct = read_ct(ct_path)
    read = perf_counter() - started
    result = segmenter.segment(ct)
    seconds = {
        READ: read,
        PREPARE: result.seconds["preprocess"],
        NETWORK: segmenter.network_seconds,
        ASSEMBLE: result.seconds["network"] - segmenter.network_seconds,
        BACK: result.seconds["postprocess"],
    }
    batches = len(segmenter.batches)
    details = {"batches": segmenter.batches, "liver box": liver_box(ct, result)}
    return Measurement(seconds, batches, batches, whole_process_gb(), details)


def liver_box(ct: CTVolume, result: Segmentation) -> list[tuple[int, int]]:
    """First and last + 1 voxel with liver along (k, j, i) of the canonical CT."""
    liver = ct.geometry.to_canonical(result.labels) > 0
    if not liver.any():
        raise SystemExit(NOTHING_FOUND)
    occupied = (np.flatnonzero(liver.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1)))
    return [(int(indices[0]), int(indices[-1]) + 1) for indices in occupied]
