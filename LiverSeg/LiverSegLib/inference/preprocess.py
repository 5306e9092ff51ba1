"""The grid that the network sees: one in-plane spacing, neighbouring slices at fixed millimetre offsets, one HU window.

Training and inference both call these functions, so the network meets the same picture in both. Everything runs on
the tensor's own device.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

# The U-Net halves its input at most five times.
SIZE_MULTIPLE = 32


# A part of a slice: rows and columns.
Rectangle = tuple[slice, slice]


def model_size(size: Sequence[int], in_plane_spacing: tuple[float, float], target_spacing: float) -> tuple[int, int]:
    """Rows and columns that slices of ``size`` (j, i) pixels have with square pixels of ``target_spacing`` mm."""
    rows, columns = (max(1, round(n * mm / target_spacing)) for n, mm in zip(size, in_plane_spacing, strict=True))
    return rows, columns


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
    size = model_size(stack.shape[1:], in_plane_spacing, target_spacing)
    if size == tuple(stack.shape[1:]):
        return stack
    return functional.interpolate(stack[:, None], size=size, mode="bilinear", antialias=True)[:, 0]


def part_to_other_size(
    values: Tensor, part: Rectangle, size: tuple[int, int], wanted: Rectangle, wanted_size: tuple[int, int]
) -> Tensor:
    """A part of slices, on other pixels of the same field of view, by bilinear interpolation of another part.

    Parameters
    ----------
    values
        Of the pixels ``part`` of slices with ``size`` pixels, shape (n, channel, rows, columns).
    wanted, wanted_size
        The pixels wanted, of slices with ``wanted_size`` pixels and the same field of view.

    Returns
    -------
    Tensor of shape (n, channel, wanted rows, wanted columns); beyond the part its outermost pixels are repeated.
    """
    for axis in (0, 1):
        if size[axis] == wanted_size[axis] and part[axis] == wanted[axis]:
            continue
        last = part[axis].stop - part[axis].start - 1
        exact = torch.arange(wanted[axis].start, wanted[axis].stop, dtype=torch.float64) + 0.5
        exact = (exact * (size[axis] / wanted_size[axis]) - 0.5 - part[axis].start).clamp(0, last)
        below = exact.long()
        weight = (exact - below).to(values.dtype).to(values.device)
        above = (below + 1).clamp(max=last).to(values.device)
        below = below.to(values.device)
        dimension = 2 + axis
        weight = weight[:, None] if axis == 0 else weight
        values = torch.lerp(values.index_select(dimension, below), values.index_select(dimension, above), weight)
    return values


def pixels_within(part: Rectangle, size: tuple[int, int], other_size: tuple[int, int]) -> Rectangle:
    """The pixels of slices with ``other_size`` pixels, whose centres lie within a part of slices with ``size``."""
    first, second = (
        slice(math.ceil(edges.start * ratio - 0.5), math.ceil(edges.stop * ratio - 0.5))
        for edges, ratio in zip(part, (other_size[0] / size[0], other_size[1] / size[1]), strict=True)
    )
    return first, second


def overlap(part: Rectangle, other: Rectangle) -> Rectangle:
    """The pixels in both."""
    first, second = (slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(part, other, strict=True))
    return first, second


def relative_to(part: Rectangle, whole: Rectangle) -> Rectangle:
    """Where a part lies in an array that holds the pixels of ``whole``."""
    first, second = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, whole, strict=True))
    return first, second


def aligned(outline: tuple[float, float, float, float], size: tuple[int, int]) -> Rectangle:
    """The pixels that hold an outline (top, bottom, left, right as shares of the slice), of slices with ``size``.

    It begins at a multiple of :data:`SIZE_MULTIPLE`, and ends at one or with the slice, so that the network halves the
    same pixels together as in the whole slice, and answers the same far from the edges.
    """
    first, second = (
        slice(
            math.floor(begin * n / SIZE_MULTIPLE) * SIZE_MULTIPLE,
            min(n, math.ceil(end * n / SIZE_MULTIPLE) * SIZE_MULTIPLE),
        )
        for begin, end, n in zip(outline[::2], outline[1::2], size, strict=True)
    )
    return first, second


def window(hu: Tensor, limits: tuple[float, float]) -> Tensor:
    """Clip HU to ``limits`` and map them linearly to [-1, 1]."""
    low, high = limits
    return hu.clamp(low, high).sub_(low).mul_(2.0 / (high - low)).sub_(1.0)


def neighbours(
    positions: Tensor, last: int, slice_spacing: float, offsets_mm: Sequence[float]
) -> tuple[Tensor, Tensor, Tensor]:
    """Which slices lie below and above each neighbour of each wanted slice, and how much the one above weighs.

    Parameters
    ----------
    positions
        Slice indices wanted, shape (n,), integer, on the CPU.
    last
        Index of the last slice; beyond the first and last one the outermost slice is repeated.
    slice_spacing
        Distance in mm between slices.
    offsets_mm
        Where the neighbours lie, in mm towards superior; 0 is the slice itself.

    Returns
    -------
    Three tensors of shape (n, len(offsets_mm)): two of slice indices, and float32. Both are the same slice where the
    one above weighs nothing.
    """
    steps = torch.tensor([offset / slice_spacing for offset in offsets_mm], dtype=torch.float64)
    exact = (positions[:, None] + steps).clamp(0, last)
    return exact.floor().long(), exact.ceil().long(), (exact - exact.floor()).float()


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
    below, above, weight = neighbours(positions.cpu(), len(stack) - 1, slice_spacing, offsets_mm)
    below, above, weight = below.to(stack.device), above.to(stack.device), weight.to(stack.device, stack.dtype)
    return torch.lerp(stack[below], stack[above], weight[..., None, None])


def pad_to_multiple(images: Tensor, value: float, multiple: int = SIZE_MULTIPLE) -> Tensor:
    """Pad (n, channel, rows, columns) at the bottom and right until both sizes divide by ``multiple``."""
    rows, columns = images.shape[2:]
    return functional.pad(images, (0, -columns % multiple, 0, -rows % multiple), value=value)
