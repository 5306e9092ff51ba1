"""NRRD files: a header of text and the voxels behind it (https://teem.sourceforge.net/nrrd/format.html)."""

from __future__ import annotations

import os
import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import messages
from ..data.volume import LPS_TO_RAS
from ..errors import InputError
from . import headers
from .gunzip import GZIP, unpacked
from .headers import MILLIMETRES, Fields, is_number
from .voxels import StoredImage, read_voxels

MOST_AXES = 16

TYPES = {
    "i1": ("signed char", "int8", "int8_t"),
    "u1": ("unsigned char", "uchar", "uint8", "uint8_t"),
    "i2": ("short", "short int", "signed short", "signed short int", "int16", "int16_t"),
    "u2": ("unsigned short", "ushort", "unsigned short int", "uint16", "uint16_t"),
    "i4": ("int", "signed int", "int32", "int32_t"),
    "u4": ("unsigned int", "uint", "uint32", "uint32_t"),
    "i8": ("long long", "longlong", "long long int", "signed long long", "signed long long int", "int64", "int64_t"),
    "u8": ("unsigned long long", "ulonglong", "unsigned long long int", "uint64", "uint64_t"),
    "f4": ("float",),
    "f8": ("double",),
}
CODES = {name: code for code, names in TYPES.items() for name in names}
ENCODINGS = {"raw": "raw", **dict.fromkeys(("gzip", "gz"), "gzip")}
ORDERS = {"little": "<", "big": ">"}

# The axes of the patient, and along which of them the space runs as ours does.
SPACES = {
    **dict.fromkeys(("right-anterior-superior", "ras"), (1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1.0, 1.0, 1.0)),
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1.0, -1.0, 1.0)),
}

SPATIAL_KINDS, UNKNOWN_KIND = ("domain", "space"), "???"
# How far a spacing may be from the length of the direction, relative to it.
SPACING_TOLERANCE = 1e-3

_MAGIC = re.compile(r"NRRD000[1-9]")
# All fields that there are: a line with another name is a damaged one.
_FIELD = re.compile(
    "(content|number|type|block ?size|dimension|space|space dimension|sizes|spacings|thicknesses|axis ?mins|axis ?maxs"
    "|space directions|centers|centerings|kinds|labels|units|min|max|old ?min|old ?max|endian|encoding|line ?skip"
    "|byte ?skip|sample ?units|space units|space origin|measurement frame|data ?file):(?!=)(.*)",
    re.IGNORECASE,
)
_PAIR = re.compile(r"(.*?):=(.*)")
_VECTOR = re.compile(r"none|\([^()]*\)")
_TEXT = re.compile(r'"([^"]*)"')
_ESCAPE = re.compile(r"\\(.)")

# A direction, or None for an axis that does not lie in space.
Directions = list[np.ndarray | None]


def read(path: str | os.PathLike[str]) -> StoredImage:
    """Read a .nrrd file; an origin that its header does not tell is taken for 0.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter or longer than its header promises, does not fit its checksum,
        contradicts itself, is not 3D, does not say how it lies in the patient, or says that its voxels are in another
        file.
    OSError
        If the system does not let it be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            fields, pairs = _header(file, path)
            size = fields.sizes("sizes", fields.whole("dimension", 1, MOST_AXES))
            directions = _directions(fields, size)
            affine = _affine(fields, directions)
            values = _voxels(file, size, fields)
    except (EOFError, zlib.error, ValueError) as error:
        raise headers.unreadable(path) from error
    doubts = () if "space origin" in fields else (messages.PLACE_ASSUMED.format(name=path.name, field="space origin"),)
    return StoredImage(_components_last(values, directions), affine, pairs, doubts)


def write(path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray, pairs: Mapping[str, str]) -> None:
    """Write values (k, j, i), or (k, j, i, component), with their IJK→RAS affine and key/value pairs, gzip-compressed.

    Components are written as a list, which is what Slicer makes of the layers of a segmentation.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    lps = LPS_TO_RAS @ affine
    *vectors, origin = (f"({','.join(repr(float(number)) for number in column)})" for column in lps[:3].T)
    size, has_list = list(values.shape[2::-1]), values.ndim == 4
    lines = [
        "NRRD0004",
        f"type: {TYPES[values.dtype.str[1:]][0]}",
        f"dimension: {values.ndim}",
        "space: left-posterior-superior",
        f"sizes: {' '.join(map(str, [*values.shape[3:], *size]))}",
        f"space directions: {' '.join(['none'] * has_list + vectors)}",
        f"kinds: {' '.join(['list'] * has_list + ['domain'] * 3)}",
        "endian: little",
        "encoding: gzip",
        f"space origin: {origin}",
        *(f"{key}:={_escaped(value)}" for key, value in pairs.items()),
    ]
    voxels = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    with open(path, "wb") as file:
        file.write("\n".join([*lines, "", ""]).encode("utf-8"))
        # The lowest level: labels shrink to a few percent at once, and higher levels only take longer.
        file.write(zlib.compress(voxels.data, level=1, wbits=GZIP))


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n")


# ---- the header ------------------------------------------------------------------------------------------------------


