"""What an image's header must fulfil before its voxels are read, the same for every file format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from .errors import InputError

# deflate shrinks at most to 1/1032 (zlib's technical notes), so a header can be caught lying before memory is taken.
LARGEST_COMPRESSION = 1032


def check_dimensions(size: Sequence[int], path: Path) -> None:
    """Raise InputError unless ``size`` (i, j, k, ...) is 3D, apart from further axes of length 1."""
    if len(size) < 3 or any(n != 1 for n in size[3:]):
        raise InputError(f"{path} has {len(size)} dimensions; give one 3D CT volume (one time point, no colour).")


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
        raise InputError(f"{path} is shorter than its header promises; copy or download it again.")


def unreadable(path: Path) -> InputError:
    """The error for a file that its library cannot read."""
    return InputError(f"{path} cannot be read, it may be truncated; copy or download it again.")


def without_position(path: Path, missing: str) -> InputError:
    """The error for an image whose header does not say how it lies in the patient."""
    return InputError(
        f"{path} has no valid position in the patient ({missing}); "
        "convert it again from DICOM with its orientation and spacing."
    )
