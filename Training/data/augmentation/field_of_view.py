"""A smaller field of view."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..sample import AIR_HU, Batch
from .chance import chosen, uniform


@dataclass
class FieldOfView:
    """Black out what a smaller field of view would not show: a strip at each side of the image."""

    probability: float = 0.1
    strip_pixels: int = 60

    def __call__(self, batch: Batch) -> Batch:
        rows, columns = batch.hu.shape[2:]
        row = torch.arange(rows, device=batch.hu.device).view(1, 1, -1, 1)
        column = torch.arange(columns, device=batch.hu.device).view(1, 1, 1, -1)
        top, bottom, left, right = (uniform(batch.hu, -self.strip_pixels, self.strip_pixels) for _ in range(4))
        hidden = (row < top) | (row >= rows - bottom) | (column < left) | (column >= columns - right)
        hidden = hidden & chosen(batch.hu, self.probability)
        return replace(
            batch,
            hu=batch.hu.masked_fill(hidden, AIR_HU),
            labels=batch.labels.masked_fill(hidden[:, 0], 0),
        )
