"""Where a grid's voxels lie in the patient, and how large they are there, under a transform that changes sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .bounding_box import Box

# A transform is followed at places that far apart; between them it counts as linear.
NODE_DISTANCE_MM = 4.0

Axes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class PatientSpace:
    """A part of a voxel grid as cells of several voxels, the corners of which are known in the patient.

    Parameters
    ----------
    edges
        Along each of (k, j, i) where the cells begin and where the last one ends, as voxel indices: increasing, whole
        numbers of voxels apart, half a voxel beside the voxels' centres.
    corners
        Where the cells' corners lie in the patient: float64 (k, j, i, 3), in mm.
    """

    edges: Axes
    corners: np.ndarray

    def points(self, voxels: np.ndarray) -> np.ndarray:
        """Places in mm, (n, 3), of voxel indices (n, 3) along (k, j, i) within the cells, interpolated linearly."""
        at = [np.interp(voxels[:, axis], edges, np.arange(len(edges))) for axis, edges in enumerate(self.edges)]
        found = (ndimage.map_coordinates(self.corners[..., axis], at, order=1) for axis in range(3))
        return np.stack(list(found), axis=-1)

    def volume_ml(self, mask: np.ndarray) -> float:
        """Volume in the patient of what is not 0 in a (k, j, i) array of the whole grid, all of it within the cells."""
        counts = mask[tuple(slice(round(edges[0] + 0.5), round(edges[-1] + 0.5)) for edges in self.edges)] > 0
        for axis, edges in enumerate(self.edges):
            counts = np.add.reduceat(counts, np.rint(edges[:-1] - edges[0]).astype(int), axis=axis, dtype=np.float64)
        return float((counts * self._voxel_volumes()).sum()) / 1000.0

    def _voxel_volumes(self) -> np.ndarray:
        """mm³ of a voxel in each cell: the determinant of the cell's mean edges, over its number of voxels."""
        k, j, i = (np.diff(self.corners, axis=axis) for axis in range(3))
        mean_edges = [_mean(_mean(k, 1), 2), _mean(_mean(j, 0), 2), _mean(_mean(i, 0), 1)]
        voxels = np.einsum("k,j,i->kji", *(np.diff(edges) for edges in self.edges))
        return np.abs(np.linalg.det(np.stack(mean_edges, axis=-2))) / voxels


def cell_edges(box: Box, spacing: tuple[float, float, float], linear: bool) -> Axes:
    """Edges of cells that fill a box: one cell where the transform is linear, else cells of a few mm.

    Parameters
    ----------
    spacing
        Distance between voxel centres in mm along (k, j, i).
    """
    ranges = [
        np.arange(side.start, side.stop, side.stop if linear else max(1, round(NODE_DISTANCE_MM / mm)))
        for side, mm in zip(box, spacing, strict=True)
    ]
    k, j, i = (np.append(starts, side.stop) for starts, side in zip(ranges, box, strict=True))
    return k - 0.5, j - 0.5, i - 0.5


def _mean(values: np.ndarray, axis: int) -> np.ndarray:
    """Of each pair of neighbours along an axis."""
    lower, upper = np.arange(values.shape[axis] - 1), np.arange(1, values.shape[axis])
    return (values.take(lower, axis) + values.take(upper, axis)) / 2
