"""The network on one axial stack: first on a few slices, then on each where the liver may be, and only on the body."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import messages
from ..data.geometry import Geometry
from ..data.volume import CTVolume
from .body_crop import WHOLE, Body
from .logits import LARGEST_LOG_ODDS, smooth_through_slices, smoothing_reach
from .predictor import Predictor
from .preprocess import Rectangle, aligned, overlap, part_to_other_size, pixels_within, relative_to
from .progress import ProgressReporter
from .slice_cache import SliceCache, size_of
from .slice_search import Search, batches, even_batches

# From these log-odds on, a pixel may be liver when it is first looked at; a liver that the network doubts is found.
LOWEST_LOG_ODDS = -1.0
# Of the log-odds, those of organs: the liver's first and, where there is one, the other organ's third.
ORGANS = slice(0, None, 2)


@dataclass(frozen=True)
class LiverLogits:
    """Log-odds where the liver may be; everywhere else is background.

    Parameters
    ----------
    ranges
        The slices looked at, in order.
    part
        The pixels looked at, of slices with ``size`` square pixels.
    size, input_size
        Rows and columns of a slice as the network sees it, and as it is.
    slice_spacing
        Distance in mm between slices.
    log_odds
        Log-odds float16 (channels, rows, columns) of ``part`` by slice.
    """

    ranges: list[range]
    part: Rectangle
    size: tuple[int, int]
    input_size: tuple[int, int]
    slice_spacing: float
    log_odds: dict[int, Tensor]

    def batches(self, batch_size: int) -> Iterator[range]:
        """All slices of the ranges, in parts that follow each other."""
        return batches(self.ranges, batch_size)

    def overlap(self, positions: range) -> list[range]:
        """What of some slices lies in the ranges."""
        both = (range(max(found.start, positions.start), min(found.stop, positions.stop)) for found in self.ranges)
        return [slices for slices in both if slices]

    def smooth(self, positions: range) -> Tensor:
        """Mean over neighbouring slices; float32 (n, channels, rows, columns) of ``part``."""
        [within] = [found for found in self.ranges if positions.start in found]
        reach = smoothing_reach(self.slice_spacing)
        around = range(max(within.start, positions.start - reach), min(within.stop, positions.stop + reach))
        log_odds = torch.stack([self.log_odds[position] for position in around]).float()
        wanted = torch.arange(positions.start - around.start, positions.stop - around.start, device=log_odds.device)
        return smooth_through_slices(log_odds, wanted, self.slice_spacing)

    def pixels(self, stack: Geometry) -> Geometry:
        """The grid of ``part``, all slices of the stack that was looked at."""
        rows, columns = self.part
        ratio = np.divide(self.input_size, self.size)[::-1]
        to_input = np.diag((*ratio, 1.0, 1.0))
        to_input[:2, 3] = (np.array((columns.start, rows.start)) + 0.5) * ratio - 0.5
        shape = (stack.shape[0], rows.stop - rows.start, columns.stop - columns.start)
        return Geometry(shape, stack.affine @ to_input)

    @property
    def part_of_input(self) -> Rectangle:
        """The input's pixels looked at."""
        return pixels_within(self.part, self.size, self.input_size)

    def on_input(self, log_odds: Tensor) -> tuple[Tensor, Rectangle]:
        """Log-odds of ``part`` on the input's pixels, and which those are."""
        wanted = self.part_of_input
        return part_to_other_size(log_odds, self.part, self.size, wanted, self.input_size), wanted

    def liver_on_input(self, log_odds: Tensor) -> tuple[Tensor, Rectangle]:
        """The same for a box only that holds all pixels with liver or another organ; of no size if there is none."""
        organs = (log_odds[:, ORGANS] > 0).any(dim=1).any(dim=0)
        # One more: between a pixel with liver and one without, the former may win.
        box = _extent(organs.any(dim=1), self.part[0]), _extent(organs.any(dim=0), self.part[1])
        wanted = pixels_within(box, self.size, self.input_size)
        rows, columns = relative_to(box, self.part)
        return part_to_other_size(log_odds[:, :, rows, columns], box, self.size, wanted, self.input_size), wanted


