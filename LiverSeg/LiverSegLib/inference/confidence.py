"""How sure the network is of a liver, measured on its own log-odds, and what Dice that has meant before."""

from __future__ import annotations

import math

import torch
from torch import Tensor

# Log-odds from which on the network is sure of a voxel: it calls it liver with 98 %.
_SURE = 4.0
# Dice of exactly 0 or 1 has no log-odds.
_NEAREST_TO_CERTAIN = 1e-4


class SelfAgreement:
    """Dice that the network expects of its own result, summed batch by batch over all slices.

    If each voxel were liver with the network's probability p, and independently of the others, the Dice between the
    voxels found (p > 1/2) and the truth would be expected near 2 Σ_found p / (Σ_found 1 + Σ p): 1 where it is certain
    of every voxel. Networks are too sure of themselves, so :func:`expected_dice` corrects it by what was measured.
    """

    def __init__(self) -> None:
        self._found = self._expected = self._common = self._sure = 0.0

    def add(self, log_odds: Tensor) -> None:
        """Count slices in, by their log-odds of liver ∪ tumour against background, any shape."""
        probability = torch.sigmoid(log_odds.float())
        found = log_odds > 0
        self._found += float(found.sum())
        self._expected += float(probability.sum())
        self._common += float((probability * found).sum())
        self._sure += float((log_odds > _SURE).sum())

    @property
    def value(self) -> float:
        """0 to 1; 0 if nothing was found."""
        return 2 * self._common / (self._found + self._expected) if self._found else 0.0

    @property
    def sure_share(self) -> float:
        """Share of the voxels found that the network is sure of, 0 to 1; 0 if nothing was found."""
        return self._sure / self._found if self._found else 0.0


def expected_dice(self_agreement: float, intercept: float, slope: float) -> float:
    """Dice to be expected of a result, 0 to 1, from what the network expects itself.

    A straight line between log-odds (Platt scaling; Platt, Advances in Large Margin Classifiers, 1999), fitted by
    ``Training.evaluation.calibrate`` on patients that the network had not seen.
    """
    return 1 / (1 + math.exp(-intercept - slope * log_odds(self_agreement)))


def log_odds(share: float) -> float:
    """Logarithm of share / (1 - share), for shares from 0 to 1."""
    share = min(max(share, _NEAREST_TO_CERTAIN), 1 - _NEAREST_TO_CERTAIN)
    return math.log(share / (1 - share))
