"""Where along the patient the liver may be: from a few slices looked at first to ranges worth a look at each.

Numbers only: what is looked at, and with what, is the matter of :mod:`LiverSegLib.inference.stack`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

# Between two slices that are looked at first; a liver is several times as high, and what lies beyond is looked at next.
FIRST_LOOK_MM = 24.0
# How far beyond the liver each slice is looked at.
BEYOND_MM = 25.0
# Slices without liver between two with it, that do not part them.
BRIDGED_MM = 40.0
# A liver that comes this near to the end of a range may go on beyond; the log-odds are smoothed over less.
NEAR_END_MM = 8.0
# Less in a slice is no liver, nor an end of it that matters.
LEAST_AREA_MM2 = 100.0
# Of the largest find: half of what the clean-up keeps, so that what is left out here would have been removed there.
KEPT_SHARE = 0.05
# Stacks that are shorter are the liver's surroundings already.
SHORTEST_STACK_MM = 300.0
# What is looked at around a usual liver.
USUAL_RANGE_MM = 250.0


@dataclass(frozen=True)
class Search:
    """The plan for a stack of ``count`` slices, ``spacing`` mm apart; ranges are of slice indices, in order."""

    count: int
    spacing: float

    @property
    def step(self) -> int:
        """Slices from one that is looked at first to the next."""
        return max(1, int(FIRST_LOOK_MM / self.spacing))

    @property
    def pays(self) -> bool:
        """Whether looking at a few slices first can spare others."""
        return self.step > 1 and self.count * self.spacing > SHORTEST_STACK_MM

    @property
    def first_look(self) -> list[int]:
        """The slices to begin with, the outermost among them: a scan may hold the tip of a liver only."""
        return sorted({*range(0, self.count, self.step), self.count - 1})

    @property
    def usual_count(self) -> int:
        """Slices to be expected in the end, for the progress bar."""
        return min(self.count, math.ceil(USUAL_RANGE_MM / self.spacing))

    def ranges(self, areas: Mapping[int, float]) -> list[range]:
        """Where the liver may be, given its area in mm² on the slices of the first look.

        Finds that follow each other, small gaps bridged, are one; those that are small beside the largest one are
        left out.
        """
        hits = [position for position in sorted(areas) if areas[position] >= LEAST_AREA_MM2]
        gaps = [number for number, (one, next_one) in enumerate(pairwise(hits), 1) if self._far(one, next_one)]
        finds = [hits[first:last] for first, last in pairwise([0, *gaps, len(hits)])] if hits else []
        sizes = [sum(areas[position] for position in find) for find in finds]
        kept = [find for find, size in zip(finds, sizes, strict=True) if size >= KEPT_SHARE * max(sizes)]
        return joined(self._widened(find[0], find[-1] + 1) for find in kept)

    def extended(self, ranges: list[range], areas: Mapping[int, float]) -> list[range]:
        """The ranges, longer where there is liver near their end; the same if there is none."""
        near = self._slices_in(NEAR_END_MM)

        def holds_liver(positions: range) -> bool:
            return any(areas[position] >= LEAST_AREA_MM2 for position in positions)

        longer = []
        for found in ranges:
            wider = self._widened(found.start, found.stop)
            start = wider.start if holds_liver(found[:near]) else found.start
            stop = wider.stop if holds_liver(found[-near:]) else found.stop
            longer.append(range(start, stop))
        return joined(longer)

    def _far(self, one: int, other: int) -> bool:
        return (other - one) * self.spacing > BRIDGED_MM

    def _widened(self, start: int, stop: int) -> range:
        beyond = self._slices_in(BEYOND_MM)
        return range(max(0, start - beyond), min(self.count, stop + beyond))

    def _slices_in(self, length_mm: float) -> int:
        return math.ceil(min(length_mm / self.spacing, self.count))


def joined(ranges: Iterable[range]) -> list[range]:
    """Ranges in order, with those that touch or overlap made one; empty ones are left out."""
    result: list[range] = []
    for found in sorted(filter(len, ranges), key=lambda found: found.start):
        if result and found.start <= result[-1].stop:
            result[-1] = range(result[-1].start, max(result[-1].stop, found.stop))
        else:
            result.append(found)
    return result


def batches(ranges: Iterable[range], size: int) -> Iterator[range]:
    """All that is in the ranges, in parts that follow each other, of at most ``size``."""
    for found in ranges:
        for first in range(found.start, found.stop, size):
            yield range(first, min(first + size, found.stop))


def even_batches(positions: Sequence[int], largest: int) -> Iterator[Sequence[int]]:
    """Slices in as few batches as may be, of about the same size: what each batch costs by itself is paid rarely."""
    count = math.ceil(len(positions) / largest)
    for number in range(count):
        yield positions[len(positions) * number // count : len(positions) * (number + 1) // count]
