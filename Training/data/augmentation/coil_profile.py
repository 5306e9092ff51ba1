"""The profile of receiver coils."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ...settings import WINDOW_HU
from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class CoilProfile:
    """Multiply MR signal by a smooth field: near a coil it is several times as strong as deep in the body."""

    probability: float = 0.7
    log_deviation: float = 0.5

    def __call__(self, batch: Batch) -> Batch:
        low = WINDOW_HU[0]
        strength = chosen(batch.hu, self.probability) * uniform(batch.hu, 0, self.log_deviation)
        coarse = torch.randn(len(batch.hu), 1, 4, 4, device=batch.hu.device) * strength
        field = functional.interpolate(coarse, size=batch.hu.shape[-2:], mode="bicubic", align_corners=True)
        return replace(batch, hu=low + (batch.hu - low).clamp(min=0) * field.exp())
