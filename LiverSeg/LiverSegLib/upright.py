"""Oblique volumes: resampled so that slices are axial to the patient, and what was found brought back.

The network knows axial slices. Reordering axes serves every volume that is nearly aligned with the patient; one that
was reformatted or acquired at an angle is resampled in 3D once.
"""

from __future__ import annotations

import numpy as np

from .resample import corners, resample
from .volume import CTVolume

# Patients lie a few degrees off anyhow, and the network was trained on tilted ones too: below this, the volume's own
# slices serve.
LARGEST_ANGLE_DEGREES = 5.0
LARGEST_SLICE_SPACING_MM = 3.0
AIR_HU = -1000.0


def is_oblique(canonical: CTVolume) -> bool:
    """Whether the axes of the volume lie too far off the patient's to use its slices as they are."""
    return canonical.obliquity_degrees > LARGEST_ANGLE_DEGREES


def to_upright(canonical: CTVolume, pixel_mm: float) -> CTVolume:
    """The volume on an axis-aligned canonical grid that holds all of it, with square pixels of ``pixel_mm``."""
    outline = (canonical.affine @ corners(canonical.hu.shape, margin=0.5))[:3]
    low, high = outline.min(axis=1), outline.max(axis=1)
    spacing = np.array((pixel_mm, pixel_mm, min(canonical.spacing[0], LARGEST_SLICE_SPACING_MM)))
    size = np.maximum(1, np.ceil((high - low) / spacing)).astype(int)
    # i runs to the left and j to posterior, against R and A: those start at their highest coordinate.
    affine = np.diag((-spacing[0], -spacing[1], spacing[2], 1.0))
    affine[:3, 3] = np.array((high[0], high[1], low[2])) + np.diag(affine)[:3] / 2
    shape = (int(size[2]), int(size[1]), int(size[0]))
    hu = resample(canonical.hu.astype(np.float32), canonical.affine, shape, affine, order=1, fill=AIR_HU)
    return CTVolume(np.rint(hu).astype(np.int16), affine, canonical.name)


def interpolate_from_upright(array: np.ndarray, upright: CTVolume, canonical: CTVolume) -> np.ndarray:
    """Bring an array on the upright grid to the oblique one by linear interpolation; float32 (k, j, i)."""
    return resample(array.astype(np.float32), upright.affine, canonical.hu.shape, canonical.affine, order=1)
