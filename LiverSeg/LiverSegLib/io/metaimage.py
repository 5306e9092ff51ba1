"""MetaImage files: a header of text and the voxels behind it (https://itk.org/Wiki/ITK/MetaIO/Documentation)."""

from __future__ import annotations

import math
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import messages
from ..data.volume import LPS_TO_RAS
from ..errors import InputError
from . import headers
from .gunzip import unpacked
from .headers import MILLIMETRES, Fields
from .voxels import StoredImage, read_voxels

MOST_AXES = 10
MOST_CHANNELS = 1 << 15

TYPES = {
    "MET_CHAR": "i1",
    "MET_UCHAR": "u1",
    "MET_SHORT": "i2",
    "MET_USHORT": "u2",
    "MET_INT": "i4",
    "MET_UINT": "u4",
    "MET_LONG": "i4",
    "MET_ULONG": "u4",
    "MET_LONG_LONG": "i8",
    "MET_ULONG_LONG": "u8",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}
# Fields that would change the values, and with what they do not.
INTENSITIES = {"ElementToIntensityFunctionSlope": 1, "ElementToIntensityFunctionOffset": 0}
YES, NO = ("T", "TRUE", "1"), ("F", "FALSE", "0")

# Names of one and the same field. Without a spacing, the size of a voxel is taken for it.
BYTE_ORDER = ("BinaryDataByteOrderMSB", "ElementByteOrderMSB")
OFFSET = ("Offset", "Origin", "Position")
MATRIX = ("TransformMatrix", "Rotation", "Orientation")
SPACINGS = ("ElementSpacing", "ElementSize")
LAST = "ElementDataFile"
KNOWN = {"ObjectType", "NDims", "DimSize", "ElementType", "ElementNumberOfChannels", "BinaryData", LAST}
KNOWN |= {"CompressedData", "CompressedDataSize", "HeaderSize", "DistanceUnits", "AnatomicalOrientation"}
KNOWN |= {*BYTE_ORDER, *OFFSET, *MATRIX, *SPACINGS, *INTENSITIES}

TOWARDS = {"R": (-1, 0, 0), "L": (1, 0, 0), "A": (0, -1, 0), "P": (0, 1, 0), "I": (0, 0, -1), "S": (0, 0, 1)}
# The cosine between an axis and the side that names it; a smaller one would be that of another side.
SLANT = 0.5

# How far from 1 a direction's length may be: some are rounded.
LENGTH_TOLERANCE = 0.01
# Old writers rounded this number to six digits.
SIZE_TOLERANCE = 1e-5

_FIELD = re.compile(r"\s*([^=:]*?)\s*[=:]\s*(.*?)\s*")


