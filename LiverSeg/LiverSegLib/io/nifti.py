"""NIfTI files through nibabel: voxel values in HU, checked affine, labels written for every viewer."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from .. import messages
from ..data.geometry import Geometry
from ..data.volume import check_position
from ..errors import InputError, OutputError
from . import headers, nifti_place
from .gunzip import MAGIC, unpacked
from .voxels import StoredImage, read_voxels

# What nibabel says of strange headers reaches the user as one sentence of ours, not as its own lines on stderr.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

# Sizes are 16-bit numbers.
LARGEST_SIZE = 32767
# The largest number that float32 tells from its neighbours.
LARGEST_IN_FLOAT32 = 1 << 24

# A header begins with its own size: that of NIfTI-1 or NIfTI-2.
SIZE_FIELD_BYTES = 4
KINDS = {kind.sizeof_hdr: kind for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header)}
LARGEST_EXTENSION = 1 << 26


def read(path: str | os.PathLike[str]) -> StoredImage:
    """Read a NIfTI file, gzip-compressed or not whatever its name says, with slope and intercept applied.

    The values are of the file's own dtype where it has no scaling, else float; the affine is that of the sform, or else
    of the qform; the place is for :func:`write`.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter or longer than its header promises, does not fit its checksum, is
        not 3D, is a colour picture, or has neither a sound sform nor a sound qform.
    OSError
        If the system does not let it be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_packed = file.peek(len(MAGIC)).startswith(MAGIC)
            stream = unpacked(file) if is_packed else file
            header, place = _header(stream, path)
            _check_header(header, is_packed, path)
            nifti_place.check_place(place, path)
            _skip(stream, header.get_data_offset() - header.sizeof_hdr)
            stored = read_voxels(stream, header.get_data_shape(), header.get_data_dtype(), path)
        values = _scaled(stored, *header.get_slope_inter())
        affine = nifti_place.in_mm(place) @ header.get_best_affine()
    except (HeaderDataError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise headers.unreadable(path) from error
    values = values.reshape(values.shape[-3:])
    affine = check_position(affine, str(path))
    doubts = nifti_place.doubts(place, Geometry(values.shape, affine), path.name)
    warnings = doubts + _doubts_of_scaling(header, path.name)
    return StoredImage(values, affine, warnings=warnings, place=place)


def write(
    path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray, place: Mapping[str, Any] | None = None
) -> None:
    """Write int16 HU or uint8 labels (k, j, i) with their IJK→RAS affine; the ending .gz compresses, and quickly.

    With the ``place`` of the NIfTI file that they belong to, they lie on it in every reader, whatever it takes.

    Raises
    ------
    OutputError
        If the header's 16-bit sizes and 32-bit reals cannot hold the grid.
    """
    if not _holds(values.shape, affine):
        raise OutputError(messages.NO_GRID_FOR_NIFTI.format(path=path))
    # Given an affine, nibabel would write forms of its own; given a header, it would mend it.
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), None)
    nifti_place.set_place(image.header, Geometry(values.shape, affine), place or {})
    nibabel.save(image, path)


def _holds(shape: tuple[int, ...], affine: np.ndarray) -> bool:
    """Whether the voxels stay in their places when the affine is rounded as the header rounds it."""
    with np.errstate(over="ignore"):
        stored = affine.astype(np.float32).astype(np.float64)
    if max(shape) > LARGEST_SIZE or not np.isfinite(stored).all() or not stored[:3, :3].any(axis=0).all():
        return False
    return Geometry(shape, stored).is_same_as(Geometry(shape, affine))


def _header(stream: BinaryIO, path: Path) -> tuple[nibabel.Nifti1Header, dict[str, Any]]:
    """The header that a stream begins with, from which on no byte is read, and the place in it as the file has it."""
    start = stream.read(SIZE_FIELD_BYTES)
    kind = KINDS.get(int.from_bytes(start, "little")) or KINDS.get(int.from_bytes(start, "big"))
    if kind is None:
        raise InputError(messages.NOT_OF_ITS_FORMAT.format(path=path))
    start += stream.read(kind.sizeof_hdr - len(start))
    if len(start) < kind.sizeof_hdr:
        raise EOFError("a header that is cut short")
    header = kind(start)
    if header["magic"] == kind.pair_magic:
        raise InputError(messages.VOXELS_ELSEWHERE.format(path=path))
    return header, nifti_place.place_of(kind(start, check=False))


def _check_header(header: nibabel.Nifti1Header, is_packed: bool, path: Path) -> None:
    dtype, shape = header.get_data_dtype(), header.get_data_shape()
    if dtype.names:
        raise InputError(messages.COLOUR_PICTURE.format(name=path))
    if dtype.kind == "c":
        raise InputError(messages.COMPLEX_NUMBERS.format(name=path))
    headers.check_dimensions(shape, path)
    headers.check_promise(shape, dtype.itemsize, is_packed, path)


def _skip(stream: BinaryIO, count: int) -> None:
    """Pass over what lies between header and voxels."""
    if not 0 <= count <= LARGEST_EXTENSION:
        raise ValueError(f"voxels that begin {count} bytes behind the header")
    stream.read(count)


def _scaled(stored: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    """The values that the stored numbers stand for, float where slope and intercept have to be applied."""
    if slope is None or intercept is None or (slope, intercept) == (1, 0):
        return stored
    is_precise = abs(intercept) < abs(slope) * LARGEST_IN_FLOAT32
    dtype = np.float32 if is_precise else np.float64
    return np.asarray(apply_read_scaling(stored, dtype(slope), dtype(intercept)), dtype=dtype)


def _doubts_of_scaling(header: nibabel.Nifti1Header, name: str) -> tuple[str, ...]:
    """A sentence for the user if the header has an intercept and no slope."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if (np.isfinite(slope) and slope) or not np.isfinite(intercept) or not intercept:
        return ()
    return (messages.INTERCEPT_WITHOUT_SLOPE.format(name=name, intercept=intercept),)
