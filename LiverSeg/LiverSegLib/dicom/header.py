"""One DICOM file as its header tells it: which series it belongs to, and whether it is a slice of a CT."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import warnings
import zlib
from dataclasses import dataclass
from io import BufferedReader, FileIO
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    MediaStorageDirectoryStorage,
)

from .. import messages

# What pydicom complains of it quotes, and that may be a patient's name: it reaches neither the terminal nor a log.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

SUFFIXES = (".dcm", ".dicom", ".ima")
CT_CLASSES = (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage)
# Values of Image Type (0008,0008) of images that scanners make beside the slices.
LOCALIZER, SCREEN = "LOCALIZER", "SCREEN SAVE"

# What damaged files make pydicom raise, some of it only when a value is asked for.
DAMAGED = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    TypeError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    struct.error,
    zlib.error,
)

_KEYWORDS = (
    "SOPClassUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "Modality",
    "SeriesDescription",
    "ImageType",
    "SamplesPerPixel",
    "PatientID",
    "PatientName",
    "PatientBirthDate",
)
# A data set without the usual preamble begins with an element of one of these groups, little-endian.
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00")
# From here on it is looked whether the file is so long.
LONG_READ_BYTES = 65536
_PREAMBLE, _MAGIC = 128, b"DICM"


@dataclass(frozen=True)
class Header:
    """What a file's header says of it.

    ``problem`` is empty for a slice of a CT; otherwise it says why the file is none. ``is_other_image`` tells that
    nothing speaks against it but its modality, and ``is_unreadable`` that it may have been a slice.
    """

    path: Path
    series_uid: str = ""
    modality: str = ""
    description: str = ""
    frame_of_reference_uid: str = ""
    patient_key: str = ""
    problem: str = ""
    is_other_image: bool = False
    is_unreadable: bool = False


def read_header(path: Path) -> Header | None:
    """Read the header of a file, not its pixels; None if it is no DICOM file, by its content and its name."""
    try:
        if not looks_like_dicom(path):
            return _unreadable(path) if path.suffix.lower() in SUFFIXES else None
        return _header(path, read_dataset(path, list(_KEYWORDS)))
    except DAMAGED:
        return _unreadable(path)


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with the preamble or without; OSError if it cannot be opened."""
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + len(_MAGIC))
    return start[_PREAMBLE:] == _MAGIC or (len(start) > _PREAMBLE and start[:2] in _FIRST_GROUPS)


def read_dataset(path: Path, keywords: list[str] | None = None, with_pixels: bool = False) -> FileDataset:
    """All of a file's header, or these elements of it; raises one of DAMAGED."""
    with _SoberReader(FileIO(path)) as file:
        return pydicom.dcmread(file, stop_before_pixels=not with_pixels, force=True, specific_tags=keywords)


class _SoberReader(BufferedReader):
    """Takes memory only for what is in the file, however long a damaged header says that an element is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > LONG_READ_BYTES:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)


def patient_key(dataset: pydicom.Dataset) -> str:
    """A digest that tells patients apart, and gives away nobody's name."""
    identity = [str(dataset.get(keyword, "")) for keyword in ("PatientID", "PatientName", "PatientBirthDate")]
    return hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape")).hexdigest()


def _header(path: Path, dataset: FileDataset) -> Header:
    if not _kind(dataset):
        return _unreadable(path)
    modality = str(dataset.get("Modality", ""))
    problem = _problem(dataset, modality)
    return Header(
        path,
        str(dataset.get("SeriesInstanceUID", "")),
        modality,
        str(dataset.get("SeriesDescription", "")),
        str(dataset.get("FrameOfReferenceUID", "")),
        patient_key(dataset),
        problem,
        bool(problem) and _is_image(dataset) and not _problem(dataset, "CT", any_class=True),
    )


def _problem(dataset: FileDataset, modality: str, any_class: bool = False) -> str:
    """Why a file is no slice of a CT; empty if it is one."""
    kind = _kind(dataset)
    image_type = [str(value).upper() for value in _values(dataset.get("ImageType"))]
    if kind == MediaStorageDirectoryStorage:
        return messages.NO_IMAGE
    if not dataset.get("SeriesInstanceUID"):
        return messages.NO_SERIES_UID
    if "Secondary Capture" in kind.name or SCREEN in image_type or dataset.get("SamplesPerPixel", 1) != 1:
        return messages.SECONDARY_CAPTURE
    if LOCALIZER in image_type:
        return messages.LOCALIZER
    if modality != "CT":
        return messages.OTHER_MODALITY.format(modality=modality or messages.UNKNOWN)
    if kind not in CT_CLASSES and not any_class:
        return messages.NO_IMAGE
    return ""


def _is_image(dataset: FileDataset) -> bool:
    return _kind(dataset).name.endswith("Image Storage")


def _kind(dataset: FileDataset) -> UID:
    """The file's SOP class, which a DICOMDIR has in its meta information only; empty where it has none."""
    return UID(dataset.get("SOPClassUID") or dataset.file_meta.get("MediaStorageSOPClassUID") or "")


def _values(value: object) -> list[object]:
    """A DICOM value, which may be none, one, or several, as a list."""
    if value is None:
        return []
    return [value] if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def _unreadable(path: Path) -> Header:
    return Header(path, problem=messages.DAMAGED_OR_TRUNCATED, is_unreadable=True)
