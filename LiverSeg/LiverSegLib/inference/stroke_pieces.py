"""Which pieces of a correction hang together with its stroke, and what it cuts off or leaves open by mistake."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ..data.bounding_box import Box, box_of

# Voxels round a change in which the pieces that it made have to end.
AROUND = 16

_FACES = ndimage.generate_binary_structure(3, 1)
_TOUCHING = ndimage.generate_binary_structure(3, 3)


# Whether each of some voxels, int (n, 3), is out of a correction's reach; bool (n,).
IsFar = Callable[[np.ndarray], np.ndarray]


def connected_change(before: np.ndarray, found: np.ndarray, covered: np.ndarray, is_liver: bool) -> np.ndarray:
    """The liver after a stroke: what it marks as liver only adds, what it marks as no liver only takes away.

    Parameters
    ----------
    before, found
        What is liver before it, and by the network; bool (k, j, i).
    covered
        What the stroke covers.
    is_liver
        What it marks.

    Returns
    -------
    New bool array: of what the network changes in that direction, only what hangs together with the stroke.
    """
    wanted = (found & ~before) if is_liver else (before & ~found)
    wanted |= covered
    box = box_of(wanted)
    pieces, count = ndimage.label(wanted[box], _TOUCHING)
    touched = np.zeros(count + 1, bool)
    touched[pieces[covered[box]]] = True
    touched[0] = False
    after = before.copy()
    after[box][touched[pieces]] = is_liver
    return after


def without_stray_pieces(
    liver: np.ndarray, changed: np.ndarray, marked: np.ndarray, fewest_voxels: float, is_far: IsFar
) -> np.ndarray:
    """Drop pieces of the liver that a correction made or cut off, and fill such holes; all bool (k, j, i).

    Parameters
    ----------
    liver
        After the correction, in a box of the scan.
    changed
        What the correction changed.
    marked
        Where strokes are; what touches one stays.
    fewest_voxels
        A piece with as many stays, and so does one that goes on far beyond what was changed.
    is_far
        A piece with a voxel out of reach stays as well.

    Returns
    -------
    New bool array of that shape.
    """
    result = liver.copy()
    box = _wider(box_of(changed), liver.shape)
    first = [side.start for side in box]
    near = ndimage.binary_dilation(changed[box], _FACES)
    for mask in (liver[box], ~liver[box]):
        result[box] ^= _stray(mask, near, marked[box], fewest_voxels, lambda voxels: is_far(voxels + first))
    return result


def _wider(box: Box, shape: tuple[int, ...]) -> Box:
    """A box and some voxels around it."""
    k, j, i = (
        slice(max(0, side.start - AROUND), min(size, side.stop + AROUND)) for side, size in zip(box, shape, strict=True)
    )
    return k, j, i


def _stray(mask: np.ndarray, near: np.ndarray, marked: np.ndarray, fewest_voxels: float, is_far: IsFar) -> np.ndarray:
    """The small pieces of a mask that touch what was changed, but neither a stroke nor an end of the box."""
    pieces, count = ndimage.label(mask, _FACES)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    stray = np.zeros(count + 1, bool)
    stray[pieces[near]] = True
    stray &= sizes < fewest_voxels
    stray[pieces[marked]] = stray[0] = False
    for axis in range(3):
        stray[pieces.take((0, -1), axis=axis)] = False
    voxels = np.argwhere(stray[pieces])
    stray[pieces[tuple(voxels[is_far(voxels)].T)]] = False
    return stray[pieces]
