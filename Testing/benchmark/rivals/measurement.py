"""What is kept of one measured rival: seconds by stage, patches, and whether all of them were run."""

from __future__ import annotations

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

READ, PREPARE, NETWORK, ASSEMBLE, BACK = STAGES = ("read", "prepare", "network", "assemble", "back")


@dataclass(frozen=True)
class Measurement:
    """From the file of a CT to labels on its grid.

    ``seconds`` holds the stages: ``read`` the file, ``prepare`` (resampling, normalisation), ``network`` (the network
    alone), ``assemble`` (patches cut and put together), ``back`` to the CT's grid, with clean-up. ``patches`` counts
    how often the network is called; if fewer were timed, the seconds of the network are estimated from those.
    ``peak_gb`` is the largest memory of the process until then.
    """

    seconds: dict[str, float]
    patches: int
    patches_timed: int
    peak_gb: float
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def whole(self) -> float:
        """Seconds from the file to the labels."""
        return sum(self.seconds.values())

    @property
    def is_estimated(self) -> bool:
        """Whether only some patches were run, and the rest reckoned from them."""
        return self.patches_timed < self.patches


class Stopwatch:
    """Seconds of each stage, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._clock = perf_counter()

    def lap(self, stage: str) -> None:
        """Count the time since the last lap to a stage."""
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._clock
        self._clock = now
