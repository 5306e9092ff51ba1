"""CTVolume: HU, or the signal of MR, on a voxel grid in the patient."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .. import messages
from ..errors import InputError
from .geometry import Geometry
from .modality import MR, UNKNOWN

# ITK's and DICOM's axes run to left and posterior, ours to right and anterior.
LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))
# Of MR, which is scaled to it.
LARGEST_SIGNAL = 30000.0


@dataclass(frozen=True, eq=False)
class CTVolume:
    """A CT image in the patient, or an MR image that takes the same road.

    Parameters
    ----------
    hu
        Voxels in Hounsfield units, or of MR its signal, which has no unit; shape (k, j, i), int16. Use
        :meth:`from_array` for any other dtype.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, float64.
    name
        What to call the image in messages and reports.
    warnings
        Sentences about what was found when it was read; the segmenter passes them on.
    header
        Fields of the header of the file that it was read from; a result in NIfTI takes over where a NIfTI CT lies.
    modality
        "CT" or "MR" where its header or somebody says so, else empty.
    """

    hu: np.ndarray
    affine: np.ndarray
    name: str = "volume"
    warnings: tuple[str, ...] = ()
    header: Mapping[str, Any] = field(default_factory=dict)
    modality: str = UNKNOWN

    @classmethod
    def from_array(
        cls,
        values: np.ndarray,
        affine: np.ndarray,
        name: str = "volume",
        warnings: tuple[str, ...] = (),
        modality: str = UNKNOWN,
    ) -> CTVolume:
        """Check a (k, j, i) array of any real dtype and its IJK→RAS affine, and round the values to whole HU.

        MR that whole numbers of int16 would cut short is scaled before. An int16 array is not copied.

        Raises
        ------
        InputError
            If the array is not 3D, is empty, is not real-valued, holds NaN or infinity or one value only, or if
            the affine is not an invertible 4×4 matrix of finite numbers.
        """
        values = np.asarray(values)
        affine = check_position(affine, name)
        check_form(values, name)
        hu = to_whole_hu(values, name, signal_factor(values) if modality == MR else 1.0)
        check_variety(hu.min(), hu.max(), name)
        return cls(hu, affine, name, warnings, modality=modality)

    @cached_property
    def geometry(self) -> Geometry:
        """Where the voxels lie in the patient."""
        return Geometry(self.hu.shape, self.affine)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Distance between voxel centres in mm along (k, j, i)."""
        return self.geometry.spacing

    @property
    def voxel_volume_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return self.geometry.voxel_volume_ml

    def mirrored(self) -> CTVolume:
        """The same voxels in a patient whose left and right are exchanged."""
        return replace(self, affine=np.diag((-1.0, 1.0, 1.0, 1.0)) @ self.affine)

    def every_few_slices(self, spacing_mm: float) -> CTVolume:
        """An axial stack of its slices that lie about ``spacing_mm`` apart; all if they are no closer. Views only."""
        stack = self.canonical_view()
        step = stack.slices_within(spacing_mm)
        return CTVolume(stack.hu[::step], stack.affine @ np.diag((1.0, 1.0, step, 1.0)), self.name)

    def slices_within(self, length_mm: float) -> int:
        """About how many slices (k) lie within a length, at least one."""
        return max(1, round(length_mm / self.spacing[0]))

    def canonical(self) -> CTVolume:
        """The same voxels as an axial stack whose axes run to left, posterior, superior: reordered, not resampled."""
        view = self.canonical_view()
        return CTVolume(np.ascontiguousarray(view.hu), view.affine, view.name)

    def canonical_view(self) -> CTVolume:
        """The same as :meth:`canonical` without a copy: its array is a view of this one's."""
        return CTVolume(self.geometry.to_canonical(self.hu), self.geometry.canonical().affine, self.name)


# The steps of CTVolume.from_array, for a copy that is made piece by piece.


def check_form(values: np.ndarray, name: str) -> None:
    """Raise InputError unless the array holds real numbers in three dimensions; its values are not looked at."""
    if values.ndim != 3:
        raise InputError(messages.NOT_3D.format(name=name, dimensions=values.ndim))
    if values.size == 0:
        raise InputError(messages.NO_VOXELS.format(name=name, shape=values.shape))
    if values.dtype.kind not in "iufb":
        raise InputError(messages.NOT_NUMBERS.format(name=name, dtype=values.dtype))


def check_position(affine: np.ndarray, name: str) -> np.ndarray:
    """The affine as a matrix of float64; raises InputError unless it can be inverted."""
    sentence = messages.NO_POSITION.format(name=name, missing=messages.MISSING_INVERSE)
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


def signal_factor(values: np.ndarray) -> float:
    """What brings MR to whole numbers of int16 without loss that matters: fractions are kept, and large values."""
    largest = float(np.abs((values.min(), values.max())).max())
    if (values.dtype.kind != "f" and largest <= LARGEST_SIGNAL) or not 0 < largest < np.inf:
        return 1.0
    return LARGEST_SIGNAL / largest


def to_whole_hu(values: np.ndarray, name: str, factor: float = 1.0) -> np.ndarray:
    """Real values times a factor as int16, rounded; an int16 array is not copied.

    Raises InputError for NaN and infinity.
    """
    if factor != 1:
        values = values * np.float32(factor)
    if values.dtype == np.int16:
        return values
    limits = np.iinfo(np.int16)
    if values.dtype.kind != "f":
        return np.clip(values, limits.min, limits.max).astype(np.int16)
    if not np.isfinite(values).all():
        raise InputError(messages.NOT_FINITE.format(name=name))
    # Half precision has no 32767: its next number is 32768, which int16 has not.
    rounded = np.rint(values, dtype=np.result_type(values, np.float32))
    return np.clip(rounded, limits.min, limits.max, out=rounded).astype(np.int16)


def check_variety(lowest: int, highest: int, name: str) -> None:
    """Raise InputError if the lowest and the highest HU of an image are the same."""
    if lowest == highest:
        raise InputError(messages.CONSTANT.format(name=name, hu=lowest))
