"""The grid that the network sees: one in-plane spacing, neighbouring slices at fixed millimetre offsets, one HU window.

Training and inference both call these functions, so the network meets the same picture in both. Everything runs on
the tensor's own device.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# The U-Net halves its input at most five times.
SIZE_MULTIPLE = 32


def to_model_spacing(stack: Tensor, in_plane_spacing: tuple[float, float], target_spacing: float) -> Tensor:
    """Resample each slice to square pixels; the field of view stays the same.

    Parameters
    ----------
    stack
        Slices, shape (k, j, i), float.
    in_plane_spacing
        Distance in mm between pixel centres along (j, i).
    target_spacing
        Pixel size wanted, in mm.

    Returns
    -------
    Tensor of shape (k, rows, columns). The antialiased (area-like) triangle filter is used when shrinking, so that
    noise of fine pixels averages out instead of aliasing.
    """
    size = [max(1, round(n * mm / target_spacing)) for n, mm in zip(stack.shape[1:], in_plane_spacing, strict=True)]
    if tuple(size) == tuple(stack.shape[1:]):
        return stack
    return functional.interpolate(stack[:, None], size=size, mode="bilinear", antialias=True)[:, 0]


def to_input_size(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Bring logits of shape (n, class, rows, columns) to the input's in-plane grid (j, i) by bilinear interpolation."""
    if tuple(logits.shape[2:]) == tuple(size):
        return logits
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


def window(hu: Tensor, limits: tuple[float, float]) -> Tensor:
    """Clip HU to ``limits`` and map them linearly to [-1, 1]."""
    low, high = limits
    return hu.clamp(low, high).sub_(low).mul_(2.0 / (high - low)).sub_(1.0)


def neighbour_stacks(stack: Tensor, positions: Tensor, slice_spacing: float, offsets_mm: Sequence[float]) -> Tensor:
    """Each wanted slice with its neighbours as channels.

    Parameters
    ----------
    stack
        Slices, shape (k, rows, columns), float.
    positions
        Slice indices wanted, shape (n,), integer.
    slice_spacing
        Distance in mm between slices.
    offsets_mm
        Where the neighbours lie, in mm towards superior; 0 is the slice itself.

    Returns
    -------
    Tensor of shape (n, len(offsets_mm), rows, columns), interpolated linearly between slices; beyond the first and last
    slice the outermost slice is repeated.
    """
    last = stack.shape[0] - 1
    channels = []
    for offset in offsets_mm:
        exact = (positions.to(torch.float64) + offset / slice_spacing).clamp(0, last)
        below = exact.floor().long()
        above = (below + 1).clamp(max=last)
        weight = (exact - below).to(stack.dtype)[:, None, None]
        channels.append(torch.lerp(stack[below], stack[above], weight))
    return torch.stack(channels, dim=1)


def pad_to_multiple(images: Tensor, value: float, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """Pad (n, channel, rows, columns) at the bottom and right until both sizes divide by ``multiple``."""
    rows, columns = images.shape[2:]
    return functional.pad(images, (0, -columns % multiple, 0, -rows % multiple), value=value)
