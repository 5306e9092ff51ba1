"""Strokes: what a reader marked in the patient as liver, or as no liver."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .bounding_box import Box
from .geometry import Geometry

# Of a line, so dense that none of a grid's voxels which it crosses by more than a corner is missed.
STEPS_PER_VOXEL = 3


@dataclass(frozen=True, eq=False)
class Stroke:
    """A point or a line in the patient, and whether liver is there.

    Parameters
    ----------
    points_mm
        RAS in mm, float64 (n, 3), at least one, joined by straight lines.
    is_liver
        Whether the reader says that this is liver.
    radius_mm
        How far around the line it covers.
    """

    points_mm: np.ndarray
    is_liver: bool
    radius_mm: float = 2.0

    @property
    def centre_mm(self) -> np.ndarray:
        """The middle of the box round its points, RAS mm (3,)."""
        middle: np.ndarray = (self.points_mm.min(axis=0) + self.points_mm.max(axis=0)) / 2
        return middle

    def mask(self, geometry: Geometry) -> tuple[Box, np.ndarray]:
        """The voxels of a grid that it covers: those nearest to its line, and those whose middle is within its radius.

        Returns
        -------
        A box of the grid, and bool (k, j, i) in it; of no size if all of the stroke lies outside of the grid.
        """
        places = indices_of(self.dense_points_mm(min(geometry.spacing)), geometry)
        reach = self.radius_mm * np.linalg.norm(np.linalg.inv(geometry.affine[:3, :3]), axis=1)[::-1]
        last = np.array(geometry.shape) - 1
        low = np.clip(np.floor(places.min(axis=0) - reach), 0, last + 1).astype(int)
        high = np.clip(np.ceil(places.max(axis=0) + reach) + 1, low, last + 1).astype(int)
        covered = np.zeros(high - low, bool)
        for place in places:
            _cover(covered, place - low, reach, self.radius_mm, geometry)
        k, j, i = (slice(int(begin), int(end)) for begin, end in zip(low, high, strict=True))
        return (k, j, i), covered

    def dense_points_mm(self, voxel_mm: float) -> np.ndarray:
        """Points along its line, close together beside voxels of a size; RAS mm (m, 3)."""
        return np.concatenate(list(_along(self.points_mm, voxel_mm / STEPS_PER_VOXEL)))


def _along(points: np.ndarray, step: float) -> Iterator[np.ndarray]:
    yield points[:1]
    for begin, end in pairwise(points):
        count = max(1, int(np.ceil(np.linalg.norm(end - begin) / step)))
        yield begin + np.arange(1, count + 1)[:, None] / count * (end - begin)


def indices_of(points_mm: np.ndarray, geometry: Geometry) -> np.ndarray:
    """Where points lie among a grid's voxels, (k, j, i), not rounded; (n, 3)."""
    ijk = np.linalg.solve(geometry.affine[:3, :3], (points_mm - geometry.affine[:3, 3]).T).T
    return ijk[:, ::-1]


def _cover(covered: np.ndarray, place: np.ndarray, reach: np.ndarray, radius_mm: float, geometry: Geometry) -> None:
    """Set what lies within a radius of a place of the box, (k, j, i), and the voxel nearest to it."""
    nearest = np.floor(place + 0.5).astype(int)
    if np.all(nearest >= 0) and np.all(nearest < covered.shape):
        covered[tuple(nearest)] = True
    low = np.maximum(np.ceil(place - reach), 0).astype(int)
    high = np.minimum(np.floor(place + reach) + 1, covered.shape).astype(int)
    if np.all(low < high):
        box = tuple(slice(begin, end) for begin, end in zip(low, high, strict=True))
        apart = np.stack(np.meshgrid(*map(np.arange, low, high), indexing="ij"), axis=-1) - place
        mm = apart[..., ::-1] @ geometry.affine[:3, :3].T
        covered[box] |= np.square(mm).sum(axis=-1) <= radius_mm**2
