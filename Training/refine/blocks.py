"""Blocks of slices round a place at the outline of a liver, each turned and scaled in its own way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.stroke_block import step_of

from ..data.sample import AIR_HU
from ..data.stored import PreparedScan
from .settings import HALF_HEIGHT_MM, SIDE, SLICE_MM, SPACING_MM

ROTATION_DEGREES, LARGEST_SCALE = 15.0, 1.2
# Share of the blocks mirrored from left to right, and from front to back: a network that knows its patients by heart
# would not need to listen.
MIRRORED = 0.15
# Between the middle of a block and the place at the outline that it was cut for.
SHIFT_PIXELS = 10
# What is cut before it is turned, in pixels.
CUT = 144


@dataclass(frozen=True)
class Block:
    """HU float32 and labels uint8, (k, rows, columns), of every few slices; how far these lie apart."""

    hu: Tensor
    labels: Tensor
    slice_mm: float

    @property
    def spacing(self) -> tuple[float, float, float]:
        """In mm along (k, j, i)."""
        return self.slice_mm, SPACING_MM, SPACING_MM


def cut_block(scan: PreparedScan, liver_labels: tuple[int, ...], rng: np.random.Generator) -> Block:
    """A block of a scan round a random place at the outline of its liver."""
    step = step_of(scan.slice_spacing, SLICE_MM)
    middle, row, column = _place_at_outline(scan, liver_labels, rng)
    reach = int(HALF_HEIGHT_MM / (step * scan.slice_spacing)) * step
    slices = [k for k in range(middle - reach, middle + reach + 1, step) if 0 <= k < scan.shape[0]]
    low, high = slices[0], slices[-1] + 1
    top, left = row - CUT // 2, column - CUT // 2
    hu = _cut(scan.hu(low, high)[::step], top, left, AIR_HU)
    labels = _cut(scan.labels(low, high)[::step], top, left, 0)
    grid = functional.affine_grid(_random_matrix(rng), [1, 1, SIDE, SIDE], align_corners=False)
    hu = functional.grid_sample(hu[None] - AIR_HU, grid, align_corners=False)[0] + AIR_HU
    labels = functional.grid_sample(labels[None].float(), grid, mode="nearest", align_corners=False)[0]
    return Block(hu, labels.round().to(torch.uint8), step * scan.slice_spacing)


def _place_at_outline(
    scan: PreparedScan, liver_labels: tuple[int, ...], rng: np.random.Generator
) -> tuple[int, int, int]:
    k = int(rng.choice(scan.liver_slices))
    liver = np.isin(scan.labels(k, k + 1)[0].numpy(), liver_labels)
    outline = np.argwhere(liver & ~ndimage.binary_erosion(liver))
    j, i = outline[rng.integers(len(outline))] + rng.integers(-SHIFT_PIXELS, SHIFT_PIXELS + 1, 2)
    return k, int(j), int(i)


def _cut(stack: Tensor, top: int, left: int, fill: float) -> Tensor:
    rows, columns = stack.shape[-2:]
    return functional.pad(stack, (-left, left + CUT - columns, -top, top + CUT - rows), value=fill)


def _random_matrix(rng: np.random.Generator) -> Tensor:
    """Of ``affine_grid``, from a block's pixels to those that are cut."""
    angle = math.radians(rng.uniform(-1, 1) * ROTATION_DEGREES)
    rotation = np.array(((math.cos(angle), -math.sin(angle)), (math.sin(angle), math.cos(angle))))
    scale = np.exp(rng.uniform(-1, 1, 2) * 0.4 * math.log(LARGEST_SCALE) + rng.uniform(-1, 1) * math.log(LARGEST_SCALE))
    matrix = np.zeros((1, 2, 3), np.float32)
    mirror = np.where(rng.random(2) < MIRRORED, -1, 1)
    matrix[0, :, :2] = rotation @ np.diag(scale * mirror) * SIDE / CUT
    return torch.from_numpy(matrix)
