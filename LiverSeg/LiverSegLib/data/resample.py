"""Bring an array from one voxel grid to another where both lie in the patient."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy import ndimage

from .. import messages
from ..errors import InputError

# A hundredth of a voxel is what rounding in a header can do, far from what could change a voxel.
SAME_GRID_TOLERANCE_VOXELS = 0.01
# With less of the reference inside the image, the comparison is about a part of the liver, and the user should know.
WHOLE_REFERENCE_SHARE = 0.99


def resample(
    array: np.ndarray,
    affine: np.ndarray,
    target_shape: tuple[int, ...],
    target_affine: np.ndarray,
    order: int = 1,
    fill: float = 0.0,
) -> np.ndarray:
    """Resample in physical space.

    Parameters
    ----------
    array
        Values of any real dtype, shape (k, j, i).
    affine, target_affine
        4×4 IJK→RAS matrices in mm of the given and the wanted grid.
    target_shape
        Wanted shape (k, j, i).
    order
        0 for labels (nearest neighbour), 1 for images (trilinear). Nothing is smoothed before a grid gets coarser.
    fill
        Value outside the faces of the outermost voxels; up to those faces the outermost voxels' value goes on.

    Returns
    -------
    Array of the wanted shape and of the input's dtype; integers are rounded.
    """
    matrix, offset = _target_to_source(affine, target_affine)
    array = _native_byte_order(array)
    grid = {"matrix": matrix, "offset": offset, "output_shape": tuple(target_shape)}
    if order == 0:
        return ndimage.affine_transform(array, order=0, mode="grid-constant", cval=fill, **grid)
    values = ndimage.affine_transform(array, order=order, mode="nearest", **grid)
    everywhere = np.broadcast_to(np.uint8(1), array.shape)
    inside = ndimage.affine_transform(everywhere, order=0, mode="grid-constant", cval=0, **grid)
    values[inside == 0] = fill
    return values


def reference_on_grid(
    labels: np.ndarray, labels_affine: np.ndarray, shape: tuple[int, ...], affine: np.ndarray
) -> tuple[np.ndarray, list[str]]:
    """Bring a reference segmentation to the grid of an image.

    Parameters
    ----------
    labels
        Label map, uint8 (k, j, i), 0 is background.
    labels_affine, affine
        4×4 IJK→RAS matrices in mm of the labels and of the image.
    shape
        Shape (k, j, i) of the image.

    Returns
    -------
    labels
        uint8 on the image's grid: the array that was given if the grids are the same, else the nearest neighbours.
    warnings
        Sentences for the user: that it was resampled, and that a part of it lies outside the image.

    Raises
    ------
    InputError
        If the reference, or all that is labelled in it, lies outside the image.
    """
    if same_grid(labels.shape, labels_affine, shape, affine):
        return labels, []
    share = _share_inside(labels, labels_affine, shape, affine)
    if share == 0 or not _boxes_overlap(labels.shape, labels_affine, shape, affine):
        raise InputError(messages.NO_OVERLAP)
    grids = {"reference": _described(labels.shape, labels_affine), "image": _described(shape, affine)}
    warnings = [messages.OTHER_GRID.format(**grids, distance=_distance(labels.shape, labels_affine, shape, affine))]
    if share < WHOLE_REFERENCE_SHARE:
        warnings.append(messages.PARTLY_OUTSIDE.format(share=1 - share))
    return resample(labels, labels_affine, shape, affine, order=0), warnings


def same_grid(
    shape: tuple[int, ...],
    affine: np.ndarray,
    other_shape: tuple[int, ...],
    other_affine: np.ndarray,
    tolerance_voxels: float = SAME_GRID_TOLERANCE_VOXELS,
) -> bool:
    """Whether two grids (shapes in (k, j, i), IJK→RAS affines) have the same voxels in the same order."""
    if tuple(shape) != tuple(other_shape):
        return False
    here = corners(shape)
    moved = np.linalg.solve(other_affine, affine) @ here
    return bool(np.abs(moved - here).max() <= tolerance_voxels)


def _target_to_source(affine: np.ndarray, target_affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and offset from (k, j, i) of the target to (k, j, i) of the source: an (i, j, k) affine turned around."""
    ijk = np.linalg.solve(affine, target_affine)
    return ijk[:3, :3][::-1, ::-1], ijk[:3, 3][::-1]


def _native_byte_order(array: np.ndarray) -> np.ndarray:
    """Files may hold the other byte order, which scipy.ndimage refuses."""
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def corners(shape: tuple[int, ...], margin: float = 0.0) -> np.ndarray:
    """Homogeneous (i, j, k, 1) of the eight corner voxels as columns; a margin in voxels moves them outwards."""
    k, j, i = shape
    return np.array([(*corner, 1.0) for corner in product(*((-margin, n - 1 + margin) for n in (i, j, k)))]).T


def _boxes_overlap(
    shape: tuple[int, ...], affine: np.ndarray, other_shape: tuple[int, ...], other_affine: np.ndarray
) -> bool:
    """Whether the boxes around both grids, voxel faces included, share a volume along the patient's axes."""
    first = (affine @ corners(shape, margin=0.5))[:3]
    second = (other_affine @ corners(other_shape, margin=0.5))[:3]
    return bool(np.all(first.min(axis=1) < second.max(axis=1)) and np.all(second.min(axis=1) < first.max(axis=1)))


def _share_inside(labels: np.ndarray, labels_affine: np.ndarray, shape: tuple[int, ...], affine: np.ndarray) -> float:
    """Share of the labelled voxels whose centres lie in the image; 1 where nothing is labelled."""
    matrix, offset = _target_to_source(affine, labels_affine)
    labelled = np.argwhere(labels)
    if not len(labelled):
        return 1.0
    image_kji = labelled @ matrix.T + offset
    return float(np.mean(np.all((image_kji > -0.5) & (image_kji < np.array(shape) - 0.5), axis=1)))


def _distance(
    shape: tuple[int, ...], affine: np.ndarray, other_shape: tuple[int, ...], other_affine: np.ndarray
) -> float:
    """Distance in mm, at most, of a grid's corners, voxel faces included, from the nearest ones of another."""
    first = (affine @ corners(shape, margin=0.5))[:3]
    second = (other_affine @ corners(other_shape, margin=0.5))[:3]
    return round(float(np.linalg.norm(first[:, :, None] - second[:, None], axis=0).min(axis=1).max()), 3)


def _described(shape: tuple[int, ...], affine: np.ndarray) -> str:
    from nibabel.orientations import aff2axcodes  # see volume.py

    size = " × ".join(str(n) for n in shape[::-1])
    spacing = " × ".join(f"{mm:.3g}" for mm in np.linalg.norm(affine[:3, :3], axis=0))
    return messages.GRID.format(size=size, spacing=spacing, axes="".join(aff2axcodes(affine)))
