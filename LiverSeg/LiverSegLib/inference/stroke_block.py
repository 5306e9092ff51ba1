"""The block of a scan round a stroke: every few slices, in the network's pixels, and back."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..data.bounding_box import Box
from ..data.geometry import Geometry
from ..data.strokes import Stroke, indices_of
from ..model.refine_model import RefineCard
from .preprocess import SIZE_MULTIPLE, window
from .stroke_maps import REACH_MM, Marks

# What the network sees in-plane beyond what may change.
CONTEXT_MM = 12.0
AIR_HU = -1000.0


def step_of(slice_mm: float, wanted_mm: float) -> int:
    """Of slices that lie ``slice_mm`` apart, every so many-th is about ``wanted_mm`` from the next."""
    return max(1, int(wanted_mm / slice_mm + 0.45))


@dataclass(frozen=True, eq=False)
class StrokeBlock:
    """Where a block lies in an axial stack, and how its voxels and the stack's belong together.

    Parameters
    ----------
    stack
        The grid of the axial stack.
    card
        Of the network.
    slices
        Of the stack, ascending: those of the block, a few more than may change.
    rows, columns
        Of the stack; they may lie outside of it.
    size
        Rows and columns of the block.
    """

    stack: Geometry
    card: RefineCard
    slices: range
    rows: slice
    columns: slice
    size: tuple[int, int]

    @classmethod
    def round_stroke(cls, stroke: Stroke, stack: Geometry, card: RefineCard) -> StrokeBlock:
        """The block that holds all that a stroke may change."""
        places = indices_of(stroke.points_mm, stack)
        low, high = places.min(axis=0), places.max(axis=0)
        step = step_of(stack.spacing[0], card.slice_mm)
        # The slice that was clicked is one of those looked at.
        clicked = int(np.clip(round(places[0, 0]), 0, stack.shape[0] - 1))
        reach = (REACH_MM + max(map(abs, card.offsets_mm))) / stack.spacing[0]
        below = min(int((clicked - low[0] + reach) / step), clicked // step)
        above = min(int((high[0] - clicked + reach) / step), (stack.shape[0] - 1 - clicked) // step)
        slices = range(clicked - below * step, clicked + above * step + 1, step)
        rows, columns = (_side(low[axis], high[axis], stack.spacing[axis], card.spacing_mm) for axis in (1, 2))
        return cls(stack, card, slices, rows[0], columns[0], (rows[1], columns[1]))

    @property
    def slice_mm(self) -> float:
        """Distance between the block's slices."""
        return self.slices.step * self.stack.spacing[0]

    @property
    def spacing(self) -> tuple[float, float, float]:
        """In mm along the block's (k, j, i)."""
        return self.slice_mm, self.card.spacing_mm, self.card.spacing_mm

    @property
    def box(self) -> Box:
        """All that lies in the block, of the stack's voxels."""
        rows, columns = (
            slice(max(0, side.start), min(size, side.stop))
            for side, size in zip((self.rows, self.columns), self.stack.shape[1:], strict=True)
        )
        return slice(self.slices.start, self.slices[-1] + 1), rows, columns

    def ct(self, hu: np.ndarray) -> Tensor:
        """HU of the stack on the block, windowed; air outside of the stack."""
        values = torch.from_numpy(self._cut(hu, AIR_HU)).float().clamp_(*self.card.window_hu)
        return window(self._shrunk(values), self.card.window_hu)

    def share(self, mask: np.ndarray) -> Tensor:
        """How much of each voxel of the block a mask of the stack, bool, covers, 0 to 1."""
        return self._shrunk(torch.from_numpy(self._cut(mask, False)).float())

    def _cut(self, array: np.ndarray, fill: float) -> np.ndarray:
        _, rows, columns = self.box
        part = array[self.slices.start : self.slices[-1] + 1 : self.slices.step, rows, columns]
        around = [
            (inner.start - outer.start, outer.stop - inner.stop)
            for inner, outer in zip((rows, columns), (self.rows, self.columns), strict=True)
        ]
        return np.pad(part, [(0, 0), *around], constant_values=fill)

    def _shrunk(self, values: Tensor) -> Tensor:
        return functional.interpolate(values[:, None], size=self.size, mode="bilinear", antialias=True)[:, 0]

    def marks(self, strokes: Sequence[Stroke]) -> Marks:
        """Strokes in mm from the block's first voxel."""
        points = [self._points(stroke) for stroke in strokes]
        liver = [some for some, stroke in zip(points, strokes, strict=True) if stroke.is_liver]
        other = [some for some, stroke in zip(points, strokes, strict=True) if not stroke.is_liver]
        nothing = torch.empty(0, 3)
        return Marks(torch.cat((nothing, *liver)), torch.cat((nothing, *other)), points[-1], strokes[-1].is_liver)

    def _points(self, stroke: Stroke) -> Tensor:
        places = indices_of(stroke.dense_points_mm(self.card.spacing_mm), self.stack)
        first = np.array((self.slices.start, self.rows.start - 0.5, self.columns.start - 0.5))
        lengths = (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)
        scale = np.array((1 / self.slices.step, self.size[0] / lengths[0], self.size[1] / lengths[1]))
        in_block = (places - first) * scale - (0.0, 0.5, 0.5)
        return torch.from_numpy(in_block * self.spacing).float()

    def on_stack(self, values: Tensor) -> Tensor:
        """Values of the block (k, rows, columns) on the stack's voxels of :attr:`box`, linearly."""
        size = (self.rows.stop - self.rows.start, self.columns.stop - self.columns.start)
        _, rows, columns = self.box
        wide = functional.interpolate(values[:, None], size=size, mode="bilinear")[:, 0]
        wide = wide[
            :,
            rows.start - self.rows.start : rows.stop - self.rows.start,
            columns.start - self.columns.start : columns.stop - self.columns.start,
        ]
        if self.slices.step == 1 or len(wide) == 1:
            return wide
        count = (len(wide) - 1) * self.slices.step + 1
        between = torch.arange(count, device=values.device)
        below = between // self.slices.step
        weight = (between % self.slices.step).to(values.dtype) / self.slices.step
        return torch.lerp(wide[below], wide[(below + 1).clamp(max=len(wide) - 1)], weight[:, None, None])


def _side(low: float, high: float, spacing: float, pixel_mm: float) -> tuple[slice, int]:
    """Which rows or columns of the stack the block takes, round those from ``low`` to ``high``, and how many it has."""
    length_mm = (high - low) * spacing + 2 * (REACH_MM + CONTEXT_MM)
    pixels = SIZE_MULTIPLE * math.ceil(length_mm / pixel_mm / SIZE_MULTIPLE - 1e-6)
    count = max(1, round(pixels * pixel_mm / spacing))
    start = round((low + high) / 2 - (count - 1) / 2)
    return slice(start, start + count), pixels
