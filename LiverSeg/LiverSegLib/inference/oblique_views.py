"""Oblique volumes: resampled so that slices are axial to the patient, and what was found brought back.

The network knows axial slices. Reordering axes serves every volume that is nearly aligned with the patient; one that
was reformatted or acquired at an angle is resampled in 3D once.
"""

from __future__ import annotations

import numpy as np

from .. import messages
from ..data.geometry import Geometry
from ..data.resample import resample
from ..data.volume import CTVolume
from ..errors import InputError

# Patients lie a few degrees off anyhow, and the network was trained on tilted ones too: below this, the volume's own
# slices serve.
LARGEST_ANGLE_DEGREES = 5.0
LARGEST_SLICE_SPACING_MM = 3.0
# Finer ones would tell the network nothing.
SMALLEST_SLICE_SPACING_MM = 0.5
# Two gigabytes: no whole-body scan needs a third of it, but a header that lies would ask for any number. Nor does a
# scan grow so much, unless it is small: a few voxels that claim to be metres apart would keep the network busy.
MOST_VOXELS = 10**9
LARGEST_GROWTH, SMALL_VOXELS = 64, 2 * 10**7
AIR_HU = -1000.0


def is_oblique(canonical: CTVolume) -> bool:
    """Whether the axes of the volume lie too far off the patient's to use its slices as they are."""
    return canonical.geometry.obliquity_degrees > LARGEST_ANGLE_DEGREES


def to_upright(canonical: CTVolume, pixel_mm: float) -> CTVolume:
    """The volume on an axis-aligned canonical grid that holds all of it, with square pixels of ``pixel_mm``.

    Raises
    ------
    InputError
        If this grid would have far more voxels than the volume has, or more than :data:`MOST_VOXELS`.
    """
    outline = canonical.geometry.outline()
    low, high = outline.min(axis=1), outline.max(axis=1)
    slice_mm = np.clip(canonical.spacing[0], SMALLEST_SLICE_SPACING_MM, LARGEST_SLICE_SPACING_MM)
    spacing = np.array((pixel_mm, pixel_mm, slice_mm))
    exact_size = np.maximum(1, np.ceil((high - low) / spacing))
    if exact_size.prod() > min(MOST_VOXELS, max(LARGEST_GROWTH * canonical.hu.size, SMALL_VOXELS)):
        raise InputError(messages.TOO_LARGE_UPRIGHT.format(name=canonical.name))
    size = exact_size.astype(int)
    # i runs to the left and j to posterior, against R and A: those start at their highest coordinate.
    affine = np.diag((-spacing[0], -spacing[1], spacing[2], 1.0))
    affine[:3, 3] = np.array((high[0], high[1], low[2])) + np.diag(affine)[:3] / 2
    grid = Geometry((int(size[2]), int(size[1]), int(size[0])), affine)
    return CTVolume(resample(canonical.hu, canonical.geometry, grid, fill=AIR_HU), affine, canonical.name)


def interpolate_from_upright(
    array: np.ndarray, first: tuple[int, int, int], upright: CTVolume, canonical: CTVolume, slices: range, fill: float
) -> np.ndarray:
    """Bring a part of an array on the upright grid to some slices of the oblique one by linear interpolation.

    Parameters
    ----------
    array
        Values of any real dtype, shape (k, j, i).
    first
        Index (k, j, i) of its first voxel on the upright grid.
    slices
        Slices of the oblique volume.
    fill
        Value outside the part.

    Returns
    -------
    float32 (slices, j, i).
    """
    part = upright.geometry.part(first, array.shape)
    wanted = canonical.geometry.part((slices.start, 0, 0), (len(slices), *canonical.hu.shape[1:]))
    return resample(array.astype(np.float32, copy=False), part, wanted, fill=fill)


def slices_of_part(
    shape: tuple[int, ...], first: tuple[int, int, int], upright: CTVolume, canonical: CTVolume
) -> range:
    """The slices of the oblique volume that meet a part of the upright grid, given its shape and first voxel."""
    part = upright.geometry.part(first, shape)
    heights = (np.linalg.solve(canonical.affine, part.affine) @ part.corners(margin=0.5))[2]
    count = len(canonical.hu)
    start, stop = np.clip((np.floor(heights.min()), np.ceil(heights.max()) + 1), 0, count).astype(int)
    return range(int(start), int(stop))
