"""Bring an array from one voxel grid to another where both lie in the patient."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .. import messages
from ..errors import InputError
from .geometry import Geometry
from .labels import LabelVolume

# With less of the reference inside the image, the comparison is about a part of the liver, and the user should know.
WHOLE_REFERENCE_SHARE = 0.99


def resample(array: np.ndarray, source: Geometry, target: Geometry, order: int = 1, fill: float = 0.0) -> np.ndarray:
    """Resample in physical space.

    Parameters
    ----------
    array
        Values of any real dtype, shape (k, j, i), on the grid ``source``.
    source, target
        The given and the wanted grid.
    order
        0 for labels (nearest neighbour), 1 for images (trilinear). Nothing is smoothed before a grid gets coarser.
    fill
        Value outside the faces of the outermost voxels; up to those faces the outermost voxels' value goes on.

    Returns
    -------
    Array of the wanted shape and of the input's dtype; integers are rounded.
    """
    matrix, offset = target.index_map(source)
    # Files may hold the other byte order, which scipy.ndimage refuses.
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    grid = {"matrix": matrix, "offset": offset, "output_shape": tuple(target.shape)}
    if order == 0:
        return ndimage.affine_transform(array, order=0, mode="grid-constant", cval=fill, **grid)
    values = ndimage.affine_transform(array, order=order, mode="nearest", **grid)
    everywhere = np.broadcast_to(np.uint8(1), array.shape)
    inside = ndimage.affine_transform(everywhere, order=0, mode="grid-constant", cval=0, **grid)
    values[inside == 0] = fill
    return values


def reference_on_grid(reference: LabelVolume, grid: Geometry) -> LabelVolume:
    """Bring a reference segmentation to the grid of an image.

    Returns
    -------
    The volume that was given if the grids are the same, else the nearest neighbours of its labels, with sentences for
    the user added to its warnings: that it was resampled, and that a part of it lies outside the image.

    Raises
    ------
    InputError
        If the reference, or all that is labelled in it, lies outside the image.
    """
    if reference.geometry.is_same_as(grid):
        return reference
    share = _share_inside(reference, grid)
    if share == 0 or not reference.geometry.overlaps(grid):
        raise InputError(messages.NO_OVERLAP)
    distance = reference.geometry.distance_mm(grid)
    warnings = [messages.OTHER_GRID.format(reference=reference.geometry, image=grid, distance=distance)]
    if share < WHOLE_REFERENCE_SHARE:
        warnings.append(messages.PARTLY_OUTSIDE.format(share=1 - share))
    labels = resample(reference.labels, reference.geometry, grid, order=0)
    return replace(reference, labels=labels, affine=grid.affine, warnings=(*reference.warnings, *warnings))


def paste(part: LabelVolume, grid: Geometry) -> np.ndarray | None:
    """Copy labels that lie voxel on voxel on a part of a grid, as those of a cropped segment do.

    Returns
    -------
    uint8 of the grid's shape, or None if the voxels do not coincide or labelled ones lie outside the grid.
    """
    labels = part.labels
    offset = np.rint(part.geometry.index_map(grid)[1]).astype(int)
    k, j, i = (int(n) for n in offset)
    if not grid.part((k, j, i), labels.shape).is_same_as(part.geometry):
        return None
    start, stop = np.maximum(offset, 0), np.minimum(offset + labels.shape, grid.shape)
    inner = tuple(slice(a, max(a, b)) for a, b in zip(start - offset, stop - offset, strict=True))
    if np.count_nonzero(labels[inner]) < np.count_nonzero(labels):
        return None
    pasted = np.zeros(grid.shape, np.uint8)
    pasted[tuple(slice(a, max(a, b)) for a, b in zip(start, stop, strict=True))] = labels[inner]
    return pasted


def _share_inside(reference: LabelVolume, grid: Geometry) -> float:
    """Share of the labelled voxels whose centres lie in the image; 1 where nothing is labelled."""
    matrix, offset = reference.geometry.index_map(grid)
    labelled = np.argwhere(reference.labels)
    if not len(labelled):
        return 1.0
    image_kji = labelled @ matrix.T + offset
    return float(np.mean(np.all((image_kji > -0.5) & (image_kji < np.array(grid.shape) - 0.5), axis=1)))
