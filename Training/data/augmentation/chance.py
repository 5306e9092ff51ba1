"""Random numbers for whole batches on their device."""

from __future__ import annotations

import torch
from torch import Tensor


def uniform(like: Tensor, low: float, high: float, *shape: int) -> Tensor:
    """One random number a sample (or a tensor of ``shape`` a sample), shaped to broadcast over (n, ...)."""
    return torch.empty(len(like), *(shape or (1, 1, 1)), device=like.device).uniform_(low, high)


def chosen(like: Tensor, probability: float) -> Tensor:
    """Which samples an augmentation applies to, shape (n, 1, 1, 1), bool."""
    return torch.rand(len(like), 1, 1, 1, device=like.device) < probability
