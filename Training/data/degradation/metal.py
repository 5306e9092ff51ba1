"""Metal and its streaks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume

from .painting import whole
from .types import Degraded

METAL_HU, METAL_RADIUS_MM = 3000, 4.0
STREAKS, STREAK_HU, STREAK_DEGREES = 36, 120.0, (1.0, 4.0)
STREAK_REACH_MM, STREAK_HALF_HEIGHT_MM, METAL_TO_LIVER_MM = 120.0, 15.0, 40.0


def streaks(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """A piece of metal of 8 mm within 40 mm of the liver, and bright and dark streaks from it.

    Drawn, not simulated: wedges of random sign, width and strength that fade with the distance from the metal and with
    the slices above and below it. Real streaks come from projections and are longest along dense bone.
    """
    place = _place_of_metal(ct, labels, rng)
    if place is None:
        return ct, labels
    k0, j0, i0 = place
    down, left = np.ogrid[: ct.hu.shape[1], : ct.hu.shape[2]]
    y, x = (down - j0) * ct.spacing[1], (left - i0) * ct.spacing[2]
    radius = np.hypot(y, x)
    pattern = _star(np.degrees(np.arctan2(y, x)), rng) * np.exp(-radius / STREAK_REACH_MM)
    hu = ct.hu.copy()
    height = np.abs(np.arange(len(hu)) - k0) * ct.spacing[0]
    for k in np.flatnonzero(height < STREAK_HALF_HEIGHT_MM):
        # The slice of the metal itself has all of it, the farthest almost nothing.
        hu[k] = whole(hu[k] + pattern * (1 - height[k] / STREAK_HALF_HEIGHT_MM))
        metal = np.hypot(radius, height[k]) <= METAL_RADIUS_MM
        hu[k][metal & (labels[k] == 0)] = METAL_HU
    return replace(ct, hu=hu), labels


def _place_of_metal(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A voxel (k, j, i) of the body outside the liver, in a slice of its middle half; None if there is none."""
    with_liver = np.flatnonzero(labels.any(axis=(1, 2)))
    if not len(with_liver):
        return None
    k = int(rng.choice(with_liver[len(with_liver) // 4 : len(with_liver) * 3 // 4 + 1]))
    distance = ndimage.distance_transform_edt(labels[k] == 0, sampling=ct.spacing[1:])
    near = (distance > METAL_RADIUS_MM) & (distance < METAL_TO_LIVER_MM) & (ct.hu[k] > -50)
    places = np.argwhere(near)
    return np.array((k, *rng.choice(places))) if len(places) else None


def _star(degrees: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """HU of the streaks by direction, before they fade: float64, the directions' shape."""
    star = np.zeros(degrees.shape)
    directions, widths = rng.uniform(-180, 180, STREAKS), rng.uniform(*STREAK_DEGREES, STREAKS)
    for direction, width, strength in zip(directions, widths, rng.normal(0, STREAK_HU, STREAKS), strict=True):
        off = (degrees - direction + 180) % 360 - 180
        star += strength * np.exp(-0.5 * (off / width) ** 2)
    return star
