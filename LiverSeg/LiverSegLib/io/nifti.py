"""NIfTI files through nibabel: voxel values in HU, checked affine, labels written for every viewer."""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path
from typing import BinaryIO

import nibabel
import numpy as np
from nibabel.spatialimages import HeaderDataError
from nibabel.volumeutils import apply_read_scaling

from .. import messages
from ..data.resample import same_grid
from ..errors import InputError, OutputError
from . import headers
from .gunzip import MAGIC, unpacked
from .voxels import StoredImage, read_voxels

# What nibabel says of strange headers reaches the user as one sentence of ours, not as its own lines on stderr.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

# Sizes are 16-bit numbers.
LARGEST_SIZE = 32767

# A header begins with its own size: that of NIfTI-1 or NIfTI-2.
SIZE_FIELD_BYTES = 4
KINDS = {kind.sizeof_hdr: kind for kind in (nibabel.Nifti1Header, nibabel.Nifti2Header)}
LARGEST_EXTENSION = 1 << 26

# NIfTI's code 1: coordinates of the scanner.
SCANNER_SPACE = 1

# nibabel gives affines in the header's own unit, which in rare files is not the millimetre: NIfTI's codes of metre and
# micrometre, in the lowest three bits of the field. The others are of time, and matter to nobody here.
MILLIMETRES = {1: 1000.0, 3: 0.001}
UNIT_OF_LENGTH = 0b111


def read(path: str | os.PathLike[str]) -> StoredImage:
    """Read a NIfTI file, gzip-compressed or not whatever its name says, with slope and intercept applied.

    The values are of the file's own dtype where it has no scaling, else float32; the affine is that of the sform, or
    else of the qform.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter or longer than its header promises, does not fit its checksum, is
        not 3D, is a colour picture, or has neither sform nor qform.
    OSError
        If the system does not let it be read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            is_packed = file.peek(len(MAGIC)).startswith(MAGIC)
            stream = unpacked(file) if is_packed else file
            header = _header(stream, path)
            _check_header(header, is_packed, path)
            _skip(stream, header.get_data_offset() - header.sizeof_hdr)
            stored = read_voxels(stream, header.get_data_shape(), header.get_data_dtype(), path)
        values = _scaled(stored, *header.get_slope_inter())
        affine = _affine_in_mm(header)
    except (HeaderDataError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise headers.unreadable(path) from error
    return StoredImage(values.reshape(values.shape[-3:]), affine)


def write(path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray) -> None:
    """Write int16 HU or uint8 labels (k, j, i) with their IJK→RAS affine; the ending .gz compresses, and quickly.

    Both sform and qform are set, since some viewers look at the one and some at the other.

    Raises
    ------
    OutputError
        If the header's 16-bit sizes and 32-bit reals cannot hold the grid.
    """
    if not _holds(values.shape, affine):
        raise OutputError(messages.NO_GRID_FOR_NIFTI.format(path=path))
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    image.set_sform(affine, SCANNER_SPACE)
    image.set_qform(affine, SCANNER_SPACE)
    nibabel.save(image, path)


def _holds(shape: tuple[int, ...], affine: np.ndarray) -> bool:
    """Whether the voxels stay in their places when the affine is rounded as the header rounds it."""
    with np.errstate(over="ignore"):
        stored = affine.astype(np.float32).astype(np.float64)
    if max(shape) > LARGEST_SIZE or not np.isfinite(stored).all() or not stored[:3, :3].any(axis=0).all():
        return False
    return same_grid(shape, stored, shape, affine)


def _header(stream: BinaryIO, path: Path) -> nibabel.Nifti1Header:
    """The header that a stream begins with, from which on no byte is read."""
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
    return header


def _check_header(header: nibabel.Nifti1Header, is_packed: bool, path: Path) -> None:
    dtype, shape = header.get_data_dtype(), header.get_data_shape()
    if dtype.names:
        raise InputError(messages.COLOUR_PICTURE.format(name=path))
    if dtype.kind == "c":
        raise InputError(messages.COMPLEX_NUMBERS.format(name=path))
    headers.check_dimensions(shape, path)
    headers.check_promise(shape, dtype.itemsize, is_packed, path)
    # nibabel would make up an affine from the spacing alone, and left and right would be a guess.
    if not header["sform_code"] and not header["qform_code"]:
        raise headers.without_position(path, messages.MISSING_FORM)


def _skip(stream: BinaryIO, count: int) -> None:
    """Pass over what lies between header and voxels."""
    if not 0 <= count <= LARGEST_EXTENSION:
        raise ValueError(f"voxels that begin {count} bytes behind the header")
    stream.read(count)


def _scaled(stored: np.ndarray, slope: float | None, intercept: float | None) -> np.ndarray:
    """The values that the stored numbers stand for, float32 where slope and intercept have to be applied."""
    if slope is None or (slope, intercept) == (1, 0):
        return stored
    return np.asarray(apply_read_scaling(stored, np.float32(slope), np.float32(intercept)), dtype=np.float32)


def _affine_in_mm(header: nibabel.Nifti1Header) -> np.ndarray:
    factor = MILLIMETRES.get(int(header["xyzt_units"]) & UNIT_OF_LENGTH, 1.0)
    return np.diag((factor, factor, factor, 1.0)) @ header.get_best_affine()
