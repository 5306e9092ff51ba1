"""What the network that corrects sees of a block of slices: CT, present result and strokes; in training, too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .preprocess import neighbour_stacks

# Nothing farther from the last stroke changes.
REACH_MM = 60.0
# A stroke is a bright spot of this radius in one map, and a slope that ends this far off in another.
NEAR_MM, FAR_MM = 6.0, 60.0
# Each pixel is compared with the mean so near to the last stroke; what differs by so much, in windowed units, is wholly
# unlike it.
LIKE_MM, UNLIKE = 4.0, 0.3
# Points of a line that lie closer together change no map.
APART_MM = 3.0


@dataclass(frozen=True)
class Marks:
    """Strokes as points in mm along a block's axes (k, j, i) from its first voxel; float32 (n, 3) each.

    Parameters
    ----------
    liver, other
        What is marked as liver, and as something else.
    last
        The last stroke, which is among these.
    is_liver
        What that one marks.
    """

    liver: Tensor
    other: Tensor
    last: Tensor
    is_liver: bool


def network_input(
    ct: Tensor,
    result: Tensor,
    marks: Marks,
    positions: Tensor,
    slice_mm: float,
    pixel_mm: float,
    offsets_mm: Sequence[float],
) -> Tensor:
    """The network's input for some slices of a block, float32 (n, channel, rows, columns).

    Parameters
    ----------
    ct
        Windowed to [-1, 1], (k, rows, columns).
    result
        How much of each voxel is liver now, 0 to 1, of that shape.
    marks
        The strokes.
    positions
        Which slices of the block, (n,), integer.
    slice_mm, pixel_mm
        The block's spacing.
    offsets_mm
        Of the card.
    """
    stacks = [neighbour_stacks(values, positions, slice_mm, offsets_mm) for values in (ct, 2 * result - 1)]
    spacing = (slice_mm, pixel_mm, pixel_mm)
    maps = [closeness(distance_mm(points, positions, ct.shape, spacing)) for points in (marks.liver, marks.other)]
    unlike = unlike_last(ct, marks.last, spacing)[positions][:, None]
    asked = closeness(distance_mm(marks.last, positions, ct.shape, spacing))[:, 1:]
    return torch.cat((*stacks, *maps, unlike, asked if marks.is_liver else -asked), dim=1)


def distance_mm(points: Tensor, positions: Tensor, shape: Sequence[int], spacing: Sequence[float]) -> Tensor:
    """Distance in mm of each voxel of some slices from the nearest point, infinite without one; float32 (n, r, c)."""
    along = [positions.float(), torch.arange(shape[1]), torch.arange(shape[2])]
    k, j, i = (axis.float().to(points.device) * mm for axis, mm in zip(along, spacing, strict=True))
    nearest = torch.full((len(k), len(j), len(i)), torch.inf, device=points.device)
    for point in thinned(points):
        in_slice = (j - point[1]).square()[:, None] + (i - point[2]).square()
        torch.minimum(nearest, (k - point[0]).square()[:, None, None] + in_slice, out=nearest)
    return nearest.sqrt_()


def thinned(points: Tensor) -> Tensor:
    """Points of lines, without those that lie close to the one kept before."""
    kept: list[Tensor] = []
    for point in points:
        if not kept or (point - kept[-1]).square().sum() >= APART_MM**2:
            kept.append(point)
    return torch.stack(kept) if kept else points


def closeness(distance: Tensor) -> Tensor:
    """Two maps of a distance (n, rows, columns) in mm: (n, 2, rows, columns), 1 at the stroke, 0 far off."""
    return torch.stack((torch.exp(-(distance / NEAR_MM).square()), (1 - distance / FAR_MM).clamp(min=0)), dim=1)


def unlike_last(ct: Tensor, last: Tensor, spacing: Sequence[float]) -> Tensor:
    """How much brighter, up to 1, or darker, down to -1, each voxel is than what the last stroke marks."""
    everywhere = torch.arange(len(ct), device=ct.device)
    around = distance_mm(last, everywhere, ct.shape, spacing) <= LIKE_MM
    middle = ct[around].mean() if around.any() else ct.new_zeros(())
    return ((ct - middle) / UNLIKE).clamp(-1, 1)
