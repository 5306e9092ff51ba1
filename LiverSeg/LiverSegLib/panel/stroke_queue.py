"""Strokes that are being worked on and strokes that wait: a person draws faster than a network answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..data.strokes import Stroke
from ..mrml.correction_run import SURFACE_SHARE
from .runner import Runner

if TYPE_CHECKING:
    from ..mrml.scene_run import Steps


class StrokeQueue:
    """Corrects one output at a time; what was drawn meanwhile comes next, all at once.

    Parameters
    ----------
    logic
        The module's logic.
    make_way
        Called before anything starts: whatever else runs ends.
    on_done
        Called when something has ended, with whether the result has changed.
    on_error
        Called when it could not be changed; nothing waits any more then.
    """

    def __init__(
        self,
        logic: Any,
        make_way: Callable[[], None],
        on_done: Callable[[bool], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self._logic, self._make_way = logic, make_way
        self._on_done, self._on_error = on_done, on_error
        self._waiting: list[Stroke] = []
        self._in_work: list[Stroke] = []
        self._deleting = self._starting = False
        self._runner = Runner(self._progress)

    @property
    def strokes(self) -> list[Stroke]:
        """Those that were drawn and are not in the result yet."""
        return [*self._in_work, *self._waiting]

    @property
    def running(self) -> bool:
        """Whether the result is about to change."""
        return bool(self.strokes) or self._deleting

    @property
    def busy(self) -> bool:
        """Whether anything is being worked on, or about to be."""
        return self._starting or self._runner.running

    def prepare(self, output: Any, device: str) -> None:
        """Make ready what the first stroke needs."""
        if not self._runner.running:
            self._start(self._logic.prepareCorrectionSteps(output, device))

    def add(self, output: Any, stroke: Stroke, device: str) -> None:
        """Correct an output with a stroke as soon as those before it are done."""
        self._waiting.append(stroke)
        self._next(output, device)

    def delete(self, output: Any, number: int, device: str) -> None:
        """Take out a stroke that is in the result; nothing happens while others are being worked on."""
        if not self.running:
            self._runner.stop()
            self._deleting = True
            self._start(self._logic.deleteStrokeSteps(output, number, device))

    def drop_last(self, output: Any, device: str) -> bool:
        """Forget the last stroke that is not in the result yet; False if there is none."""
        if not self.strokes:
            return False
        if self._waiting:
            self._waiting.pop()
        else:
            left = self._in_work[:-1]
            self.stop()
            self._waiting = left
            self._next(output, device)
        return True

    def stop_preparing(self) -> None:
        """Give way to something else: what the first stroke needs is made when it comes."""
        if not self.running:
            self._runner.stop()

    def stop(self) -> None:
        """Leave what is not finished: the result stays as it is."""
        self._runner.stop()
        self._waiting, self._in_work, self._deleting = [], [], False

    def close(self) -> None:
        """Leave it, and let go of the panel: PythonQt keeps what a signal is connected to."""
        self.stop()
        self._runner.close()

    def _start(self, steps: Steps[None]) -> None:
        self._starting = True
        try:
            self._make_way()
            self._runner.start(steps, self._end, self._fail)
        finally:
            self._starting = False

    def _next(self, output: Any, device: str) -> None:
        self._again = (output, device)
        if self._waiting and not self._runner.running:
            self._in_work, self._waiting = self._waiting, []
            self._start(self._logic.correctSteps(output, self._in_work, device))

    def _progress(self, share: float, _stage: str, _seconds: float) -> None:
        """The result has changed as soon as no more than its surface is missing."""
        if share >= SURFACE_SHARE and (self._in_work or self._deleting):
            self._written()

    def _written(self) -> None:
        changed = bool(self._in_work) or self._deleting
        self._in_work, self._deleting = [], False
        self._on_done(changed)

    def _end(self, _nothing: None) -> None:
        self._written()
        if self._waiting:
            self._next(*self._again)

    def _fail(self, error: Exception) -> None:
        self.stop()
        self._on_error(error)
