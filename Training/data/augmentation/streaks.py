"""Metal and its streaks."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from ..sample import Batch
from .chance import uniform


@dataclass
class Streaks:
    """Draw a piece of metal and streaks from it: random HU by direction, fading with the distance."""

    probability: float = 0.1
    radius_pixels: tuple[float, float] = (1.0, 6.0)
    sigma_hu: tuple[float, float] = (10.0, 150.0)
    reach_pixels: tuple[float, float] = (30.0, 120.0)
    directions: int = 180
    metal_hu: float = 3000.0

    def __call__(self, batch: Batch) -> Batch:
        where = torch.nonzero(torch.rand(len(batch.hu)) < self.probability)[:, 0].to(batch.hu.device)
        if len(where) == 0:
            return batch
        hu = batch.hu[where]
        rows, columns = hu.shape[2:]
        y = torch.arange(rows, device=hu.device).view(1, 1, -1, 1) - uniform(hu, 0.2, 0.8) * rows
        x = torch.arange(columns, device=hu.device).view(1, 1, 1, -1) - uniform(hu, 0.2, 0.8) * columns
        distance = torch.hypot(y, x)
        # Cubes of normal numbers: most directions are quiet, a few strong.
        star = torch.randn(len(hu), self.directions, device=hu.device) ** 3 / 15**0.5
        direction = (torch.atan2(y, x) / (2 * math.pi) * self.directions).remainder(self.directions)
        before = direction.floor().long() % self.directions
        along = [star.gather(1, index.flatten(1)).view_as(y + x) for index in (before, (before + 1) % self.directions)]
        pattern = torch.lerp(*along, direction - direction.floor()) * uniform(hu, *self.sigma_hu)
        pattern = pattern * torch.exp(-distance / uniform(hu, *self.reach_pixels))
        # The slices of a stack lie at different heights of the metal.
        hu = hu + pattern * uniform(hu, 0.3, 1.0, hu.shape[1], 1, 1)
        metal = (distance < uniform(hu, *self.radius_pixels)) & ~batch.liver[where][:, None]
        return replace(batch, hu=batch.hu.index_copy(0, where, hu.masked_fill(metal, self.metal_hu)))
