"""One DICOM file as its header tells it: which series it belongs to, and whether it is a slice of a CT or MR."""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import warnings
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from io import BufferedReader, BytesIO, FileIO
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    MediaStorageDirectoryStorage,
    MRImageStorage,
)

from .. import messages
from ..data.modality import CT, MR

# What pydicom complains of it quotes, and that may be a patient's name: it reaches neither the terminal nor a log.
warnings.filterwarnings("ignore", module="pydicom")
logging.getLogger("pydicom").setLevel(logging.CRITICAL)

SUFFIXES = (".dcm", ".dicom", ".ima")
CLASSES = {
    CT: (CTImageStorage, EnhancedCTImageStorage, LegacyConvertedEnhancedCTImageStorage),
    MR: (MRImageStorage, EnhancedMRImageStorage, LegacyConvertedEnhancedMRImageStorage),
}
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
_PREAMBLE, _MAGIC = 128, b"DICM"
# The elements that hold pixels: Float, Double Float, and at last Pixel Data.
_FIRST_PIXELS, _LAST_PIXELS = 0x7FE00008, 0x7FE00010
# From here on it is looked whether the file is so long.
LONG_READ_BYTES = 65536
# A deflated header is unpacked no further; those of thousands of frames are shorter.
LARGEST_HEADER = 1 << 23
# How an unpacked file begins: the preamble, and a Transfer Syntax UID that says explicit, little-endian.
_UNPACKED_START = bytes(_PREAMBLE) + _MAGIC + b"\x02\x00\x10\x00UI\x14\x001.2.840.10008.1.2.1\0"
# Longer texts than the standard allows would make sentences without end.
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class Header:
    """What a file's header says of it.

    ``problem`` is empty for a slice of a CT or MR; otherwise it says why the file is none. ``is_other_image`` tells
    that nothing speaks against it but its modality, and ``is_unreadable`` that it may have been a slice.
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
    """Read the header of a file, not its pixels; None if neither its content nor its name promises DICOM."""
    try:
        # Pipes are not opened, and a link may lead nowhere.
        if not os.path.isfile(path) or not looks_like_dicom(path):
            return unreadable(path) if path.suffix.lower() in SUFFIXES else None
        dataset, reached_pixels = _read(path, _KEYWORDS)
        is_cut = any(_kind(dataset) in kinds for kinds in CLASSES.values()) and not reached_pixels
        return unreadable(path) if is_cut else _header(path, dataset)
    except (*DAMAGED, MemoryError):
        return unreadable(path)


def unreadable(path: Path) -> Header:
    """The header of a file that may have been a slice."""
    return Header(path, problem=messages.DAMAGED_OR_TRUNCATED, is_unreadable=True)


def is_dicom(path: str | os.PathLike[str]) -> bool:
    """Whether a path is to be read as DICOM: a folder, or a file that by its name or content is a slice."""
    try:
        return os.path.isdir(path) or Path(path).suffix.lower() in SUFFIXES or looks_like_dicom(Path(path))
    except OSError:
        return False


def looks_like_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do, with the preamble or without; OSError if it cannot be opened."""
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + len(_MAGIC))
    return start[_PREAMBLE:] == _MAGIC or (len(start) > _PREAMBLE and start[:2] in _FIRST_GROUPS)


def read_dataset(path: Path, keywords: Iterable[str] = (), pixel_bytes: int | None = None) -> FileDataset:
    """A file's header, or these elements of it alone; raises one of DAMAGED.

    ``pixel_bytes`` reads the pixels as well, of which the header has promised so many bytes; of a deflated file, no
    more than these are unpacked.
    """
    return _read(path, keywords, pixel_bytes)[0]


def _read(path: Path, keywords: Iterable[str] = (), pixel_bytes: int | None = None) -> tuple[FileDataset, bool]:
    """As :func:`read_dataset`, and whether the file goes on to pixels."""
    last_tag = _FIRST_PIXELS - 1 if pixel_bytes is None else _LAST_PIXELS
    reached_pixels = False

    def is_behind_the_last(tag: int, *_: object) -> bool:
        nonlocal reached_pixels
        reached_pixels = reached_pixels or tag >= _FIRST_PIXELS
        return tag > last_tag

    tags: list[BaseTag | int] | None = [Tag(keyword) for keyword in keywords] or None
    with _SoberReader(FileIO(path)) as file:
        try:
            dataset = read_partial(file, is_behind_the_last, force=True, specific_tags=tags)
        except _Deflated:
            # What is packed follows the elements of group 2, where the file stands.
            most = LARGEST_HEADER + (pixel_bytes or 0)
            unpacked = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read_rest(), most)
            whole = BytesIO(_UNPACKED_START + unpacked)
            dataset = read_partial(whole, is_behind_the_last, force=True, specific_tags=tags)
    return dataset, reached_pixels


class _Deflated(Exception):
    """Stops pydicom before it unpacks all of a file, which may be a thousand times as large."""


class _SoberReader(BufferedReader):
    """Takes memory only for what is in the file, however long a damaged header says that an element is."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:
            # pydicom asks for all of the rest only to unpack it.
            raise _Deflated
        if size > LONG_READ_BYTES:
            size = min(size, max(0, os.fstat(self.fileno()).st_size - self.tell()))
        return super().read(size)

    def read_rest(self) -> bytes:
        """All from here on."""
        return super().read()


def patient_key(dataset: pydicom.Dataset) -> str:
    """A digest that tells patients apart, and gives away nobody's name."""
    identity = [str(dataset.get(keyword, "")) for keyword in ("PatientID", "PatientName", "PatientBirthDate")]
    return hashlib.sha256("\0".join(identity).encode("utf-8", "surrogateescape")).hexdigest()


def _header(path: Path, dataset: FileDataset) -> Header:
    if not _kind(dataset):
        return unreadable(path)
    modality = _text(dataset, "Modality")
    problem = _problem(dataset, modality)
    return Header(
        path,
        str(dataset.get("SeriesInstanceUID", "")),
        modality,
        _text(dataset, "SeriesDescription"),
        str(dataset.get("FrameOfReferenceUID", "")),
        patient_key(dataset),
        problem,
        bool(problem) and _is_image(dataset) and not _problem(dataset, CT, any_class=True),
    )


def _problem(dataset: FileDataset, modality: str, any_class: bool = False) -> str:
    """Why a file is no slice of a CT or MR; empty if it is one."""
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
    if modality not in CLASSES:
        return messages.OTHER_MODALITY.format(modality=modality or messages.UNKNOWN)
    if kind not in CLASSES[modality] and not any_class:
        return messages.NO_IMAGE
    return ""


def _text(dataset: FileDataset, keyword: str) -> str:
    return str(dataset.get(keyword, ""))[:_LONGEST_TEXT]


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
