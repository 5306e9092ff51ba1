"""The skeleton of a 3D mask, by thinning: lines one voxel wide that keep its pieces, branches and loops."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np

# The 26 voxels round one, by the bit that stands for each in a pattern.
_AROUND = [step for step in product((-1, 0, 1), repeat=3) if any(step)]
# Opposite sides follow each other, so that lines stay in the middle.
_FACES = [(0, -1, 0), (0, 1, 0), (0, 0, 1), (0, 0, -1), (1, 0, 0), (-1, 0, 0)]


def _bits(steps: list[tuple[int, int, int]]) -> int:
    return sum(1 << _AROUND.index(step) for step in steps)


def _adjacent(farthest: int, within: list[tuple[int, int, int]]) -> list[int]:
    """For each voxel, those of some others that differ by 1 along at most so many axes, as bits."""

    def touch(one: tuple[int, int, int], other: tuple[int, int, int]) -> bool:
        apart = [abs(a - b) for a, b in zip(one, other, strict=True)]
        return max(apart) == 1 and sum(apart) <= farthest

    return [_bits([other for other in within if touch(step, other)]) for step in _AROUND]


_FACES_AND_EDGES = [step for step in _AROUND if sum(map(abs, step)) <= 2]
_BY_CORNER, _BY_FACE = _adjacent(3, _AROUND), _adjacent(1, _FACES_AND_EDGES)
_FACE_BITS, _FACE_AND_EDGE_BITS = _bits(_FACES), _bits(_FACES_AND_EDGES)


def skeleton(mask: np.ndarray) -> np.ndarray:
    """Take voxels away side by side as long as that changes neither pieces nor holes, but for the ends of lines.

    Sides in turn and ends as in Lee et al. (CVGIP: Graphical Models and Image Processing 56, 1994); what may go by
    Bertrand and Malandain (Pattern Recognition Letters 15, 1994): pieces touch by corners, holes by faces.

    Parameters
    ----------
    mask
        Bool (k, j, i).

    Returns
    -------
    Bool, the same shape.
    """
    padded = np.pad(mask, 1)
    flat = padded.reshape(-1).view(np.uint8)
    steps = np.array(_AROUND) @ (np.array(padded.strides) // padded.itemsize)
    sides = [int(steps[_AROUND.index(face)]) for face in _FACES]
    weights = 1 << np.arange(len(steps))
    while sum(_thin(flat, side, steps, weights) for side in sides):
        pass
    return padded[1:-1, 1:-1, 1:-1]


def _thin(flat: np.ndarray, side: int, steps: np.ndarray, weights: np.ndarray) -> int:
    """Take away what can go of the voxels that have nothing on one side; returns how many went."""
    voxels = np.flatnonzero(flat)
    voxels = voxels[flat[voxels + side] == 0]
    patterns = flat[voxels[:, None] + steps] @ weights
    gone = 0
    for voxel in voxels[[_may_go(pattern) for pattern in patterns.tolist()]].tolist():
        # What went before it has changed what is round it.
        if _may_go(int(flat[voxel + steps] @ weights)):
            flat[voxel] = 0
            gone += 1
    return gone


@cache
def _may_go(pattern: int) -> bool:
    """Whether the voxel with these others round it is no end of a line, and its going parts and joins nothing."""
    return (
        pattern.bit_count() > 1
        and _pieces(pattern, pattern, _BY_CORNER) == 1
        and _pieces(~pattern & _FACE_AND_EDGE_BITS, ~pattern & _FACE_BITS, _BY_FACE) == 1
    )


def _pieces(there: int, seeds: int, adjacent: list[int]) -> int:
    """How many connected pieces of what is there hold one of the seeds."""
    count = 0
    while seeds:
        reached, fresh = 0, seeds & -seeds
        while fresh:
            bit = fresh & -fresh
            reached |= bit
            fresh = (fresh | adjacent[bit.bit_length() - 1] & there) & ~reached
        seeds &= ~reached
        count += 1
    return count
