"""Slices as the network sees them, made when they are asked for: a whole-body scan is never held twice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.volume import CTVolume
from .preprocess import Rectangle, model_size, neighbours, to_model_spacing, window

# Resampled at a time; more would leave the CPU's cache.
_CHUNK = 8


class SliceCache:
    """Windowed slices of a stack with square pixels, cropped; kept as long as the next batch may need them.

    Parameters
    ----------
    stack
        An axial stack.
    pixel_mm
        Size of the square pixels.
    crop
        The part wanted, in those pixels.
    window_hu, offsets_mm
        Of the model card.
    device
        Where they are made and kept.
    """

    def __init__(
        self,
        stack: CTVolume,
        pixel_mm: float,
        crop: Rectangle,
        window_hu: tuple[float, float],
        offsets_mm: Sequence[float],
        device: torch.device,
    ) -> None:
        self._stack, self._pixel_mm, self._crop = stack, pixel_mm, crop
        self._window_hu, self._offsets_mm, self._device = window_hu, offsets_mm, device
        self._slices: dict[int, Tensor] = {}

    def stacks(self, positions: Sequence[int]) -> Tensor:
        """Each wanted slice with its neighbours as channels, float32 (n, channel, rows, columns).

        The same as :func:`LiverSegLib.inference.preprocess.neighbour_stacks` of the whole stack.
        """
        last = len(self._stack.hu) - 1
        below, above, weight = neighbours(torch.tensor(positions), last, self._stack.spacing[0], self._offsets_mm)
        needed = torch.cat((below, above)).unique()
        slices = torch.stack(self._prepared(needed.tolist()))
        below, above = (torch.searchsorted(needed, wanted).to(self._device) for wanted in (below, above))
        return slices[below].lerp_(slices[above], weight.to(self._device)[..., None, None])

    def _prepared(self, positions: list[int]) -> list[Tensor]:
        missing = [position for position in positions if position not in self._slices]
        # What this batch does not need, later ones do not either: they go upwards.
        self._slices = {position: self._slices[position] for position in positions if position in self._slices}
        for first in range(0, len(missing), _CHUNK):
            chunk = missing[first : first + _CHUNK]
            self._slices.update(zip(chunk, self._prepare(chunk).unbind(), strict=True))
        return [self._slices[position] for position in positions]

    def _prepare(self, positions: list[int]) -> Tensor:
        hu = torch.from_numpy(np.ascontiguousarray(self._stack.hu[positions]))
        if self._device.type == "cuda":
            # From ordinary memory the copy would wait for the batch that the GPU still works on.
            hu = hu.pin_memory()
        hu = hu.to(self._device, non_blocking=True)
        # Clipped on the input's pixels, as in training, but scaled on the few that are left.
        clipped = hu.float().clamp_(*self._window_hu)
        slices = to_model_spacing(clipped, self._stack.spacing[1:], self._pixel_mm)
        return window(slices[(slice(None), *self._crop)], self._window_hu)


def size_of(stack: CTVolume, pixel_mm: float) -> tuple[int, int]:
    """Rows and columns of a slice with square pixels."""
    return model_size(stack.hu.shape[1:], stack.spacing[1:], pixel_mm)
