"""A clock by which each moment belongs to one stage, so that the stages together are the whole time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from Testing.benchmark.memory import PeakMemory


@dataclass(frozen=True)
class Moment:
    """When something happened: in s by the computer's clock, and as an event in the GPU's queue if there is one."""

    seconds: float
    event: Any = None

    def until(self, later: Moment) -> float:
        """Seconds from this moment to a later one; by the GPU's clock where both are events there."""
        if self.event is None or later.event is None:
            return later.seconds - self.seconds
        later.event.synchronize()
        return self.event.elapsed_time(later.event) / 1000


class StageClock:
    """Gives the time of the thread that makes it to stages; of stages within each other the innermost one counts.

    What other threads do at the same time costs nobody's time, and is not counted.

    Parameters
    ----------
    stage
        What it begins with.
    started
        When that began, as perf_counter tells, which all processes of a computer share; now by default.
    memory
        Asked for the peak of each stage, if given.
    """

    def __init__(self, stage: str, started: float | None = None, memory: PeakMemory | None = None) -> None:
        self.peak_gb: dict[str, dict[str, float]] = {}
        self._thread = threading.get_ident()
        self._stages = [stage]
        self._memory = memory
        self._new_event: Callable[[], Any] | None = None
        self._spans: list[tuple[str, Moment, Moment]] = []
        self._since = Moment(perf_counter() if started is None else started)

    def use_events(self, new_event: Callable[[], Any]) -> None:
        """From now on note moments in a GPU's queue; ``new_event`` records one and returns it.

        What runs on a GPU is only asked for when the computer's clock passes; the queue's own clock tells when it ran.
        """
        self._new_event = new_event
        self._turn()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What happens within belongs to this stage."""
        if threading.get_ident() != self._thread:
            yield
            return
        self._turn()
        self._stages.append(name)
        try:
            yield
        finally:
            self._turn()
            self._stages.pop()

    def go_on_as(self, name: str) -> None:
        """What follows belongs to this stage, in the place of the present one."""
        self._turn()
        self._stages[-1] = name

    def stop(self) -> dict[str, float]:
        """Seconds of each stage until now."""
        self._turn()
        seconds: dict[str, float] = {}
        for stage, begin, end in self._spans:
            seconds[stage] = seconds.get(stage, 0.0) + begin.until(end)
        return seconds

    def _turn(self) -> None:
        """One stage ends here and another begins."""
        now = Moment(perf_counter(), self._new_event() if self._new_event else None)
        stage = self._stages[-1]
        self._spans.append((stage, self._since, now))
        if self._memory is not None:
            peaks = self.peak_gb.setdefault(stage, {})
            for kind, gigabytes in self._memory.take().items():
                peaks[kind] = max(peaks.get(kind, 0.0), gigabytes)
        self._since = now
