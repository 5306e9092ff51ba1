"""Lobes that reach further than in our data: down to the pelvis (Riedel's lobe, large livers), left to the spleen.

Liver of the same patient, from a higher slice or stretched to the left, is laid where hardly a liver of ours has any,
and labelled as what it is: so the network knows liver by its look, and not by its place alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .density import smooth
from .dilate import dilate

# How far below the liver's lowest slice a lobe may reach; it is cut from this lower part of the liver.
BELOW_MM, LOWER_PART = 150.0, 0.6
DOWN_MM, LEFT_MM = (-40.0, 15.0), (-25.0, 40.0)  # it is moved by so much, to the back and to the left
# The left part of a slice's liver is stretched, and bent to the back or the front.
LEFT_PART, STRETCH, BEND_MM = (0.2, 0.6), (1.3, 2.5), (-20.0, 50.0)
# Lobes lie within the abdominal wall and spare bone; what is darker than this, and no darker things around, is body.
AIR_HU, BONE_HU, WALL_PIXELS = -125.0, 200.0, 8


@dataclass(frozen=True)
class Lobe:
    """A lobe of the slice at ``position``, cut so many slices higher, and how it is changed, in pixels.

    It is moved by ``shift``, rows and columns; or what lies in the ``left_part`` of the liver's columns is stretched to
    the left, and its end moved back by ``bend``.
    """

    position: int
    higher: int = 0
    shift: tuple[float, float] = (0.0, 0.0)
    left_part: float = 1.0
    stretch: float = 1.0
    bend: float = 0.0


def draw_lobe(liver_slices: np.ndarray, slice_spacing: float, pixel_mm: float, rng: np.random.Generator) -> Lobe:
    """A low or, as often, a left lobe.

    Parameters
    ----------
    liver_slices
        Indices of the slices with liver, from feet to head, at least one.
    slice_spacing, pixel_mm
        In mm.
    rng
        Whence all that is random.
    """
    if rng.random() < 0.5:
        lower = liver_slices[: max(1, int(LOWER_PART * len(liver_slices)))]
        position = max(0, int(lower[-1] - rng.integers(len(lower) + int(BELOW_MM / slice_spacing))))
        shift = (rng.uniform(*DOWN_MM) / pixel_mm, rng.uniform(*LEFT_MM) / pixel_mm)
        return Lobe(position, int(rng.choice(lower)) - position, shift)
    left_part, stretch, bend_mm = rng.uniform(*LEFT_PART), rng.uniform(*STRETCH), rng.uniform(*BEND_MM)
    return Lobe(int(rng.choice(liver_slices)), left_part=left_part, stretch=stretch, bend=bend_mm / pixel_mm)


def add_lobe(hu: Tensor, labels: Tensor, donor_hu: Tensor, donor_labels: Tensor, lobe: Lobe) -> tuple[Tensor, Tensor]:
    """Lay the donor's liver, changed as the lobe says, over what is not liver, inside the abdominal wall.

    Parameters
    ----------
    hu, labels
        Slices in HU, float, and what they show, uint8, both (n, rows, columns).
    donor_hu, donor_labels
        The slices that the lobe is cut from, the same shape.
    lobe
        What is done with it.

    Returns
    -------
    New HU and labels. The edge is as soft as one of 3 pixels; liver that was there stays.
    """
    columns = torch.nonzero((donor_labels > 0).any(0).any(0))[:, 0]
    if len(columns) == 0:
        return hu, labels
    grid = _grid(lobe, hu, int(columns[0]), int(columns[-1]))
    moved_hu, moved_labels = (
        functional.grid_sample(image[None].float(), grid, mode=mode, align_corners=True)[0]
        for image, mode in ((donor_hu, "bilinear"), (donor_labels, "nearest"))
    )
    other = (labels == 0) & (hu < BONE_HU) & _inside_wall(hu)
    place = (moved_labels > 0) & other
    share = smooth(place.float()) * other
    return torch.lerp(hu, moved_hu, share), torch.where(place, moved_labels.to(labels.dtype), labels)


def _grid(lobe: Lobe, hu: Tensor, first: int, last: int) -> Tensor:
    """Where each pixel comes from, for ``grid_sample``; shape (1, rows, columns, 2)."""
    rows, columns = hu.shape[-2:]
    y, x = (torch.arange(size, device=hu.device, dtype=torch.float32) for size in (rows, columns))
    start = last - lobe.left_part * (last - first)
    beyond = (x - start).clamp(min=0)
    from_x = torch.where(x < start, x, start + beyond / lobe.stretch) - lobe.shift[1]
    length = max(1.0, lobe.stretch * (last - start))
    from_y = y[:, None] - lobe.shift[0] - lobe.bend * (beyond / length).clamp(max=1) ** 2
    from_x = from_x.expand(rows, columns)
    return torch.stack((2 * from_x / (columns - 1) - 1, 2 * from_y / (rows - 1) - 1), dim=-1)[None]


def _inside_wall(hu: Tensor) -> Tensor:
    """What lies between body's outermost pixels in rows and in columns, without a rim; bool, shaped like ``hu``.

    Where a scan is clipped above air, its darkest value stands for it.
    """
    body = hu > max(AIR_HU, float(hu.min()) + 1)
    inside = torch.ones_like(body)
    for axis in (-1, -2):
        forwards = body.cumsum(axis) > 0
        backwards = body.flip(axis).cumsum(axis).flip(axis) > 0
        inside &= forwards & backwards
    return dilate((~inside).float()[None], WALL_PIXELS)[0] == 0
