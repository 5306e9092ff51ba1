"""In the place of the network that corrects: a ball round each stroke becomes liver, or none, as far as the CT goes."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled

REACH_MM = 6.0


class RefinerStandIn:
    """Corrects as LiverSegLib.inference.refine.Refiner does, and is the factory that gives itself for any scan.

    ``made`` counts for how many scans it was made, ``calls`` how many strokes it saw. ``error``, when set, is raised by
    the next stroke. After :meth:`hold`, strokes wait for :meth:`release` or for their cancel; ``waiting`` is set while
    one does.
    """

    def __init__(self) -> None:
        self.made = self.calls = 0
        self.error: Exception | None = None
        self.warnings: list[str] = []
        self.waiting = threading.Event()
        self._released = threading.Event()
        self._released.set()

    def __call__(self, ct: CTVolume, labels: np.ndarray, device: str) -> RefinerStandIn:
        self.made += 1
        self._geometry = Geometry(ct.hu.shape, ct.affine)
        return self

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def refine(
        self, labels: np.ndarray, strokes: Sequence[Stroke], cancel: threading.Event | None = None
    ) -> np.ndarray:
        self.calls += 1
        self.waiting.set()
        while not self._released.wait(0.005):
            if cancel is not None and cancel.is_set():
                break
        self.waiting.clear()
        if cancel is not None and cancel.is_set():
            raise Cancelled()
        if self.error is not None:
            raise self.error
        return corrected(labels, strokes, self._geometry)


def corrected(labels: np.ndarray, strokes: Sequence[Stroke], geometry: Geometry) -> np.ndarray:
    """What the stand-in makes of labels after the last of the strokes; what was marked before stays so."""
    new, last = labels.copy(), strokes[-1]
    for stroke in (Stroke(last.points_mm, last.is_liver, REACH_MM), *strokes):
        box, mask = stroke.mask(geometry)
        part = new[box]
        part[mask] = np.where(part[mask] > 0, part[mask], 1) if stroke.is_liver else 0
    return new
