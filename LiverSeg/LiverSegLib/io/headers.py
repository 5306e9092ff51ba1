"""What an image's header must fulfil before its voxels are read, the same for every file format."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from .. import messages
from ..errors import InputError

# deflate shrinks at most to 1/1032 (zlib's technical notes), so a header can be caught lying before memory is taken.
LARGEST_COMPRESSION = 1032

LARGEST_HEADER_BYTES = 1_000_000
LONGEST_QUOTE = 60
# Far from all lengths, and its square is finite.
LARGEST_NUMBER = 1e30

# Millimetres of the units of length that headers name.
MILLIMETRES = {
    **dict.fromkeys(("", "?", "mm", "millimeter", "millimeters", "millimetre", "millimetres"), 1.0),
    **dict.fromkeys(("cm", "centimeter", "centimeters", "centimetre", "centimetres"), 10.0),
    **dict.fromkeys(("m", "meter", "meters", "metre", "metres"), 1000.0),
    **dict.fromkeys(("um", "µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre"), 0.001),
}

# Narrower than Python's, which takes 1_000, inf, and the digits of other scripts.
_NUMBER = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,15}")


class Fields:
    """The fields of a header of text by name; what asks for one raises InputError that names it."""

    def __init__(self, fields: Mapping[str, str], path: Path) -> None:
        self._fields, self.path = fields, path

    def __contains__(self, key: str) -> bool:
        return key in self._fields

    def text(self, key: str, default: str | None = None) -> str:
        """The field's value, or the default; without a default the field has to be there."""
        value = self._fields.get(key, default)
        if value is None:
            raise _bad_header(messages.HEADER_LACKS.format(field=key), self.path)
        return value

    def numbers(self, key: str, count: int) -> np.ndarray:
        """So many numbers, float64."""
        words = self.text(key).split()
        if len(words) != count or not all(map(is_number, words)):
            raise self.unusable(key)
        return np.array(words, dtype=np.float64)

    def whole(self, key: str, lowest: int, highest: int, default: str | None = None) -> int:
        """A whole number within limits."""
        word = self.text(key, default).strip()
        if not _WHOLE_NUMBER.fullmatch(word) or not lowest <= int(word) <= highest:
            raise self.unusable(key)
        return int(word)

    def sizes(self, key: str, count: int) -> tuple[int, ...]:
        """So many numbers of voxels."""
        words = self.text(key).split()
        if len(words) != count or not all(word.isascii() and word.isdigit() and int(word) for word in words):
            raise self.unusable(key)
        return tuple(map(int, words))

    def unusable(self, key: str) -> InputError:
        """The error for a field that says what cannot be, or what cannot be read here."""
        return unusable(f"{key}: {self._fields[key]}", self.path)


def is_number(word: str) -> bool:
    """Whether a word is a number that a length can be."""
    return _NUMBER.fullmatch(word) is not None and abs(float(word)) < LARGEST_NUMBER


def lines_of(file: BinaryIO, path: Path) -> Iterator[str]:
    """Lines of the text that a file begins with, each ended by LF or CR LF.

    Raises
    ------
    InputError
        If more than :data:`LARGEST_HEADER_BYTES` are asked for, the file ends, or a line holds a CR or a NUL: other
        readers would end it there.
    """
    left = LARGEST_HEADER_BYTES
    while (line := file.readline(left)).endswith(b"\n"):
        left -= len(line)
        line = line.removesuffix(b"\n").removesuffix(b"\r")
        if b"\r" in line or b"\0" in line:
            break
        yield line.decode("utf-8", "replace")
    raise _bad_header(messages.HEADER_NOT_IN_LINES, path)


def check_dimensions(size: Sequence[int], path: Path) -> None:
    """Raise InputError unless ``size`` (i, j, k, ...) is 3D, apart from further axes of length 1."""
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise InputError(messages.NOT_3D.format(name=path, dimensions=len(size)))


def check_promise(size: Sequence[int], voxel_bytes: int, compressed: bool, path: Path) -> None:
    """Raise InputError if the file is too small for the voxels that its header promises.

    Parameters
    ----------
    size
        Number of voxels along (i, j, k, ...).
    voxel_bytes
        Bytes of one voxel.
    compressed
        Whether the voxels may be gzip-compressed.
    path
        The file.
    """
    largest = path.stat().st_size * (LARGEST_COMPRESSION if compressed else 1)
    if np.prod(size, dtype=float) * voxel_bytes > largest:
        raise InputError(messages.TRUNCATED_FILE.format(path=path))


def unreadable(path: Path) -> InputError:
    """The error for a file that its library cannot read."""
    return InputError(messages.UNREADABLE_FILE.format(path=path))


def unusable(line: str, path: Path) -> InputError:
    """The error for a line of a header that says what cannot be, or what cannot be read here."""
    said = "".join(character if character.isprintable() else "?" for character in line)
    said = said if len(said) <= LONGEST_QUOTE else said[:LONGEST_QUOTE] + "…"
    return _bad_header(messages.HEADER_SAYS.format(line=said), path)


def _bad_header(problem: str, path: Path) -> InputError:
    return InputError(messages.UNREADABLE_HEADER.format(path=path, problem=problem))


def without_position(path: Path, missing: str) -> InputError:
    """The error for an image whose header does not say how it lies in the patient."""
    return InputError(messages.NO_POSITION.format(name=path, missing=missing))
