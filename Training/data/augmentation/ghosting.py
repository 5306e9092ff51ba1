"""Ghosts of what moved."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from ...settings import WINDOW_HU
from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class Ghosting:
    """Add weak copies of the picture along rows or columns, as breathing and pulse leave along the phase in MR."""

    probability: float = 0.3
    strength: tuple[float, float] = (0.02, 0.15)
    shift_pixels: tuple[int, int] = (15, 80)

    def __call__(self, batch: Batch) -> Batch:
        low = WINDOW_HU[0]
        signal = (batch.hu - low).clamp(min=0)
        shift = int(torch.randint(*self.shift_pixels, ()))
        dimension = 2 + int(torch.rand(()) < 0.5)
        ghosts = torch.roll(signal, shift, dimension) + torch.roll(signal, -shift, dimension)
        strength = chosen(signal, self.probability) * uniform(signal, *self.strength)
        # Each slice moved in its own way.
        own = torch.rand(*signal.shape[:2], 1, 1, device=signal.device)
        return replace(batch, hu=low + signal + ghosts * strength * own)
