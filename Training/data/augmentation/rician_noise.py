"""Noise of MR."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from ...settings import WINDOW_HU
from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class RicianNoise:
    """The magnitude of a signal with noise in both of its parts (Gudbjartsson and Patz, MRM 34, 1995).

    So the background is not dark. A share ``smooth_share`` of batches has noise of coarser grain, as interpolation
    by the scanner leaves.
    """

    probability: float = 0.7
    sigma: float = 0.08
    smooth_share: float = 0.5

    def __call__(self, batch: Batch) -> Batch:
        low, high = WINDOW_HU
        noise = torch.randn(2, *batch.hu.shape, device=batch.hu.device)
        if torch.rand(()) < self.smooth_share:
            # A 3×3 mean leaves a third of the deviation.
            noise = 3 * functional.avg_pool2d(noise.flatten(0, 1), 3, stride=1, padding=1).view_as(noise)
        sigma = (high - low) * chosen(batch.hu, self.probability) * uniform(batch.hu, 0, self.sigma)
        real, imaginary = noise * sigma
        return replace(batch, hu=low + torch.hypot((batch.hu - low).clamp(min=0) + real, imaginary))
