"""What an image's header must fulfil before its voxels are read, the same for every file format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .. import messages
from ..errors import InputError

# deflate shrinks at most to 1/1032 (zlib's technical notes), so a header can be caught lying before memory is taken.
LARGEST_COMPRESSION = 1032


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


def without_position(path: Path, missing: str) -> InputError:
    """The error for an image whose header does not say how it lies in the patient."""
    return InputError(messages.NO_POSITION.format(name=path, missing=missing))
