"""Lesions, cysts and iodised oil in the liver."""

from __future__ import annotations

import numpy as np

from LiverSegLib.data.volume import CTVolume

from .painting import filled, parenchyma_hu
from .types import Degraded

LESIONS, LESION_RADIUS_MM, LESION_HU, LESION_BELOW_LIVER_HU = 8, (6.0, 25.0), 25.0, 40.0
BRIGHT_LESIONS, BRIGHT_RADIUS_MM, BRIGHT_ABOVE_LIVER_HU = 4, (10.0, 30.0), 70.0
OIL_DEPOSITS, OIL_RADIUS_MM, OIL_HU = 3, (15.0, 30.0), 500.0
CYSTS, CYST_RADIUS_MM, CYST_HU = 80, (5.0, 20.0), 8.0
LARGE_CYST_RADIUS_MM = (45.0, 60.0)


def dark_lesions(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Eight balls of 12 to 50 mm about places in the liver, cut off at its edge: metastases or cysts, labelled tumour.

    They have 25 HU, in a dark liver 40 HU less than it.
    """
    lesions = _balls(ct, labels, rng, LESIONS, LESION_RADIUS_MM)
    level = min(LESION_HU, parenchyma_hu(ct, labels) - LESION_BELOW_LIVER_HU)
    return filled(ct, lesions, level, rng), np.where(lesions, 2, labels).astype(labels.dtype)


def bright_lesions(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Four balls of 20 to 60 mm, 70 HU brighter than the liver: tumours in the arterial phase, labelled so."""
    lesions = _balls(ct, labels, rng, BRIGHT_LESIONS, BRIGHT_RADIUS_MM)
    level = parenchyma_hu(ct, labels) + BRIGHT_ABOVE_LIVER_HU
    return filled(ct, lesions, level, rng), np.where(lesions, 2, labels).astype(labels.dtype)


def iodised_oil(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Three balls of 30 to 60 mm in the liver with 500 HU, as iodised oil leaves after chemoembolisation."""
    return filled(ct, _balls(ct, labels, rng, OIL_DEPOSITS, OIL_RADIUS_MM), OIL_HU, rng), labels


def many_cysts(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Eighty balls of water of 10 to 40 mm in the liver: a polycystic one. They count as liver, not as tumours."""
    return filled(ct, _balls(ct, labels, rng, CYSTS, CYST_RADIUS_MM), CYST_HU, rng), labels


def large_cyst(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """A ball of water of 90 to 120 mm in the liver, cut off at its edge, which counts as liver, not as a tumour."""
    return filled(ct, _balls(ct, labels, rng, 1, LARGE_CYST_RADIUS_MM), CYST_HU, rng), labels


def _balls(
    ct: CTVolume, labels: np.ndarray, rng: np.random.Generator, count: int, radius_mm: tuple[float, float]
) -> np.ndarray:
    """That many balls about random places in the liver, cut off at its edge; bool (k, j, i)."""
    places = np.argwhere(labels > 0)
    balls = np.zeros(labels.shape, bool)
    for place in rng.choice(places, count) if len(places) else ():
        radius = rng.uniform(*radius_mm)
        reach = [int(radius / mm) + 1 for mm in ct.spacing]
        box = tuple(
            slice(max(0, at - far), min(size, at + far + 1))
            for at, far, size in zip(place, reach, labels.shape, strict=True)
        )
        k, j, i = ((index - at) * mm for index, at, mm in zip(np.ogrid[box], place, ct.spacing, strict=True))
        balls[box] |= k**2 + j**2 + i**2 <= radius**2
    return balls & (labels > 0)
