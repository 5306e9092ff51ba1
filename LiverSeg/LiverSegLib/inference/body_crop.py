"""Where the patient is in the field of view: the air around costs the network as much as the liver does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage

from ..data.volume import CTVolume
from .preprocess import to_model_spacing, window

# Slices are looked at this far from one to the next, in blocks of pixels of this size.
SLICE_STEP_MM = 24.0
BLOCK_MM = 5.0
# Of a block, one pixel so far from the next tells enough.
PIXEL_STEP_MM = 2.0
# Above the darkest value, which is air, clipped or not; fat and lungs' vessels lie above it, foam of tables does not.
ABOVE_AIR_HU = 20.0
# Kept around the body. The network sees further, but what it sees there is air or nothing.
AROUND_MM = 15.0
# No part of the body that matters is thinner than five blocks: the shells of tables are, and cables.
_OPENING = np.ones((1, 5, 5), dtype=bool)

# Top, bottom, left and right as shares of the field of view.
Outline = tuple[float, float, float, float]
WHOLE: Outline = (0.0, 1.0, 0.0, 1.0)


class Body:
    """The outline of the body along a canonical stack.

    Parameters
    ----------
    stack
        An axial stack.
    window_hu
        The HU that the network tells apart: what lies below is air to it.
    """

    def __init__(self, stack: CTVolume, window_hu: tuple[float, float]) -> None:
        self._step = max(1, int(SLICE_STEP_MM / stack.spacing[0]))
        row_step, column_step = (max(1, int(PIXEL_STEP_MM / mm)) for mm in stack.spacing[1:])
        sampled = stack.hu[:: self._step, ::row_step, ::column_step]
        spacing = stack.spacing[1] * row_step, stack.spacing[2] * column_step
        block_mm = max(BLOCK_MM, *spacing)
        air_hu = float(max(window_hu[0], min(int(hu.min()) for hu in sampled)))
        # Windowed, so that neither metal nor padding weighs more than what the network sees of it.
        threshold = float(window(torch.tensor(air_hu + ABOVE_AIR_HU), window_hu))
        blocks = [_blocks(hu, spacing, block_mm, window_hu) > threshold for hu in sampled]
        body = ndimage.binary_opening(np.stack(blocks), _OPENING)
        self._rows, self._columns = body.any(axis=2), body.any(axis=1)
        self._around = int(np.ceil(AROUND_MM / block_mm))

    def outline(self, ranges: Sequence[range]) -> Outline:
        """The box that holds the body on all slices of the ranges; the whole field of view if there is none."""
        near = np.zeros(len(self._rows), dtype=bool)
        for slices in ranges:
            near[slices.start // self._step : slices.stop // self._step + 2] = True
        rows, columns = self._rows[near].any(axis=0), self._columns[near].any(axis=0)
        if not rows.any():
            return WHOLE
        return *self._extent(rows), *self._extent(columns)

    def _extent(self, occupied: np.ndarray) -> tuple[float, float]:
        indices = np.flatnonzero(occupied)
        first, last = indices[0] - self._around, indices[-1] + 1 + self._around
        return max(0.0, first / len(occupied)), min(1.0, last / len(occupied))


def _blocks(
    hu: np.ndarray, spacing: tuple[float, float], block_mm: float, window_hu: tuple[float, float]
) -> np.ndarray:
    """Mean windowed values of one slice in square blocks."""
    # A copy whatever the strides: numpy takes a single row that runs backwards for contiguous, and PyTorch refuses it.
    values = torch.from_numpy(hu.astype(np.float32, order="C"))
    return to_model_spacing(window(values, window_hu)[None], spacing, block_mm)[0].numpy()
