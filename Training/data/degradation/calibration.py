"""A scanner out of calibration."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from LiverSegLib.data.volume import CTVolume

from .painting import whole
from .types import Degraded


def shift_plus_30(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Every voxel 30 HU brighter: a scanner out of calibration."""
    return replace(ct, hu=whole(ct.hu.astype(np.float32) + 30)), labels


def shift_minus_30(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Every voxel 30 HU darker."""
    return replace(ct, hu=whole(ct.hu.astype(np.float32) - 30)), labels
