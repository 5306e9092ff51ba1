"""How well two masks agree: overlap, distance between their surfaces, volume.

Masks are (k, j, i), bool or nonzero where labelled; spacing is in mm along (k, j, i). Surfaces and distances are those
of MONAI (``monai.metrics``, without subvoxels): the surface is those voxels of the mask that erosion by the six face
neighbours removes, where all that lies beyond the array counts as background; distances are Euclidean, in mm, between
voxel centres.

Empty masks: two empty masks agree perfectly (overlap 1, distances and volume difference 0). Where one of them is empty,
overlap is 0 and the distances are infinite; a volume difference from an empty reference is infinite, too.
Distances and volume difference are those in the patient where a PatientSpace takes the place of the spacing; overlap is
that of voxels in any case.
Reports write infinite numbers as null.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from .bounding_box import box_of
from .patient_space import PatientSpace

Spacing = tuple[float, float, float]
Space = Spacing | PatientSpace


def dice(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Dice coefficient 2 |A ∩ B| / (|A| + |B|), from 0 to 1 (Dice, Ecology 26, 1945)."""
    prediction, reference = _masks(prediction, reference)
    both = _voxels(prediction & reference)
    total = _voxels(prediction) + _voxels(reference)
    return 2.0 * both / total if total else 1.0


def iou(prediction: np.ndarray, reference: np.ndarray) -> float:
    """Intersection over union |A ∩ B| / |A ∪ B|, from 0 to 1: the Jaccard index."""
    prediction, reference = _masks(prediction, reference)
    either = _voxels(prediction | reference)
    return _voxels(prediction & reference) / either if either else 1.0


def volume_difference_percent(prediction: np.ndarray, reference: np.ndarray, spacing: Space = (1.0, 1.0, 1.0)) -> float:
    """Relative volume difference 100 (|A| - |B|) / |B|: positive where the prediction A is larger than reference B."""
    prediction, reference = _masks(prediction, reference)
    measure = spacing.volume_ml if isinstance(spacing, PatientSpace) else _voxels
    predicted, expected = measure(prediction), measure(reference)
    if expected == 0:
        return float("inf") if predicted else 0.0
    return 100.0 * (predicted - expected) / expected


def compare(prediction: np.ndarray, reference: np.ndarray, spacing: Space) -> dict[str, float]:
    """All measures at once, under the report's keys.

    Parameters
    ----------
    prediction, reference
        Masks (k, j, i) of one shape.
    spacing
        Distance between voxel centres in mm along (k, j, i), or where the voxels lie in the patient.

    Returns
    -------
    ``dice``, ``iou``, ``volume_difference_percent``, and of the distances in mm from each surface voxel to the other
    surface: ``hd95_mm``, the larger of the 95th percentiles of both directions, and ``assd_mm``, the mean of all.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    distances = _surface_distances(prediction, reference, spacing)
    return {
        "dice": dice(prediction, reference),
        "iou": iou(prediction, reference),
        "hd95_mm": distances.hd95_mm,
        "assd_mm": distances.assd_mm,
        "volume_difference_percent": volume_difference_percent(prediction, reference, spacing),
    }


class _SurfaceDistances(NamedTuple):
    hd95_mm: float
    assd_mm: float


def _surface_distances(prediction: np.ndarray, reference: np.ndarray, spacing: Space) -> _SurfaceDistances:
    prediction, reference = _masks(prediction, reference)
    if not prediction.any() or not reference.any():
        distance = 0.0 if prediction.any() == reference.any() else float("inf")
        return _SurfaceDistances(distance, distance)
    predicted, expected = _surface_points(prediction, spacing), _surface_points(reference, spacing)
    there, back = _nearest(predicted, expected), _nearest(expected, predicted)
    return _SurfaceDistances(
        hd95_mm=float(max(np.percentile(there, 95), np.percentile(back, 95))),
        assd_mm=float(np.concatenate((there, back)).mean()),
    )


def _surface_points(mask: np.ndarray, spacing: Space) -> np.ndarray:
    """Centres of the surface voxels of a mask that is not empty, in mm along (k, j, i) or in the patient, (n, 3)."""
    box = box_of(mask)
    inner = mask[box]
    surface = inner & ~ndimage.binary_erosion(inner)
    voxels = np.argwhere(surface) + [side.start for side in box]
    return spacing.points(voxels) if isinstance(spacing, PatientSpace) else voxels * np.asarray(spacing)


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """From each point to the nearest of the others.

    A tree over the surfaces' points needs a tenth of the memory of a distance map over the volume.
    """
    from scipy.spatial import KDTree  # without a reference it is not needed, and takes long to import

    return KDTree(others).query(points, workers=-1)[0]


def _masks(prediction: np.ndarray, reference: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if prediction.shape != reference.shape:
        raise ValueError(f"The masks have different shapes: {prediction.shape} and {reference.shape}.")
    return prediction.astype(bool, copy=False), reference.astype(bool, copy=False)


def _voxels(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))
