"""LabelVolume: labels on a voxel grid in the patient, with what each of them means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from .anatomy import Anatomy
from .geometry import Geometry
from .structures import LIVER, STRUCTURES, TUMOUR, Structure


@dataclass(frozen=True, eq=False)
class LabelVolume:
    """Labels in the patient; unpacks as ``labels, affine``.

    Parameters
    ----------
    labels
        uint8, shape (k, j, i); 0 is background.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, float64.
    structures
        What the labels mean.
    warnings
        Sentences about what was found when it was read or brought to this grid.
    anatomy
        Couinaud segments, spleen and vessels on this grid, where they were read as well.
    """

    labels: np.ndarray
    affine: np.ndarray
    structures: tuple[Structure, ...] = STRUCTURES
    warnings: tuple[str, ...] = ()
    anatomy: Anatomy = field(default_factory=Anatomy)

    @cached_property
    def geometry(self) -> Geometry:
        """Where the voxels lie in the patient."""
        return Geometry(self.labels.shape, self.affine)

    @property
    def liver(self) -> np.ndarray:
        """Bool (k, j, i): the liver with its tumours."""
        return np.isin(self.labels, (LIVER.label, TUMOUR.label))

    @property
    def tumour(self) -> np.ndarray:
        """Bool (k, j, i)."""
        return self.labels == TUMOUR.label

    def volume_ml(self, mask: np.ndarray) -> float:
        """Volume in millilitres of what is not 0 in a (k, j, i) array on this grid."""
        return int(np.count_nonzero(mask)) * self.geometry.voxel_volume_ml

    def points(self, voxels: np.ndarray) -> np.ndarray:
        """Places in RAS mm, (n, 3), of voxel indices (n, 3) along (k, j, i)."""
        return voxels[:, ::-1] @ self.affine[:3, :3].T + self.affine[:3, 3]

    def __iter__(self) -> Iterator[np.ndarray]:
        return iter((self.labels, self.affine))

    def __getitem__(self, index: int) -> np.ndarray:
        return (self.labels, self.affine)[index]
