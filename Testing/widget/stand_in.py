"""In the place of the network in tests of the panel: finds the liver by its HU, exactly, and only when it is let to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from LiverSegLib.data.places import Place
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled
from Testing.anatomy_stand_in import anatomy_of

BODY_HU, LIVER_HU, TUMOUR_HU = -50, 110, 70


class StandIn:
    """Segments as LiverSegLib.inference.segmenter.Segmenter does, and is the factory that gives itself for any device.

    ``devices`` lists what it was made for, ``calls`` and ``modalities`` the options of every run that began,
    ``warm_ups`` counts them; ``modality`` is what it takes every volume for. ``error``, when set, is raised by the next
    run in the middle of it, ``quality`` and ``places`` are those of every result. After :meth:`hold`, runs wait in the
    middle for :meth:`release` or for their cancel; ``waiting`` is set while one does.
    """

    def __init__(self, warnings: Sequence[str] = ()) -> None:
        self.devices: list[str] = []
        self.calls: list[dict[str, Any]] = []
        self.modalities: list[str] = []
        self.modality = "CT"
        self.warm_ups = 0
        self.warnings = tuple(warnings)
        self.error: Exception | None = None
        self.quality: float | None = None
        self.places: tuple[Place, ...] = ()
        self.waiting = threading.Event()
        self._released = threading.Event()
        self._released.set()

    def __call__(self, device: str) -> StandIn:
        self.devices.append(device)
        return self

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def warm_up(self) -> None:
        self.warm_ups += 1

    def segment(self, ct: CTVolume, options=None, progress=None, cancel=None) -> Any:
        tumour = options is not None and options.tumour
        self.calls.append({"tumour": tumour})
        self.modalities.append(options.modality if options is not None else "auto")
        for share in (0.0, 0.5):
            progress(share, "Finding the liver")
        self._wait(cancel)
        if self.error is not None:
            raise self.error
        labels = np.select([ct.hu == LIVER_HU, ct.hu == TUMOUR_HU], [1, 2 if tumour else 1]).astype(np.uint8)
        seconds = dict.fromkeys(("load", "preprocess", "network", "postprocess"), 0.0)
        card = SimpleNamespace(name="stand-in", version="1", sha256="0" * 64, modality=self.modality)
        return SimpleNamespace(
            labels=labels,
            affine=ct.affine,
            warnings=self.warnings,
            seconds=seconds,
            device="cpu",
            model=card,
            quality=self.quality,
            anatomy=anatomy_of(labels, options),
            places=self.places,
            corrections=0,
        )

    def _wait(self, cancel: threading.Event) -> None:
        self.waiting.set()
        while not self._released.wait(0.005):
            if cancel.is_set():
                break
        self.waiting.clear()
        if cancel.is_set():
            raise Cancelled()


def small_ct(name: str = "CT", seed: int = 0) -> tuple[CTVolume, np.ndarray]:
    """A CT that the stand-in understands, and its labels, uint8 (k, j, i): an uneven liver with a tumour in it."""
    labels = np.zeros((10, 16, 20), np.uint8)
    labels[2:7, 3:12, 4:15] = 1
    labels[7, 3:6, 4:8] = 1
    labels[3:5, 6:9, 10:13] = 2
    labels = np.roll(labels, seed, axis=(1, 2))
    affine = np.diag([-1.5, -1.25, 4.0, 1.0])
    affine[:3, 3] = 30.0, -12.0, 250.0
    hu = np.choose(labels, (BODY_HU, LIVER_HU, TUMOUR_HU)).astype(np.int16)
    return CTVolume(hu, affine, name), labels
