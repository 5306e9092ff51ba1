"""The voxels of an image file: as many as its header promises, every one of them read, none of anything else."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .. import messages
from ..errors import InputError
from .gunzip import PIECE_BYTES


@dataclass(frozen=True)
class StoredImage:
    """What an image file holds.

    Parameters
    ----------
    values
        Voxels, shape (k, j, i), or (k, j, i, component) where a voxel has several values.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres.
    fields
        Key/value pairs beside the image.
    warnings
        Sentences about what the header leaves open.
    place
        What a NIfTI header says of the place, for another file on the same grid; empty for other formats.
    """

    values: np.ndarray
    affine: np.ndarray
    fields: dict[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    place: dict[str, Any] = field(default_factory=dict)


def read_voxels(stream: BinaryIO, size: Sequence[int], dtype: np.dtype, path: Path) -> np.ndarray:
    """Read the rest of an image file.

    Parameters
    ----------
    stream
        At the first voxel, and unpacked.
    size
        Number of voxels along the axes, that which changes fastest first.
    dtype
        As they are stored.
    path
        What to call the file.

    Returns
    -------
    Array with the axes in reverse order, the slowest first.

    Raises
    ------
    InputError
        If there are fewer bytes than promised, or more.
    zlib.error, EOFError
        If they cannot be unpacked, to the checksum that ends them.
    """
    voxels = np.empty(size[::-1], dtype)
    if stream.readinto(voxels.reshape(-1).view(np.uint8)) < voxels.nbytes:  # type: ignore[attr-defined]
        raise InputError(messages.TRUNCATED_FILE.format(path=path))
    # Zeros may fill up a block. Anything else, or a whole slice of them, is a contradiction; a bomb is not unpacked.
    spare = max(1, math.prod(size[:-1]) * dtype.itemsize)
    while piece := stream.read(min(spare, PIECE_BYTES)):
        spare -= len(piece)
        if any(piece) or spare <= 0:
            raise InputError(messages.LONGER_FILE.format(path=path))
    return voxels
