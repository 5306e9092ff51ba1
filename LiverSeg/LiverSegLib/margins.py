"""From logits to decisions: log-odds that can be interpolated and averaged, then labels or probabilities."""

from __future__ import annotations

import torch
from torch import Tensor


def class_margins(logits: Tensor) -> Tensor:
    """From logits (n, 3, ...) to two log-odds (n, 2, ...): liver ∪ tumour against background, tumour against liver.

    The first is the logarithm of (p_liver + p_tumour) / p_background, as in training: where liver and tumour compete,
    their sum still counts.
    """
    background, liver, tumour = logits.unbind(1)
    return torch.stack((torch.logaddexp(liver, tumour) - background, tumour - liver), dim=1)


def labels_from_margins(margins: Tensor) -> Tensor:
    """Labels uint8 (n, ...): 0 background, 1 liver, 2 tumour."""
    liver = margins[:, 0] > 0
    return liver.to(torch.uint8) + (liver & (margins[:, 1] > 0)).to(torch.uint8)


def probabilities_from_margins(margins: Tensor) -> Tensor:
    """Class probabilities (3, n, ...)."""
    either, tumour = margins.sigmoid().unbind(1)
    return torch.stack((1 - either, either * (1 - tumour), either * tumour))
