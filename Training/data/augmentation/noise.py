"""Noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class Noise:
    """Gaussian noise, white or grainy, up to ``sigma_hu``; each slice of the stack has its own."""

    probability: float = 0.5
    sigma_hu: float = 30.0

    def __call__(self, batch: Batch) -> Batch:
        noise = torch.randn_like(batch.hu)
        if torch.rand(()) < 0.5:
            # A 3×3 mean leaves a third of the deviation: multiplied back, the grain is coarser and as strong.
            noise = 3 * functional.avg_pool2d(noise, 3, stride=1, padding=1)
        sigma = chosen(batch.hu, self.probability) * uniform(batch.hu, 0, self.sigma_hu)
        return replace(batch, hu=batch.hu + noise * sigma)
