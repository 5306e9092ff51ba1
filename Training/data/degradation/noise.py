"""Noise, as less dose leaves it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume

from .painting import noise, whole
from .types import Degraded

# Window of the noise estimate in voxels: wide enough for its mean, narrow enough to miss most vessels.
NOISE_WINDOW = 5
SOFT_TISSUE_HU = (0, 200)


def noise_doubled(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Add Gaussian noise so that the noise's standard deviation doubles (variances add: √3 times what is there)."""
    added = np.sqrt(3.0) * estimate_noise(ct, labels)
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        hu[k] = whole(picture + noise(ct, added, rng))
    return replace(ct, hu=hu), labels


def estimate_noise(ct: CTVolume, labels: np.ndarray) -> float:
    """Standard deviation of the noise in HU: the median, over the liver, of the deviation in small windows.

    Windows of 5×5 voxels that lie wholly in label 1 of their slice; where there are fewer than 100, in soft tissue of
    0 to 200 HU; where there is none of that either, 0.
    """
    window = np.ones((NOISE_WINDOW, NOISE_WINDOW), bool)
    for region in (labels == 1, (ct.hu > SOFT_TISSUE_HU[0]) & (ct.hu < SOFT_TISSUE_HU[1])):
        deviations = np.concatenate(
            [
                _window_deviations(hu)[ndimage.binary_erosion(mask, window)]
                for hu, mask in zip(ct.hu, region, strict=True)
            ]
        )
        if len(deviations) >= 100:
            return float(np.median(deviations))
    return 0.0


def _window_deviations(picture: np.ndarray) -> np.ndarray:
    values = picture.astype(np.float64)
    mean = ndimage.uniform_filter(values, NOISE_WINDOW)
    variance = ndimage.uniform_filter(values**2, NOISE_WINDOW) - mean**2
    count = NOISE_WINDOW**2
    return np.sqrt(np.maximum(variance, 0) * count / (count - 1))
