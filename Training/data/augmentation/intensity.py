"""Calibration, beam hardening and uneven fat."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ..sample import Batch
from .chance import uniform


@dataclass
class Intensity:
    """Scale and shift HU, and add a smooth field, as calibration, beam hardening and uneven fat do."""

    scale: tuple[float, float] = (0.85, 1.15)
    shift_hu: float = 25.0
    field_hu: float = 12.0

    def __call__(self, batch: Batch) -> Batch:
        hu = (batch.hu - 60) * uniform(batch.hu, *self.scale) + 60 + uniform(batch.hu, -self.shift_hu, self.shift_hu)
        coarse = torch.randn(len(hu), 1, 4, 4, device=hu.device) * self.field_hu * uniform(hu, 0, 1)
        field = functional.interpolate(coarse, size=hu.shape[-2:], mode="bicubic", align_corners=True)
        return replace(batch, hu=hu + field)
