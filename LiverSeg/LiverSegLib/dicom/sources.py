"""The CT's own files as what is written refers to them: headers only, mended where highdicom is strict."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.valuerep import DA, TM

from .. import messages
from ..errors import OutputError
from .frames import PER_FRAME, SHARED, is_multi_frame
from .read import read_headers, stack_of

# Elements that every object repeats from its source, empty where it has none (type 2).
REPEATED = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
SEXES = ("M", "F", "O")
# Without these nothing can refer to an image.
ONE_FOR_ALL = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
NEEDED = ("SOPInstanceUID", *ONE_FOR_ALL)


@dataclass(frozen=True, eq=False)
class Sources:
    """The images that labels lie on.

    Parameters
    ----------
    images
        Either classic images, one for each index k of the labels in this order, or one multi-frame image.
    planes
        The index k of each plane of ``images``, in the order of the planes in there.
    """

    images: list[FileDataset]
    planes: list[int]

    def in_their_order(self, labels: np.ndarray) -> np.ndarray:
        """Labels (k, j, i) with their slices in the order of the images' planes."""
        return labels[self.planes]


def read_sources(files: Sequence[Path], name: str = "") -> Sources:
    """Read the headers of a series that labels were found in.

    Parameters
    ----------
    files
        Those that the labels were found in.
    name
        What to call the series in messages; without one, they call it by its folder.

    Raises
    ------
    InputError
        If they have changed since and are no stack of slices any more.
    OutputError
        If they lack what a reference to them needs.
    """
    name = name or str(files[0].parent)
    # Whoever read the images decided about their modality.
    headers = read_headers(files, name, force=True)
    stack = stack_of(headers, name)
    paths = list(dict.fromkeys(frame.path for frame in stack.frames))
    images = [headers[path] for path in paths]
    missing = [keyword for keyword in NEEDED if not all(image.get(keyword) for image in images)]
    missing += [keyword for keyword in ONE_FOR_ALL if len({image.get(keyword) for image in images}) > 1]
    if missing:
        raise OutputError(messages.NOT_TO_BE_REFERRED_TO.format(series=name, missing=", ".join(missing)))
    for image in images:
        _mend(image)
    if not any(map(is_multi_frame, images)):
        for image in images:
            # The stack has found them equal but for rounding.
            image.ImageOrientationPatient = images[0].ImageOrientationPatient
        return Sources(images, list(range(len(stack.frames))))
    if len(images) > 1:
        raise OutputError(messages.SEVERAL_MULTI_FRAME.format(series=name, count=len(images)))
    _share_groups(images[0])
    places = {frame.number: k for k, frame in enumerate(stack.frames)}
    places |= {frame.number: k for k, frame in stack.copies if frame.path == paths[0]}
    return Sources(images, [places[number] for number in range(len(images[0][PER_FRAME].value))])


@contextmanager
def refusing_strange_headers(files: Sequence[Path], name: str = "") -> Iterator[None]:
    """Turn what highdicom raises about headers into OutputError; its own words may quote the patient's name."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        series, kind = name or files[0].parent, type(error).__name__
        raise OutputError(messages.HEADERS_DO_NOT_FIT.format(series=series, kind=kind)) from error


def _mend(image: FileDataset) -> None:
    """Add the elements that are missing but may be empty, and empty those whose values the standard forbids."""
    for keyword in REPEATED:
        if keyword not in image:
            setattr(image, keyword, "")
    if image.PatientSex not in SEXES:
        image.PatientSex = ""
    for keyword, kind in (("PatientBirthDate", DA), ("StudyDate", DA), ("StudyTime", TM)):
        if not _is_valid(image.get(keyword), kind):
            setattr(image, keyword, "")


def _is_valid(value: object, kind: type[DA] | type[TM]) -> bool:
    try:
        return isinstance(kind(str(value)), datetime.date | datetime.time)
    except ValueError:
        return False


def _share_groups(image: Dataset) -> None:
    """What the first frame says of all, highdicom looks for in the shared functional groups."""
    if not image.get(SHARED):
        setattr(image, SHARED, [Dataset()])
    shared, first = image[SHARED].value[0], image[PER_FRAME].value[0]
    for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
        if keyword not in shared:
            shared.add(first[keyword])
