"""Scans that were clipped to a window."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class Clip:
    """Clip to a random window inside the network's, since some training scans are clipped and some users' are."""

    probability: float = 0.4
    low: tuple[float, float] = (-160.0, -40.0)
    high: tuple[float, float] = (160.0, 240.0)

    def __call__(self, batch: Batch) -> Batch:
        clip = chosen(batch.hu, self.probability)
        low = torch.where(clip, uniform(batch.hu, *self.low), -torch.inf)
        high = torch.where(clip, uniform(batch.hu, *self.high), torch.inf)
        return replace(batch, hu=batch.hu.clamp(low, high))
