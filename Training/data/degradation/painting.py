"""What several degradations do to some voxels of a scan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume

# Grain of the added noise: about what a soft-tissue reconstruction kernel leaves of white noise.
GRAIN_MM = 0.6
FILLED_NOISE_HU = 12.0


def noise(ct: CTVolume, deviation_hu: float, rng: np.random.Generator) -> np.ndarray:
    """Noise for one slice, with the grain of a soft-tissue kernel; float32 (rows, columns)."""
    sigma = [GRAIN_MM / mm for mm in ct.spacing[1:]]
    grain = ndimage.gaussian_filter(rng.standard_normal(ct.hu.shape[1:], dtype=np.float32), sigma)
    return grain * (deviation_hu / grain.std())


def filled(ct: CTVolume, where: np.ndarray, level_hu: float, rng: np.random.Generator) -> CTVolume:
    hu = ct.hu.copy()
    for k in np.flatnonzero(where.any(axis=(1, 2))):
        wanted = level_hu + noise(ct, FILLED_NOISE_HU, rng)
        share = soft(where[k], ct.spacing[1:])
        hu[k] = whole(hu[k] + share * (wanted - hu[k]))
    return replace(ct, hu=hu)


def parenchyma_hu(ct: CTVolume, labels: np.ndarray) -> float:
    """Median HU of the liver without its tumours; 0 if there is none."""
    return float(np.median(ct.hu[labels == 1])) if (labels == 1).any() else 0.0


def soft(mask: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """A mask of a slice as shares, blended over about 2 mm at its edge; float32."""
    return ndimage.gaussian_filter(mask.astype(np.float32), [1.0 / mm for mm in spacing])


def whole(values: np.ndarray) -> np.ndarray:
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(values), limits.min, limits.max).astype(np.int16)
