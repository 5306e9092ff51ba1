"""A run in the panel: a timer of the event loop advances it step by step, so that the window never freezes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import qt

if TYPE_CHECKING:
    from ..mrml.scene_run import Steps


class Runner:
    """Advances one generator of steps at a time (see :mod:`LiverSegLib.mrml.scene_run`).

    ``on_progress`` is called with the share done, the stage in words and the seconds since the start.
    """

    # Short: in Slicer the worker computes only while a step waits for it (see LiverSegLib.mrml.scene_run).
    INTERVAL_MS = 1

    def __init__(self, on_progress: Callable[[float, str, float], None]) -> None:
        self._on_progress = on_progress
        self._steps: Steps[Any] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(self.INTERVAL_MS)
        self._timer.connect("timeout()", self._advance)

    @property
    def running(self) -> bool:
        """Whether a run is going on."""
        return self._steps is not None

    def start(
        self,
        steps: Steps[Any],
        on_done: Callable[[Any], None],
        on_error: Callable[[Exception], None],
        needed: Sequence[tuple[Any, str]] = (),
    ) -> None:
        """Begin with the steps; at the end one of the two functions is called with the result or the error.

        ``needed`` are the MRML nodes that the run works on, each with what to say when it is gone.
        """
        self.stop()
        self._steps, self._on_done, self._on_error, self._needed = steps, on_done, on_error, needed
        self._started = time.monotonic()
        self._timer.start()

    def text_without(self, node: Any) -> str | None:
        """What to say if this node goes while the run needs it; None if it can go."""
        texts = [text for needed, text in self._needed if needed is node] if self.running else []
        return texts[0] if texts else None

    def stop(self) -> bool:
        """End the run, which leaves the scene as it was; False if there was none."""
        self._timer.stop()
        steps, self._steps = self._steps, None
        if steps is None:
            return False
        steps.close()
        return True

    def close(self) -> None:
        """End the run, and let go of the panel: PythonQt keeps what a signal is connected to."""
        self.stop()
        self._timer.disconnect("timeout()", self._advance)

    def _advance(self) -> None:
        if self._steps is None:
            return
        try:
            share, stage = next(self._steps)
        except StopIteration as end:
            self._end(self._on_done, end.value)
        except Exception as error:  # the panel shows it
            self._end(self._on_error, error)
        else:
            self._on_progress(share, stage, time.monotonic() - self._started)

    def _end(self, tell: Callable[[Any], None], what: Any) -> None:
        """The run is over when its end is told, so that the next can begin there."""
        self.stop()
        try:
            tell(what)
        except Exception as error:  # in a slot Slicer would print it, and the user would see nothing
            self._on_error(error)
