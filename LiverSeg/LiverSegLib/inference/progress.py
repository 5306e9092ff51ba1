"""The progress of one segmentation: how far it is, how long each stage took, and whether somebody stopped it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter

from ..errors import Cancelled

Progress = Callable[[float, str], None]


class ProgressReporter:
    """Tells progress, answers a cancel, and keeps the seconds of each stage.

    Parameters
    ----------
    progress
        Called with the share done, 0 to 1, and the stage in words.
    cancel
        Whoever sets it stops the segmentation.
    """

    def __init__(self, progress: Progress | None = None, cancel: threading.Event | None = None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._cancel = cancel
        self._share = 0.0
        self._clock = perf_counter()

    def report(self, share: float, stage: str) -> None:
        """Tell how far it is; never less than before, also where work has to be done again.

        Raises
        ------
        Cancelled
            If it was stopped.
        """
        self.stop_if_cancelled()
        self._share = max(self._share, share)
        if self._progress is not None:
            self._progress(self._share, stage)

    def stop_if_cancelled(self) -> None:
        """Raise Cancelled if it was stopped."""
        if self._cancel is not None and self._cancel.is_set():
            raise Cancelled()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap to a stage."""
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._clock
        self._clock = now
