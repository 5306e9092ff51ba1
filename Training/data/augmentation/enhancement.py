"""Another contrast phase."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class Enhancement:
    """Weaken or strengthen what lies above 40 HU, as another contrast phase, or none, would."""

    probability: float = 0.4
    factor: tuple[float, float] = (0.2, 1.4)

    def __call__(self, batch: Batch) -> Batch:
        factor = torch.where(chosen(batch.hu, self.probability), uniform(batch.hu, *self.factor), 1.0)
        return replace(batch, hu=batch.hu.clamp(max=40) + (batch.hu - 40).clamp(min=0) * factor)
