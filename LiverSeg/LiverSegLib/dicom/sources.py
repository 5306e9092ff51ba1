"""The CT's own images as what is written refers to them: what is valid in their headers, in the places of the stack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.valuerep import format_number_as_ds

from .. import messages
from ..errors import OutputError
from .frames import Frame, is_multi_frame
from .header import read_dataset
from .read import read_headers, stack_of
from .stack import Stack
from .valid_attributes import valid_attributes

# Without these nothing can refer to an image.
ONE_FOR_ALL = ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
NEEDED = ("SOPClassUID", "SOPInstanceUID", *ONE_FOR_ALL)

# Of millimetres and direction cosines: more than headers give, less than what computing adds.
DECIMALS = 9


@dataclass(frozen=True, eq=False)
class Sources:
    """The images that labels lie on.

    Parameters
    ----------
    images
        Either classic images, one for each index k of the labels in this order, or one multi-frame image. The first
        holds the valid attributes of its file, all hold what a reference needs, and their places are those of the
        stack, whatever else their files say.
    planes
        The index k of each plane of ``images``, in the order of the planes in there.
    """

    images: list[Dataset]
    planes: list[int]

    def in_their_order(self, labels: np.ndarray) -> np.ndarray:
        """Labels (k, j, i) with their slices in the order of the images' planes."""
        return labels[self.planes]

    def for_trial(self) -> Sources:
        """The first and the last image, of one voxel each: the others differ from them in UID and place only."""
        one = _with(_item("Rows", 1), _item("Columns", 1))
        images = [_with(image, one) for image in (self.images[0], *self.images[1:][-1:])]
        return Sources(images, [0, 1] if len(images) > 1 else self.planes)


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
        If they lack what a reference to them needs, or cannot be told apart by it.
    """
    name = name or str(files[0].parent)
    # Whoever read the images decided about their modality.
    headers = read_headers(files, name, force=True)
    stack = stack_of(headers, name)
    used = {frame.path: headers[frame.path] for frame in stack.frames}
    _check_references(list(used.values()), name)
    images = [_reference(header) for header in used.values()]
    # What a new object repeats of its series, highdicom takes from the first image. The file is read once more, since
    # the texts are to be read in another way.
    images[0] = _with(valid_attributes(read_dataset(stack.frames[0].path)), images[0])
    if is_multi_frame(headers[stack.frames[0].path]):
        return _one_multi_frame(images[0], stack)
    plane = _with(_orientation(stack), _measures(stack))
    placed = [_with(image, plane, _position(frame)) for image, frame in zip(images, stack.frames, strict=True)]
    return Sources(placed, list(range(len(stack.frames))))


@contextmanager
def refusing_strange_headers(files: Sequence[Path], name: str = "") -> Iterator[None]:
    """Turn what highdicom raises about headers into OutputError; its own words may quote the patient's name."""
    try:
        yield
    except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
        series, kind = name or files[0].parent, type(error).__name__
        raise OutputError(messages.HEADERS_DO_NOT_FIT.format(series=series, kind=kind)) from error


def _check_references(headers: Sequence[FileDataset], name: str) -> None:
    """Raise OutputError if a reference to one of the images would be none, or could mean another one as well."""
    found = {keyword: [header.get(keyword) for header in headers] for keyword in NEEDED}
    # Of several values, a UID is none.
    missing = [keyword for keyword in NEEDED if not all(uid and isinstance(uid, str) for uid in found[keyword])]
    missing += [keyword for keyword in ONE_FOR_ALL if keyword not in missing and len(set(found[keyword])) > 1]
    if missing:
        raise OutputError(messages.NOT_TO_BE_REFERRED_TO.format(series=name, missing=", ".join(missing)))
    if any(map(is_multi_frame, headers)) and len(headers) > 1:
        raise OutputError(messages.SEVERAL_MULTI_FRAME.format(series=name, count=len(headers)))
    if len(set(found["SOPInstanceUID"])) < len(headers):
        raise OutputError(messages.NOT_TO_BE_TOLD_APART.format(series=name))


def _reference(header: FileDataset) -> Dataset:
    """What a reference to an image needs. Even a UID that is not valid stays as it is, or it would be another's."""
    return _with(*(_item(keyword, header[keyword].value) for keyword in (*NEEDED, "Modality", "Rows", "Columns")))


def _one_multi_frame(image: Dataset, stack: Stack) -> Sources:
    """The image with the functional groups that highdicom asks for, where its own file may say it for each frame."""
    path = stack.frames[0].path
    places = [*enumerate(stack.frames), *((k, copy) for k, copy in stack.copies if copy.path == path)]
    places.sort(key=lambda place: place[1].number)
    shared = _with(
        _item("PlaneOrientationSequence", [_orientation(stack)]),
        _item("PixelMeasuresSequence", [_measures(stack)]),
    )
    groups = [_item("PlanePositionSequence", [_position(frame)]) for _, frame in places]
    image = _with(
        image,
        _item("NumberOfFrames", len(groups)),
        _item("SharedFunctionalGroupsSequence", [shared]),
        _item("PerFrameFunctionalGroupsSequence", groups),
    )
    return Sources([image], [k for k, _ in places])


def _position(frame: Frame) -> Dataset:
    return _item("ImagePositionPatient", _decimals(frame.position))


def _orientation(stack: Stack) -> Dataset:
    """That of all slices, which the stack has found equal but for rounding."""
    return _item("ImageOrientationPatient", _decimals(stack.frames[0].directions.ravel()))


def _measures(stack: Stack) -> Dataset:
    """Distances of voxels as the slices lie, which readers of a new object go by, not as the CT's headers have it."""
    first = stack.frames[0]
    along_i, along_j = first.spacing
    between = abs(np.linalg.det(stack.affine[:3, :3])) / (along_i * along_j)
    thickness = first.thickness if 0 < first.thickness < np.inf else between
    return _with(
        _item("PixelSpacing", _decimals((along_j, along_i))),
        _item("SliceThickness", _decimals([thickness])),
        _item("SpacingBetweenSlices", _decimals([between])),
    )


def _decimals(values: np.ndarray | Sequence[float]) -> list[str]:
    return [format_number_as_ds(round(float(value), DECIMALS)) for value in values]


def _item(keyword: str, value: object) -> Dataset:
    item = Dataset()
    setattr(item, keyword, value)
    return item


def _with(*parts: Dataset) -> Dataset:
    """All elements of these data sets; a later one goes before an earlier one."""
    whole = Dataset()
    for part in parts:
        whole.update(part)
    return whole
