"""Is the text at the beginning of a NRRD or MetaImage file sound? ITK is given no other: a damaged one can crash it.

The fields are those of https://itk.org/Wiki/ITK/MetaIO/Documentation and https://teem.sourceforge.net/nrrd/format.html.
"""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np

from .. import messages
from ..errors import InputError
from . import headers

LARGEST_HEADER_BYTES = 1_000_000
LONGEST_LINE = 4000
MOST_AXES = 10

# Bytes of a voxel's component.
ELEMENT_BYTES = {
    **dict.fromkeys(("MET_CHAR", "MET_UCHAR"), 1),
    **dict.fromkeys(("MET_SHORT", "MET_USHORT"), 2),
    **dict.fromkeys(("MET_INT", "MET_UINT", "MET_LONG", "MET_ULONG", "MET_FLOAT"), 4),
    **dict.fromkeys(("MET_LONG_LONG", "MET_ULONG_LONG", "MET_DOUBLE"), 8),
}
VECTORS = ("ElementSpacing", "ElementSize", "Offset", "Origin", "Position", "CenterOfRotation")
MATRICES = ("TransformMatrix", "Rotation", "Orientation")
YES = ("T", "TRUE", "1")

_FIELD = re.compile(r"\s*(\w{1,200})\s*[=:]\s*(.*?)\s*", re.ASCII)
_LAST_FIELD = re.compile(rb"(?m)^[ \t]*ElementDataFile[ \t]*[=:][^\r\n]*")
_VECTORS_OF_NRRD = re.compile(rb"(?im)^space (directions|origin):([^\r\n]*)")
_VECTOR = re.compile(rb"\(([^)]*)\)")
_SIZES_OF_NRRD = re.compile(rb"(?im)^sizes:([^\r\n]*)")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,15}")


def check_header(path: Path) -> None:
    """Look at the header of a .nrrd or .mha file before ITK does.

    Raises
    ------
    InputError
        If it is damaged, promises more voxels than the file can hold, or says that they are in another file.
    """
    with path.open("rb") as file:
        start = file.read(LARGEST_HEADER_BYTES)
    if path.suffix.lower() == ".nrrd":
        _check_nrrd(start, path)
        return
    try:
        _check_metaimage(start, path)
    except (ValueError, KeyError) as error:
        raise headers.unreadable(path) from error


def _check_nrrd(start: bytes, path: Path) -> None:
    header = re.split(rb"\r?\n\r?\n", start, maxsplit=1)[0]
    if re.search(rb"(?im)^data ?file:", header):
        raise InputError(messages.VOXELS_ELSEWHERE.format(path=path))
    # ITK keeps 32 bits of each size, so that four billion would be 0.
    if sizes := _SIZES_OF_NRRD.search(header):
        words = sizes[1].split()
        if not all(word.isdigit() for word in words):
            raise headers.unreadable(path)
        is_raw = re.search(rb"(?im)^encoding: *raw *\r?$", header) is not None
        headers.check_promise([int(word) for word in words], 1, not is_raw, path)
    for key, vectors in _VECTORS_OF_NRRD.findall(header):
        if not all(_is_sound(vector, key.lower() == b"directions") for vector in _VECTOR.findall(vectors)):
            raise headers.unreadable(path)


def _is_sound(vector: bytes, is_direction: bool) -> bool:
    """Whether the square of its length is neither infinite nor, of a direction, lost: then ITK would take 1 mm."""
    try:
        numbers = [abs(float(word)) for word in vector.split(b",")]
    except ValueError:
        return False
    return all(number < 1e100 for number in numbers) and (max(numbers) > 1e-100 or not is_direction)


def _check_metaimage(start: bytes, path: Path) -> None:
    fields = _fields_of_metaimage(start)
    if fields["ElementDataFile"].upper() != "LOCAL":
        raise InputError(messages.VOXELS_ELSEWHERE.format(path=path))
    axes = _whole(fields["NDims"])
    if not 1 <= axes <= MOST_AXES:
        raise ValueError(axes)
    size = [_whole(word) for word in _words(fields["DimSize"], axes)]
    if min(size) < 1:
        raise ValueError(size)
    for key in VECTORS:
        _check_numbers(fields, key, axes)
    for key in MATRICES:
        _check_numbers(fields, key, axes**2)
    file_bytes = path.stat().st_size
    for key in ("CompressedDataSize", "HeaderSize"):
        if not -1 <= _whole(fields.get(key, "0")) <= file_bytes:
            raise ValueError(key)
    components = _whole(fields.get("ElementNumberOfChannels", "1"))
    if not 1 <= components <= np.iinfo(np.int16).max:
        raise ValueError(components)
    is_binary = fields.get("BinaryData", "False").upper() in YES
    voxel_bytes = components * ELEMENT_BYTES.get(fields["ElementType"], 1) if is_binary else 1
    headers.check_promise(size, voxel_bytes, fields.get("CompressedData", "False").upper() in YES, path)


def _fields_of_metaimage(start: bytes) -> dict[str, str]:
    last = _LAST_FIELD.search(start)
    if last is None:
        raise ValueError("no field that ends the header")
    fields: dict[str, str] = {}
    for line in start[: last.end()].decode("latin-1").splitlines():
        field = _FIELD.fullmatch(line)
        if field is None or len(line) > LONGEST_LINE or field[1] in fields:
            raise ValueError(line)
        fields[field[1]] = field[2]
    return fields


def _check_numbers(fields: dict[str, str], key: str, count: int) -> None:
    if key in fields and not all(math.isfinite(float(word)) for word in _words(fields[key], count)):
        raise ValueError(key)


def _words(value: str, count: int) -> list[str]:
    words = value.split()
    if len(words) != count:
        raise ValueError(value)
    return words


def _whole(word: str) -> int:
    if not _WHOLE_NUMBER.fullmatch(word):
        raise ValueError(word)
    return int(word)
