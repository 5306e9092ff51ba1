"""Tumours counted one by one: which the prediction found, which it missed, and which it made up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from LiverSegLib.data.bounding_box import box_of

# A share of a lesion's volume: one common voxel of two neighbours is no detection.
SMALLEST_OVERLAP = 0.1
LARGE_MM = 10.0
_TOUCHING = np.ones((3, 3, 3), bool)


@dataclass(frozen=True)
class LesionCounts:
    """How many lesions of the reference were found and missed, and how many of the prediction are false."""

    found: int
    missed: int
    false: int

    @property
    def total(self) -> int:
        """Lesions in the reference."""
        return self.found + self.missed


def count_lesions(
    prediction: np.ndarray, reference: np.ndarray, voxel_volume_ml: float, larger_than_mm: float = 0.0
) -> LesionCounts:
    """Match the lesions of two tumour masks.

    A lesion is a set of voxels that touch by face, edge or corner. One of the reference is found if the prediction
    covers a tenth of it; one of the prediction is false if less than a tenth of it lies in the reference. So one large
    prediction can find several lesions, and several pieces can belong to one.

    Parameters
    ----------
    prediction, reference
        Masks (k, j, i) of one shape, bool.
    voxel_volume_ml
        Volume of a voxel in millilitres.
    larger_than_mm
        Count only lesions whose diameter exceeds this: that of a ball of the lesion's volume. It applies to each
        side for itself; a small prediction may find a large lesion.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    if prediction.shape != reference.shape:
        raise ValueError(f"The masks have different shapes: {prediction.shape} and {reference.shape}.")
    covered = _overlaps(reference, prediction, voxel_volume_ml, larger_than_mm) >= SMALLEST_OVERLAP
    supported = _overlaps(prediction, reference, voxel_volume_ml, larger_than_mm) >= SMALLEST_OVERLAP
    return LesionCounts(int(covered.sum()), int((~covered).sum()), int((~supported).sum()))


def ball_diameter_mm(volume_ml: np.ndarray | float) -> np.ndarray | float:
    """Diameter in mm of a ball of this volume."""
    return (6000.0 * volume_ml / np.pi) ** (1 / 3)


def _overlaps(mask: np.ndarray, other: np.ndarray, voxel_volume_ml: float, larger_than_mm: float) -> np.ndarray:
    """For each lesion of the mask that is large enough the share of its voxels that lie in the other, float64."""
    box = box_of(mask)
    lesions, count = ndimage.label(mask[box], _TOUCHING)
    if not count:
        return np.zeros(0)
    voxels = np.bincount(lesions.ravel(), minlength=count + 1)[1:]
    common = np.bincount(lesions[other[box].astype(bool)], minlength=count + 1)[1:]
    large = ball_diameter_mm(voxels * voxel_volume_ml) > larger_than_mm
    return (common / voxels)[large]