class StackInference:
    """Runs the network over an axial stack.

    Parameters
    ----------
    predictor
        The network on its device.
    stack
        An axial stack.
    channels
        How many log-odds are wanted: 1 of liver, 2 of tumour as well, 3 of another organ as well.
    batch_size
        Slices at a time.
    progress, span
        Whom to tell, and the part of the progress that this takes.
    everywhere
        Run it on all slices and all of each.
    organ
        The number of the other organ's class.
    """

    def __init__(
        self,
        predictor: Predictor,
        stack: CTVolume,
        channels: int,
        batch_size: int,
        progress: ProgressReporter,
        span: tuple[float, float],
        everywhere: bool = False,
        organ: int | None = None,
    ) -> None:
        self._organ = organ
        self._predictor, self._stack, self._channels, self._batch_size = predictor, stack, channels, batch_size
        self._progress, (self._share, self._end) = progress, span
        self._log_odds: dict[int, Tensor] = {}
        self._areas: dict[int, float] = {}
        self._search = Search(len(stack.hu), stack.spacing[0])
        self._body = None if everywhere else Body(stack, predictor.card.window_hu)
        self._size = size_of(stack, predictor.card.spacing_mm)
        # All log-odds are kept on this part, whatever part of it was looked at.
        self._part = self._part_with_body([range(len(stack.hu))])
        progress.lap("preprocess")

    def find(self) -> LiverLogits:
        """Look for the liver, then look at it."""
        ranges = self._look_at_ranges(self._first_ranges())
        part = overlap(self._part_with_body(ranges), self._part)
        rows, columns = relative_to(part, self._part)
        log_odds = {position: self._log_odds[position][:, rows, columns] for found in ranges for position in found}
        return LiverLogits(ranges, part, self._size, self._input_size, self._stack.spacing[0], log_odds)

    def _first_ranges(self) -> list[range]:
        """All slices, or those near to where the liver is on some that are looked at first."""
        if self._body is None or not self._search.pays:
            return [range(self._search.count)]
        first_look = self._search.first_look
        left = len(first_look) + self._search.usual_count
        for batch in even_batches(first_look, self._batch_size):
            # Each with the body that is there: legs and neck are narrow.
            self._look_at(batch, [range(batch[0], batch[-1] + 1)], len(batch) / left)
            left -= len(batch)
        return self._search.ranges(self._areas)

    def _look_at_ranges(self, ranges: list[range]) -> list[range]:
        """Look at each slice of the ranges, and beyond them until no liver is near their ends."""
        share = 1.0
        while True:
            missing = [position for found in ranges for position in found if position not in self._log_odds]
            self._look_at(missing, ranges, share)
            longer = self._search.extended(ranges, self._areas)
            if longer == ranges:
                return ranges
            ranges, share = longer, 0.1

    def _look_at(self, positions: Sequence[int], ranges: list[range], share: float) -> None:
        """Run the network on some slices, as a share of the progress that is left, where the ranges hold the body."""
        begin, length = self._share, (self._end - self._share) * share
        part = self._part_with_body(ranges)
        card = self._predictor.card
        cache = SliceCache(self._stack, card.spacing_mm, part, card.window_hu, card.offsets_mm, self._predictor.device)
        for batch, log_odds in _one_ahead(self._predicted(cache, positions, begin, length)):
            self._measure(batch, log_odds)
            self._store(batch, log_odds, part)
            self._progress.lap("network")
        self._share = begin + length

    def _predicted(
        self, cache: SliceCache, positions: Sequence[int], begin: float, length: float
    ) -> Iterator[tuple[Sequence[int], Tensor]]:
        """Some slices and the network's log-odds of them, batch by batch."""
        done = 0
        for batch in even_batches(positions, self._batch_size):
            self._progress.report(begin + length * done / len(positions), messages.FINDING_LIVER)
            done += len(batch)
            images = cache.stacks(batch)
            self._progress.lap("preprocess")
            log_odds = self._predictor.log_odds(images, self._organ)[:, : self._channels]
            self._progress.lap("network")
            yield batch, log_odds.clamp(-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)

    def _measure(self, batch: Sequence[int], log_odds: Tensor) -> None:
        """Note the area in mm² of what may be liver, or the organ wanted beside it."""
        pixels = (log_odds[:, ORGANS] > LOWEST_LOG_ODDS).any(dim=1).sum(dim=(1, 2)).tolist()
        field_of_view = math.prod(self._input_size) * math.prod(self._stack.spacing[1:])
        pixel_mm2 = field_of_view / math.prod(self._size)
        self._areas.update((position, count * pixel_mm2) for position, count in zip(batch, pixels, strict=True))

    def _store(self, batch: Sequence[int], log_odds: Tensor, part: Rectangle) -> None:
        """Keep log-odds of a part of some slices."""
        wanted = overlap(part, self._part)
        rows, columns = relative_to(wanted, self._part)
        height, width = (edges.stop - edges.start for edges in self._part)
        # Half precision, as there may be a thousand slices. What was not looked at is background.
        stored = log_odds.new_full((len(batch), self._channels, height, width), -LARGEST_LOG_ODDS, dtype=torch.float16)
        inner_rows, inner_columns = relative_to(wanted, part)
        stored[:, :, rows, columns] = log_odds[:, :, inner_rows, inner_columns].half()
        self._log_odds.update(zip(batch, stored.unbind(), strict=True))

    def _part_with_body(self, ranges: list[range]) -> Rectangle:
        return aligned(WHOLE if self._body is None else self._body.outline(ranges), self._size)

    @property
    def _input_size(self) -> tuple[int, int]:
        rows, columns = self._stack.hu.shape[1:]
        return rows, columns


def _one_ahead(batches: Iterator[tuple[Sequence[int], Tensor]]) -> Iterator[tuple[Sequence[int], Tensor]]:
    """Each, when the next one is under way: a GPU works while the CPU prepares, and is waited for only then."""
    waiting: deque[tuple[Sequence[int], Tensor]] = deque()
    for batch in batches:
        if waiting:
            yield waiting.popleft()
        waiting.append(batch)
    yield from waiting


def _extent(occupied: Tensor, edges: slice) -> slice:
    """From one before the first to one after the last that is occupied, of those between the edges."""
    indices = occupied.nonzero()
    if not len(indices):
        return slice(edges.start, edges.start)
    first, last = int(indices[0]) + edges.start, int(indices[-1]) + edges.start
    return slice(max(edges.start, first - 1), min(edges.stop, last + 2))