def _header(file: BinaryIO, path: Path) -> tuple[Fields, dict[str, str]]:
    """The fields and the key/value pairs; the file stands at its first voxel then."""
    found: dict[str, str] = {}
    pairs: dict[str, str] = {}
    lines = headers.lines_of(file, path)
    if not _MAGIC.fullmatch(next(lines)):
        raise InputError(messages.NOT_OF_ITS_FORMAT.format(path=path))
    while line := next(lines):
        if line.startswith("#"):
            continue
        if field := _FIELD.fullmatch(line):
            if field[1].lower() in found:
                raise headers.unusable(field[1], path)
            found[field[1].lower()] = field[2].strip()
        elif pair := _PAIR.fullmatch(line):
            pairs[pair[1]] = _ESCAPE.sub(lambda escape: "\n" if escape[1] == "n" else escape[1], pair[2])
        else:
            raise headers.unusable(line.partition(":")[0], path)
    if "data file" in found or "datafile" in found:
        raise InputError(messages.VOXELS_ELSEWHERE.format(path=path))
    return Fields(found, path), pairs


def _directions(fields: Fields, size: Sequence[int]) -> Directions:
    """One for each axis."""
    key = "space directions"
    if len(size) < 3:
        headers.check_dimensions(size, fields.path)
    if key not in fields:
        raise headers.without_position(fields.path, messages.MISSING_DIRECTIONS)
    words = _VECTOR.findall(fields.text(key))
    if len(words) != len(size) or _VECTOR.sub("", fields.text(key)).strip():
        raise fields.unusable(key)
    directions = [None if word == "none" else _vector(word, fields, key) for word in words]
    headers.check_dimensions([n for n, vector in zip(size, directions, strict=True) if vector is not None], fields.path)
    _check_kinds(fields, directions)
    _check_spacings(fields, directions)
    return directions


def _vector(word: str, fields: Fields, key: str) -> np.ndarray:
    words = [number.strip() for number in word.strip("()").split(",")]
    if not _VECTOR.fullmatch(word) or len(words) != 3 or not all(map(is_number, words)):
        raise fields.unusable(key)
    return np.array(words, dtype=np.float64)


def _check_kinds(fields: Fields, directions: Directions) -> None:
    """An axis lies in space by its kind if it has a direction, and only then."""
    kinds = fields.text("kinds", "??? " * len(directions)).lower().split()
    fits = [
        kind == UNKNOWN_KIND or (kind in SPATIAL_KINDS) == (vector is not None)
        for kind, vector in zip(kinds, directions, strict=False)
    ]
    if len(kinds) != len(directions) or not all(fits):
        raise fields.unusable("kinds")


def _check_spacings(fields: Fields, directions: Directions) -> None:
    """Where the distances between voxels are told a second time, they have to be the same."""
    key = "spacings"
    words = fields.text(key, "nan " * len(directions)).split()
    if len(words) != len(directions):
        raise fields.unusable(key)
    for word, vector in zip(words, directions, strict=True):
        if vector is None or word.lower() == "nan":
            continue
        if not is_number(word) or not np.isclose(float(word), np.linalg.norm(vector), rtol=SPACING_TOLERANCE):
            raise fields.unusable(key)


def _affine(fields: Fields, directions: Directions) -> np.ndarray:
    """4×4 matrix, voxel indices (i, j, k) to RAS millimetres."""
    signs = SPACES.get(fields.text("space", "").lower())
    if signs is None:
        raise headers.without_position(fields.path, messages.MISSING_SPACE)
    key = "space origin"
    origin = _vector(fields.text(key), fields, key) if key in fields else np.zeros(3)
    columns = [vector for vector in directions if vector is not None]
    affine = np.eye(4)
    affine[:3] = (np.column_stack([*columns, origin]).T * signs * _millimetres(fields, directions)).T
    return affine


def _millimetres(fields: Fields, directions: Directions) -> list[float]:
    """How many each unit along the axes of space is; that of a voxel axis would contradict its direction."""
    axes = [n for n, vector in enumerate(directions) if vector is not None]
    if any(factor != 1 for factor in _factors(fields, "units", len(directions), axes)):
        raise fields.unusable("units")
    return _factors(fields, "space units", 3, range(3))


def _factors(fields: Fields, key: str, count: int, wanted: Sequence[int]) -> list[float]:
    if key not in fields:
        return [1.0] * len(wanted)
    units = [unit.strip().lower() for unit in _TEXT.findall(fields.text(key))]
    if len(units) != count or not all(units[n] in MILLIMETRES for n in wanted):
        raise fields.unusable(key)
    return [MILLIMETRES[units[n]] for n in wanted]


# ---- the voxels ------------------------------------------------------------------------------------------------------


def _voxels(file: BinaryIO, size: Sequence[int], fields: Fields) -> np.ndarray:
    """Shape: the sizes, the last one first."""
    for key in ("line skip", "lineskip", "byte skip", "byteskip"):
        if fields.text(key, "0") != "0":
            raise fields.unusable(key)
    encoding = ENCODINGS.get(fields.text("encoding").lower())
    if encoding is None:
        raise fields.unusable("encoding")
    dtype = _dtype(fields)
    headers.check_promise(size, dtype.itemsize, encoding == "gzip", fields.path)
    return read_voxels(unpacked(file) if encoding == "gzip" else file, size, dtype, fields.path)


def _dtype(fields: Fields) -> np.dtype:
    code = CODES.get(" ".join(fields.text("type").lower().split()))
    if code is None:
        raise fields.unusable("type")
    if code.endswith("1"):
        return np.dtype(code)
    order = ORDERS.get(fields.text("endian").lower())
    if order is None:
        raise fields.unusable("endian")
    return np.dtype(order + code)


def _components_last(values: np.ndarray, directions: Directions) -> np.ndarray:
    """Shape (k, j, i), or (k, j, i, component) where a voxel has several values."""
    others = [axis for axis, vector in enumerate(reversed(directions)) if vector is None]
    values = np.moveaxis(values, others, range(-len(others), 0))
    values = values.reshape(*values.shape[:3], -1)
    return values[..., 0] if values.shape[3] == 1 else values
