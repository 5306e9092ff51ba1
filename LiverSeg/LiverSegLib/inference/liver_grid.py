"""The coarse grid round a liver on which its segments are told apart, in training and inference alike.

It lies along the patient's axes, whatever the scan's own are, so oblique and flipped scans need no care of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..data.bounding_box import Box, box_of
from ..data.geometry import Geometry
from ..data.resample import resample
from .preprocess import window

# What stays free between the liver and the sides of the grid.
MARGIN_MM = 8.0
# What is kept of the scan round the liver, and the side of the voxels that it is averaged to.
AROUND_MM = 40.0
AVERAGED_MM = 3.0
AIR_HU = -1000.0


@dataclass(frozen=True, eq=False)
class CoarseScan:
    """A scan round the liver in voxels of about :data:`AVERAGED_MM`: the mean HU, and the labels in their middle.

    Parameters
    ----------
    hu
        float32 (k, j, i).
    labels
        bool or uint8 (k, j, i); what is not 0 is liver.
    geometry
        Of both.
    """

    hu: np.ndarray
    labels: np.ndarray
    geometry: Geometry

    @classmethod
    def of(cls, hu: np.ndarray, labels: np.ndarray, geometry: Geometry) -> CoarseScan:
        """Of a scan and its labels, (k, j, i) on one grid of any orientation; some must not be 0."""
        factors = [max(1, int(AVERAGED_MM / mm)) for mm in geometry.spacing]
        box = _widened(box_of(labels), geometry)
        shape = [(side.stop - side.start) // factor for side, factor in zip(box, factors, strict=True)]
        k, j, i = (
            slice(side.start, side.start + size * factor)
            for side, size, factor in zip(box, shape, factors, strict=True)
        )
        blocks = [length for pair in zip(shape, factors, strict=True) for length in pair]
        mean = hu[k, j, i].reshape(blocks).mean(axis=(1, 3, 5), dtype=np.float32)
        middle = labels[k, j, i].reshape(blocks)[:, factors[0] // 2, :, factors[1] // 2, :, factors[2] // 2]
        scale = np.diag((*factors[::-1], 1.0))
        scale[:3, 3] = [(factor - 1) / 2 for factor in factors[::-1]]
        affine = geometry.part((k.start, j.start, i.start), (1, 1, 1)).affine @ scale
        return cls(mean, np.ascontiguousarray(middle), Geometry(tuple(shape), affine))

    def liver_mm(self) -> np.ndarray:
        """RAS mm of the middle of each voxel of the liver, (voxels, 3)."""
        ijk = np.argwhere(self.labels)[:, ::-1]
        return ijk @ self.geometry.affine[:3, :3].T + self.geometry.affine[:3, 3]

    def on(self, grid: Geometry) -> tuple[np.ndarray, np.ndarray]:
        """HU, air outside the scan, and the share of liver, 0 to 1, on a grid in the patient; float32 (k, j, i)."""
        liver = resample((self.labels > 0).astype(np.float32), self.geometry, grid)
        return resample(self.hu, self.geometry, grid, fill=AIR_HU), liver


def _widened(box: Box, geometry: Geometry) -> Box:
    k, j, i = (
        slice(max(0, side.start - round(AROUND_MM / mm)), min(size, side.stop + round(AROUND_MM / mm)))
        for side, mm, size in zip(box, geometry.spacing, geometry.shape, strict=True)
    )
    return k, j, i


def grid_round(points_mm: np.ndarray, shape: tuple[int, int, int], finest_mm: float) -> Geometry:
    """The grid of a shape (k, j, i) round some points, RAS mm (points, 3): its axes run to left, posterior, superior.

    The points fill it, but for a margin, along the axis that needs the largest voxels, which are cubes; they are no
    smaller than ``finest_mm``.
    """
    low, high = points_mm.min(axis=0), points_mm.max(axis=0)
    size = np.array(shape[::-1])
    spacing = max(finest_mm, float(((high - low + 2 * MARGIN_MM) / size).max()))
    affine = np.diag((-spacing, -spacing, spacing, 1.0))
    affine[:3, 3] = (low + high) / 2 - affine[:3, :3] @ ((size - 1) / 2)
    return Geometry(shape, affine)


def finer_slices(grid: Geometry) -> Geometry:
    """The axial slices of a grid as of :func:`grid_round` in pixels of half the side."""
    affine = grid.affine @ np.diag((0.5, 0.5, 1.0, 1.0))
    affine[:3, 3] -= (affine[:3, 0] + affine[:3, 1]) / 2
    k, j, i = grid.shape
    return Geometry((k, 2 * j, 2 * i), affine)


def network_input(hu: Tensor, liver: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """What a network sees: CT, liver and where each voxel lies in the liver.

    Parameters
    ----------
    hu, liver
        float32 (n, k, j, i), HU and 0 to 1, on grids as of :func:`grid_round`; or single slices (n, j, i).
    window_hu
        HU that become -1 and 1; what lies beyond is clipped.

    Returns
    -------
    (n, 5, k, j, i), or (n, 4, j, i).
    """
    return torch.cat((window(hu, window_hu)[:, None], 2 * liver[:, None] - 1, _positions(liver)), dim=1)


def slice_input(hu: Tensor, liver: Tensor, heights: Tensor, window_hu: tuple[float, float]) -> Tensor:
    """What the network of single slices sees: :func:`network_input`, and the height of each slice in the liver.

    Parameters
    ----------
    hu, liver, window_hu
        As of :func:`network_input`, (n, j, i).
    heights
        (n,), as :func:`heights_in` has them; nan where nobody knows.

    Returns
    -------
    (n, 6, j, i).
    """
    told = torch.stack((heights.nan_to_num(0.0), (~heights.isnan()).float()), dim=1)
    return torch.cat((network_input(hu, liver, window_hu), told[:, :, None, None].expand(-1, -1, *hu.shape[1:])), dim=1)


def heights_in(liver: Tensor) -> Tensor:
    """Of each slice k of a liver (k, j, i), 0 to 1: its height above the centre of mass in two standard deviations."""
    return _positions(liver[None])[0, 0, :, 0, 0]


def _positions(liver: Tensor) -> Tensor:
    """Position along each axis from the liver's centre of mass, in units of two standard deviations."""
    axes = range(1, liver.ndim)
    total = liver.sum(dim=tuple(axes)).clamp(min=1)
    positions = []
    for axis in axes:
        profile = liver.sum(dim=[other for other in axes if other != axis])
        steps = torch.arange(liver.shape[axis], dtype=liver.dtype, device=liver.device)
        centre = (profile * steps).sum(dim=1) / total
        apart = steps - centre[:, None]
        spread = ((profile * apart.square()).sum(dim=1) / total).sqrt().clamp(min=1)
        shape = [len(liver), *(liver.shape[other] if other == axis else 1 for other in axes)]
        positions.append((apart / (2 * spread[:, None])).view(shape).expand_as(liver))
    return torch.stack(positions, dim=1)
