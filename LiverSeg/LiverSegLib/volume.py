"""CTVolume: HU on a voxel grid in the patient; to the canonical axial stack and back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from nibabel import orientations

from .errors import InputError

# Columns run to the patient's left, rows to posterior, slices to superior: an axial stack as radiologists view it.
CANONICAL_AXES = ("L", "P", "S")


@dataclass(frozen=True, eq=False)
class CTVolume:
    """A CT image in the patient.

    Parameters
    ----------
    hu
        Voxels in Hounsfield units, shape (k, j, i), int16. Use :meth:`from_array` for any other dtype.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, float64.
    name
        What to call the image in messages and reports.
    """

    hu: np.ndarray
    affine: np.ndarray
    name: str = "volume"

    @classmethod
    def from_array(cls, values: np.ndarray, affine: np.ndarray, name: str = "volume") -> CTVolume:
        """Check a (k, j, i) array of any real dtype and its IJK→RAS affine, and round the values to whole HU.

        An int16 array is not copied.

        Raises
        ------
        InputError
            If the array is not 3D, is empty, is not real-valued, holds NaN or infinity or one value only, or if
            the affine is not an invertible 4×4 matrix of finite numbers.
        """
        values = np.asarray(values)
        affine = _as_matrix(affine, name)
        _check_voxels(values, name)
        hu = _to_int16(values)
        if hu.min() == hu.max():
            raise InputError(f"{name} is constant ({hu.flat[0]} HU); check that the export holds the image in HU.")
        return cls(hu, affine, name)

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

    def canonical(self) -> CTVolume:
        """The same voxels as an axial stack whose axes run to left, posterior, superior: reordered, not resampled."""
        transform = self._to_canonical_transform()
        ijk = self.hu.transpose(2, 1, 0)
        affine = self.affine @ orientations.inv_ornt_aff(transform, ijk.shape)
        turned = orientations.apply_orientation(ijk, transform).transpose(2, 1, 0)
        return CTVolume(np.ascontiguousarray(turned), affine, self.name)

    def from_canonical(self, array: np.ndarray) -> np.ndarray:
        """Turn a (k, j, i) array on the grid of :meth:`canonical` back to this volume's own axes."""
        back = self._from_canonical_transform()
        return np.ascontiguousarray(orientations.apply_orientation(array.transpose(2, 1, 0), back).transpose(2, 1, 0))

    def _to_canonical_transform(self) -> np.ndarray:
        own = orientations.io_orientation(self.affine)
        return orientations.ornt_transform(own, orientations.axcodes2ornt(CANONICAL_AXES))

    def _from_canonical_transform(self) -> np.ndarray:
        own = orientations.io_orientation(self.affine)
        return orientations.ornt_transform(orientations.axcodes2ornt(CANONICAL_AXES), own)


def _check_voxels(values: np.ndarray, name: str) -> None:
    if values.ndim != 3:
        raise InputError(f"{name} has {values.ndim} dimensions; give one 3D CT volume (one time point, no colour).")
    if values.size == 0:
        raise InputError(f"{name} has no voxels (shape {values.shape}); export the CT again.")
    if values.dtype.kind not in "iufb":
        raise InputError(f"{name} holds voxels of type {values.dtype}, not numbers; give a CT in Hounsfield units.")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name} holds NaN or infinite voxels; replace them, for example by -1024 HU (air).")


def _as_matrix(affine: np.ndarray, name: str) -> np.ndarray:
    sentence = (
        f"{name} has no valid position in the patient (its affine cannot be inverted); "
        "convert it again from DICOM with its orientation and spacing."
    )
    try:
        matrix = np.array(affine, dtype=np.float64)
    except (ValueError, TypeError) as error:
        raise InputError(sentence) from error
    if not _is_invertible(matrix):
        raise InputError(sentence)
    return matrix


def _is_invertible(matrix: np.ndarray) -> bool:
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all() or not np.allclose(matrix[3], (0, 0, 0, 1)):
        return False
    # Compared with the product of the spacings, so that neither 0.1 mm nor 10 m voxels change the verdict.
    lengths = np.linalg.norm(matrix[:3, :3], axis=0)
    return bool(lengths.min() > 0) and abs(np.linalg.det(matrix[:3, :3] / lengths)) > 1e-3


def _to_int16(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.int16:
        return values
    limits = np.iinfo(np.int16)
    if values.dtype.kind == "f":
        values = np.rint(values)
    return np.clip(values, limits.min, limits.max).astype(np.int16)
