"""The slices of DICOM files, one of each classic file and many of a multi-frame file, with their places."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from .. import messages
from ..errors import InputError
from .header import DAMAGED

# Of direction cosines: what rounding to two or three digits makes of their length and of the angle between them.
ROUNDING = 0.01
SLOPE, INTERCEPT = "RescaleSlope", "RescaleIntercept"
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"


@dataclass(frozen=True, eq=False)
class Frame:
    """One slice: where it lies, in DICOM's LPS millimetres, and how its stored numbers become HU.

    Parameters
    ----------
    path
        Its file.
    number, count
        Its number within the file, from 0, and how many frames there are.
    position
        Centre of its first voxel, shape (3,).
    directions
        Unit vectors at right angles, shape (2, 3), in which the column index i and the row index j run.
    spacing
        Distance in mm of neighbouring voxels along i and j.
    size
        Number of columns and rows.
    thickness, apart
        Slice Thickness and Spacing Between Slices in mm; 0 if not known.
    slope, intercept
        HU = slope × stored number + intercept.
    is_rescaled
        Whether the header gives the intercept.
    bits
        Bits Allocated of a stored number.
    """

    path: Path
    number: int
    count: int
    position: np.ndarray
    directions: np.ndarray
    spacing: tuple[float, float]
    size: tuple[int, int]
    thickness: float
    apart: float
    slope: float
    intercept: float
    is_rescaled: bool
    bits: int

    @property
    def bytes(self) -> int:
        """How many its pixels take up in memory, uncompressed."""
        columns, rows = self.size
        return columns * rows * max(2, self.bits // 8)


class _InvalidElement(ValueError):
    """What the geometry or the rescaling needs is missing or impossible; ``str(error)`` is the element's keyword."""


def is_multi_frame(dataset: Dataset) -> bool:
    """Whether the file is of the enhanced kind, with functional groups for its frames."""
    return PER_FRAME in dataset


def frames_of(dataset: Dataset, path: Path, series: str) -> list[Frame]:
    """All slices of a file; ``series`` is what messages call its series.

    Raises
    ------
    InputError
        If the header does not say where they lie or how their numbers become HU, or says it wrongly.
    AttributeError, TypeError, ValueError, IndexError
        If it is damaged otherwise.
    """
    told = {"path": path.name, "series": series}
    count = int(dataset.get("NumberOfFrames") or 1)
    if count > 1 and not is_multi_frame(dataset):
        raise InputError(messages.FRAMES_WITHOUT_POSITION.format(**told, count=count))
    if dataset.get("ModalityLUTSequence"):
        raise InputError(messages.RESCALED_BY_TABLE.format(**told))
    try:
        frames = [_frame(attributes, path, number, count) for number, attributes in enumerate(_attributes(dataset))]
    except _InvalidElement as error:
        text = messages.NO_RESCALE if str(error) in (SLOPE, INTERCEPT) else messages.SERIES_WITHOUT_POSITION
        raise InputError(text.format(**told, element=error)) from error
    if len(frames) != count:
        raise ValueError("functional groups for other frames than there are")
    return frames


def _attributes(dataset: Dataset) -> Iterator[Dataset]:
    """For each frame one flat data set with its attributes, wherever they were."""
    if not is_multi_frame(dataset):
        yield dataset
        return
    shared = _flat(dataset[SHARED].value[0]) if dataset.get(SHARED) else Dataset()
    for groups in dataset[PER_FRAME].value:
        frame = Dataset()
        frame.Rows, frame.Columns, frame.BitsAllocated = dataset.Rows, dataset.Columns, dataset.BitsAllocated
        frame.update(shared)
        frame.update(_flat(groups))
        _add_outer_rescale(frame, dataset)
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


def _add_outer_rescale(frame: Dataset, dataset: Dataset) -> None:
    """Some writers put it outside the functional groups; where it is in both places, they have to agree."""
    for keyword in (SLOPE, INTERCEPT):
        if keyword not in dataset:
            continue
        if keyword in frame and _number(frame, keyword, 0.0) != _number(dataset, keyword, 0.0):
            raise _InvalidElement(keyword)
        frame[keyword] = dataset[keyword]


def _frame(attributes: Dataset, path: Path, number: int, count: int) -> Frame:
    # DICOM gives the spacing between rows first, that is along j.
    along_j, along_i = _vector(attributes, "PixelSpacing", 2)
    if min(along_j, along_i) <= 0:
        raise _InvalidElement("PixelSpacing")
    slope = _number(attributes, SLOPE, 1.0)
    if slope == 0:
        raise _InvalidElement(SLOPE)
    return Frame(
        path,
        number,
        count,
        _vector(attributes, "ImagePositionPatient", 3),
        _directions(attributes),
        (float(along_i), float(along_j)),
        (int(attributes.Columns), int(attributes.Rows)),
        _length(attributes, "SliceThickness"),
        _length(attributes, "SpacingBetweenSlices"),
        slope,
        _number(attributes, INTERCEPT, 0.0),
        attributes.get(INTERCEPT) is not None,
        int(attributes.BitsAllocated),
    )


def _directions(attributes: Dataset) -> np.ndarray:
    """The nearest unit vectors at right angles, by polar decomposition (Higham, SIAM J. Sci. Stat. Comput. 7, 1986)."""
    given = _vector(attributes, "ImageOrientationPatient", 6).reshape(2, 3)
    left, stretches, right = np.linalg.svd(given, full_matrices=False)
    if np.abs(stretches - 1).max() > ROUNDING:
        raise _InvalidElement("ImageOrientationPatient")
    return left @ right


def _length(attributes: Dataset, keyword: str) -> float:
    """A distance in mm; 0 where the header does not tell one."""
    try:
        return max(0.0, _number(attributes, keyword, 0.0))
    except _InvalidElement:
        return 0.0


def _number(attributes: Dataset, keyword: str, default: float) -> float:
    """The value of an element; the default where it is missing or empty."""
    try:
        value = attributes.get(keyword)
        number = default if value is None else float(value)
    except DAMAGED as error:
        raise _InvalidElement(keyword) from error
    if not np.isfinite(number):
        raise _InvalidElement(keyword)
    return number


def _vector(attributes: Dataset, keyword: str, length: int) -> np.ndarray:
    try:
        vector = np.array(attributes[keyword].value, dtype=np.float64)
    except DAMAGED as error:
        raise _InvalidElement(keyword) from error
    if vector.shape != (length,) or not np.isfinite(vector).all():
        raise _InvalidElement(keyword)
    return vector
