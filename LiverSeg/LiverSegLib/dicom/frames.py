"""The slices of DICOM files, one of each classic file and many of a multi-frame file, with their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: where it lies, in DICOM's LPS millimetres, and how its stored numbers become HU.

    Parameters
    ----------
    path
        Its file.
    number
        Its number within the file, from 0.
    position
        Centre of its first voxel, shape (3,).
    directions
        Unit vectors, shape (2, 3), in which the column index i and the row index j run.
    spacing
        Distance in mm of neighbouring voxels along i and j.
    size
        Number of columns and rows.
    thickness
        Slice Thickness in mm; 0 if not known.
    slope, intercept
        HU = slope × stored number + intercept.
    """

    path: Path
    number: int
    position: np.ndarray
    directions: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float
    slope: float
    intercept: float


def is_multi_frame(dataset: Dataset) -> bool:
    """Whether the file is of the enhanced kind, with functional groups for its frames."""
    return PER_FRAME in dataset


def frames_of(dataset: Dataset, path: Path) -> list[Frame]:
    """All slices of a file.

    Raises
    ------
    AttributeError, TypeError, ValueError, IndexError
        If the header does not say where they lie, or says it wrongly.
    """
    return [_frame(attributes, path, number) for number, attributes in enumerate(_attributes(dataset))]


def _attributes(dataset: Dataset) -> Iterator[Dataset]:
    """For each frame one flat data set with its attributes, wherever they were."""
    if not is_multi_frame(dataset):
        yield dataset
        return
    shared = _flat(dataset[SHARED].value[0]) if dataset.get(SHARED) else Dataset()
    for groups in dataset[PER_FRAME].value:
        frame = Dataset()
        frame.Rows, frame.Columns = dataset.Rows, dataset.Columns
        frame.update(shared)
        frame.update(_flat(groups))
        yield frame


def _flat(groups: Dataset) -> Dataset:
    """The attributes inside functional groups, each of which is a sequence of one item."""
    flat = Dataset()
    for keyword in (
        "PlanePositionSequence",
        "PlaneOrientationSequence",
        "PixelMeasuresSequence",
        "PixelValueTransformationSequence",
    ):
        if items := groups.get(keyword):
            flat.update(items[0])
    return flat


def _frame(attributes: Dataset, path: Path, number: int) -> Frame:
    # DICOM gives the spacing between rows first, that is along j.
    along_j, along_i = (float(value) for value in attributes.PixelSpacing)
    return Frame(
        path,
        number,
        _vector(attributes.ImagePositionPatient, 3),
        _vector(attributes.ImageOrientationPatient, 6).reshape(2, 3),
        (along_i, along_j),
        (int(attributes.Columns), int(attributes.Rows)),
        float(attributes.get("SliceThickness") or 0.0),
        _number(attributes, "RescaleSlope", 1.0),
        _number(attributes, "RescaleIntercept", 0.0),
    )


def _number(attributes: Dataset, keyword: str, default: float) -> float:
    value = attributes.get(keyword)
    return default if value is None else float(value)


def _vector(values: Any, length: int) -> np.ndarray:
    vector = np.array(values, dtype=np.float64)
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise ValueError(vector)
    return vector
