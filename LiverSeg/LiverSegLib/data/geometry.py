"""Geometry: a voxel grid in the patient, as shape and affine.

nibabel is imported only where it is used: Slicer does not bring it, and the panel opens before it is installed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from .. import messages

# A hundredth of a voxel is what rounding in a header can do, far from what could change a voxel.
SAME_GRID_TOLERANCE_VOXELS = 0.01
# Columns run to the patient's left, rows to posterior, slices to superior: an axial stack as radiologists view it.
CANONICAL_AXES = ("L", "P", "S")


@dataclass(frozen=True, eq=False)
class Geometry:
    """Where voxels lie in the patient.

    Parameters
    ----------
    shape
        Number of voxels along (k, j, i).
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, float64.
    """

    shape: tuple[int, ...]
    affine: np.ndarray

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres in mm along (k, j, i)."""
        i, j, k = (float(length) for length in np.linalg.norm(self.affine[:3, :3], axis=0))
        return k, j, i

    @cached_property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @cached_property
    def obliquity_degrees(self) -> float:
        """Largest angle in degrees between a voxel axis and the patient axis nearest to it."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        cosines = np.abs(directions).max(axis=0)
        return float(np.degrees(np.arccos(np.clip(cosines, -1.0, 1.0))).max())

    @property
    def axes(self) -> str:
        """Where the (i, j, k) axes run to, as letters: LPS for an axial stack."""
        from nibabel.orientations import aff2axcodes

        return "".join(aff2axcodes(self.affine))

    def corners(self, margin: float = 0.0) -> np.ndarray:
        """Homogeneous (i, j, k, 1) of the eight corner voxels as columns; a margin in voxels moves them outwards."""
        k, j, i = self.shape
        return np.array([(*corner, 1.0) for corner in product(*((-margin, n - 1 + margin) for n in (i, j, k)))]).T

    def outline(self) -> np.ndarray:
        """RAS mm of the eight outer corners, voxel faces included, as columns (3, 8)."""
        return (self.affine @ self.corners(margin=0.5))[:3]

    def is_same_as(self, other: Geometry, tolerance_voxels: float = SAME_GRID_TOLERANCE_VOXELS) -> bool:
        """Whether both have the same voxels in the same order, up to a part of a voxel."""
        if tuple(self.shape) != tuple(other.shape):
            return False
        # Of the difference, so that grids far from the origin are not told apart by rounding.
        apart = np.linalg.solve(other.affine, self.affine - other.affine) @ self.corners()
        return bool(np.abs(apart).max() <= tolerance_voxels)

    def overlaps(self, other: Geometry) -> bool:
        """Whether the boxes around both, voxel faces included, share a volume along the patient's axes."""
        first, second = self.outline(), other.outline()
        return bool(np.all(first.min(axis=1) < second.max(axis=1)) and np.all(second.min(axis=1) < first.max(axis=1)))

    def part(self, first: tuple[int, int, int], shape: tuple[int, ...]) -> Geometry:
        """The grid of a part, given the index (k, j, i) of its first voxel, which may lie outside, and its shape."""
        shift = np.eye(4)
        shift[:3, 3] = first[::-1]
        return Geometry(shape, self.affine @ shift)

    def index_map(self, other: Geometry) -> tuple[np.ndarray, np.ndarray]:
        """Matrix (3, 3) and offset (3,) that turn indices (k, j, i) of this grid into those of another."""
        ijk = np.linalg.solve(other.affine, self.affine)
        return ijk[:3, :3][::-1, ::-1], ijk[:3, 3][::-1]

    def distance_mm(self, other: Geometry) -> float:
        """Distance at most of an outer corner from the nearest one of another grid."""
        apart = np.linalg.norm(self.outline()[:, :, None] - other.outline()[:, None], axis=0)
        return round(float(apart.min(axis=1).max()), 3)

    def canonical(self) -> Geometry:
        """The same voxels as an axial stack whose axes run to left, posterior, superior."""
        from nibabel import orientations

        transform = orientations.ornt_transform(*self._own_and_canonical_axes())
        affine = self.affine @ orientations.inv_ornt_aff(transform, self.shape[::-1])
        i, j, k = transform[:, 0].astype(int)
        sizes = dict(zip((i, j, k), self.shape[::-1], strict=True))
        return Geometry((sizes[2], sizes[1], sizes[0]), affine)

    def to_canonical(self, array: np.ndarray) -> np.ndarray:
        """A view of a (k, j, i) array on this grid, along the axes of :meth:`canonical`."""
        from nibabel import orientations

        transform = orientations.ornt_transform(*self._own_and_canonical_axes())
        return orientations.apply_orientation(array.transpose(2, 1, 0), transform).transpose(2, 1, 0)

    def from_canonical(self, array: np.ndarray) -> np.ndarray:
        """Turn a (k, j, i) array on the grid of :meth:`canonical` back to this grid's own axes."""
        from nibabel import orientations

        own, canonical = self._own_and_canonical_axes()
        back = orientations.ornt_transform(canonical, own)
        return np.ascontiguousarray(orientations.apply_orientation(array.transpose(2, 1, 0), back).transpose(2, 1, 0))

    def _own_and_canonical_axes(self) -> tuple[np.ndarray, np.ndarray]:
        """This grid's orientation and the canonical one, as nibabel writes them."""
        from nibabel import orientations

        return orientations.io_orientation(self.affine), orientations.axcodes2ornt(CANONICAL_AXES)

    def __str__(self) -> str:
        size = " × ".join(str(n) for n in self.shape[::-1])
        spacing = " × ".join(f"{mm:.3g}" for mm in self.spacing[::-1])
        return messages.GRID.format(size=size, spacing=spacing, axes=self.axes)
