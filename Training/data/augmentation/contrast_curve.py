"""Another contrast of the same tissues."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ...settings import WINDOW_HU
from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class ContrastCurve:
    """Bend the curve of MR signal: a power of it, and another share of it fills the window."""

    probability: float = 0.6
    log_power: float = 0.5
    log_factor: float = 0.35

    def __call__(self, batch: Batch) -> Batch:
        low, high = WINDOW_HU
        bent = chosen(batch.hu, self.probability)
        power = (bent * uniform(batch.hu, -self.log_power, self.log_power)).exp()
        factor = (bent * uniform(batch.hu, -self.log_factor, self.log_factor)).exp()
        signal = ((batch.hu - low) / (high - low)).clamp(min=0)
        return replace(batch, hu=low + (high - low) * factor * signal**power)