def read(path: str | os.PathLike[str]) -> StoredImage:
    """Read a .mha file; a place or directions that its header does not tell are those of MetaImage's standard.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter or longer than its header promises, does not fit its checksum,
        contradicts itself, is not 3D, does not say how large its voxels are, or says that they are in another file.
    OSError
        If the system does not let it be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            fields = _fields(file, path)
            size = fields.sizes("DimSize", fields.whole("NDims", 1, MOST_AXES))
            headers.check_dimensions(size, path)
            directions = _directions(fields, len(size))
            values = _voxels(file, size, fields)
    except (EOFError, zlib.error, ValueError) as error:
        raise headers.unreadable(path) from error
    values = values.reshape(values.shape[len(size) - 3 :])
    return StoredImage(values, _affine(fields, directions, len(size)), warnings=tuple(_doubts(fields, directions)))


def _fields(file: BinaryIO, path: Path) -> Fields:
    """The fields that are known here; ITK writes whatever it knows of an image among them, also in several lines."""
    found: dict[str, str] = {}
    is_known = True
    for line in headers.lines_of(file, path):
        field = _FIELD.fullmatch(line)
        if field is None and not found:
            raise InputError(messages.NOT_OF_ITS_FORMAT.format(path=path))
        if field is None and is_known:
            raise headers.unusable(line.partition(" ")[0], path)
        if field is None:
            continue  # a field that is not known here goes on
        is_known = field[1] in KNOWN
        if field[1] in found:
            raise headers.unusable(field[1], path)
        if is_known:
            found[field[1]] = field[2]
        if field[1] == LAST:
            break
    if found[LAST].upper() != "LOCAL":
        raise InputError(messages.VOXELS_ELSEWHERE.format(path=path))
    return Fields(found, path)


# ---- the voxels ------------------------------------------------------------------------------------------------------


def _voxels(file: BinaryIO, size: tuple[int, ...], fields: Fields) -> np.ndarray:
    """Shape (..., k, j, i), or (..., k, j, i, component)."""
    _check_intensities(fields)
    channels = fields.whole("ElementNumberOfChannels", 1, MOST_CHANNELS, "1")
    layout = (channels, *size) if channels > 1 else size
    dtype, is_packed = _dtype(fields), _is_set(fields, "CompressedData")
    if not _is_set(fields, "BinaryData", default=True):
        raise fields.unusable("BinaryData")
    headers.check_promise(layout, dtype.itemsize, is_packed, fields.path)
    _check_lengths(file, fields)
    return read_voxels(unpacked(file) if is_packed else file, layout, dtype, fields.path)


def _dtype(fields: Fields) -> np.dtype:
    code = TYPES.get(fields.text("ElementType"))
    if code is None:
        raise fields.unusable("ElementType")
    order = _name_of(fields, BYTE_ORDER)
    return np.dtype((">" if order and _is_set(fields, order) else "<") + code)


def _check_intensities(fields: Fields) -> None:
    """Readers do not apply them, so that nobody could say which values were meant."""
    for key, neutral in INTENSITIES.items():
        if key in fields and fields.numbers(key, 1) != neutral:
            raise fields.unusable(key)


def _check_lengths(file: BinaryIO, fields: Fields) -> None:
    """Compare what the header says of the lengths of its parts with what they are."""
    header_bytes = file.tell()
    all_bytes = os.fstat(file.fileno()).st_size
    if "HeaderSize" in fields and fields.numbers("HeaderSize", 1) not in (0, header_bytes):
        raise fields.unusable("HeaderSize")
    key = "CompressedDataSize"
    if key in fields and not math.isclose(fields.numbers(key, 1)[0], all_bytes - header_bytes, rel_tol=SIZE_TOLERANCE):
        raise fields.unusable(key)


# ---- the position ----------------------------------------------------------------------------------------------------


def _affine(fields: Fields, directions: np.ndarray, axes: int) -> np.ndarray:
    """4×4 matrix, voxel indices (i, j, k) to RAS millimetres."""
    lps = np.eye(4)
    lps[:3, :3] = directions * _spacing(fields, axes)
    if offset := _name_of(fields, OFFSET):
        lps[:3, 3] = fields.numbers(offset, axes)[:3]
    return LPS_TO_RAS @ np.diag((*[_millimetres(fields)] * 3, 1.0)) @ lps


def _directions(fields: Fields, axes: int) -> np.ndarray:
    """LPS, one column for each axis."""
    key = _name_of(fields, MATRIX)
    if key is None:
        return np.eye(3)
    directions = fields.numbers(key, axes**2).reshape(axes, axes).T[:3, :3]
    if np.abs(np.linalg.norm(directions, axis=0) - 1).max() > LENGTH_TOLERANCE:
        raise fields.unusable(key)
    return directions


def _spacing(fields: Fields, axes: int) -> np.ndarray:
    for key in SPACINGS:
        if key in fields:
            spacing = fields.numbers(key, axes)[:3]
            if spacing.min() <= 0:
                raise fields.unusable(key)
            return spacing
    raise headers.without_position(fields.path, messages.MISSING_SPACING)


def _millimetres(fields: Fields) -> float:
    key = "DistanceUnits"
    unit = fields.text(key, "").lower()
    if unit not in MILLIMETRES:
        raise fields.unusable(key)
    return MILLIMETRES[unit]


def _doubts(fields: Fields, directions: np.ndarray) -> Iterator[str]:
    for names in (MATRIX, OFFSET):
        if _name_of(fields, names) is None:
            yield messages.PLACE_ASSUMED.format(name=fields.path.name, field=names[0])
    letters = fields.text("AnatomicalOrientation", "").upper()
    if re.fullmatch("[RLAPIS]{3}", letters):
        # ITK names the side from which an axis comes, others that to which it goes.
        along = [np.dot(TOWARDS[letter], column) for letter, column in zip(letters, directions.T, strict=True)]
        if not min(along) > SLANT and not max(along) < -SLANT:
            yield messages.AXES_CONTRADICT.format(name=fields.path.name, letters=letters)


# ---- fields ----------------------------------------------------------------------------------------------------------


def _name_of(fields: Fields, names: tuple[str, ...]) -> str | None:
    """Which of its names a field has; several of them have to say the same."""
    used = [name for name in names if name in fields]
    for name in used:
        if fields.text(name) != fields.text(used[0]):
            raise fields.unusable(name)
    return used[0] if used else None


def _is_set(fields: Fields, key: str, default: bool = False) -> bool:
    answer = fields.text(key, str(default)).upper()
    if answer not in YES + NO:
        raise fields.unusable(key)
    return answer in YES
