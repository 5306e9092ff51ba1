"""NIfTI files through nibabel: voxel values in HU, checked affine, labels written for every viewer."""

from __future__ import annotations

import logging
import os
import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from .. import messages
from ..data.resample import same_grid
from ..errors import InputError, OutputError
from . import headers
from .gunzip import GunzipStream

# What nibabel says of strange headers reaches the user as one sentence of ours, not as its own lines on stderr.
logging.getLogger("nibabel.global").setLevel(logging.CRITICAL)

# Sizes are 16-bit numbers.
LARGEST_SIZE = 32767

# NIfTI's code 1: coordinates of the scanner.
SCANNER_SPACE = 1

# nibabel gives affines in the header's own unit, which in rare files is not the millimetre: NIfTI's codes of metre and
# micrometre, in the lowest three bits of the field. The others are of time, and matter to nobody here.
MILLIMETRES = {1: 1000.0, 3: 0.001}
UNIT_OF_LENGTH = 0b111


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a .nii or .nii.gz file, with slope and intercept of its header applied.

    Returns
    -------
    values
        Voxels, shape (k, j, i): of the file's own dtype where it has no scaling, else float.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, from the sform or else the qform.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter than its header promises, does not fit its checksum, is not 3D, is a
        colour picture, or has neither sform nor qform.
    """
    path = Path(path)
    try:
        image = nibabel.load(path)
        _check_header(image, path)
        values = _unpacked(image, path) if _is_packed(path) else _values(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise headers.unreadable(path) from error
    return values.reshape(values.shape[:3], order="F").transpose(2, 1, 0), _affine_in_mm(image)


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


def _check_header(image: nibabel.Nifti1Image, path: Path) -> None:
    if not isinstance(image, nibabel.Nifti1Image):
        raise InputError(messages.NOT_NIFTI.format(path=path))
    if image.get_data_dtype().names:
        raise InputError(messages.COLOUR_PICTURE.format(name=path))
    if image.get_data_dtype().kind == "c":
        raise InputError(messages.COMPLEX_NUMBERS.format(name=path))
    headers.check_dimensions(image.shape, path)
    headers.check_promise(image.shape, image.get_data_dtype().itemsize, _is_packed(path), path)
    # nibabel would make up an affine from the spacing alone, and left and right would be a guess.
    if not image.header["sform_code"] and not image.header["qform_code"]:
        raise headers.without_position(path, messages.MISSING_FORM)


def _is_packed(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


def _unpacked(image: nibabel.Nifti1Image, path: Path) -> np.ndarray:
    """The voxels of a .nii.gz file; by itself nibabel stops after the last of them, and does not see the checksum."""
    stored = image.dataobj
    with GunzipStream(path) as stream:
        layout = (stored.shape, stored.dtype, stored.offset, stored.slope, stored.inter)
        values = _values(ArrayProxy(stream, layout, mmap=False))
        stream.check_rest()
    return values


def _values(voxels: ArrayProxy) -> np.ndarray:
    """Shape (i, j, k, ...), float32 where slope and intercept have to be applied."""
    return np.asarray(voxels) if (voxels.slope, voxels.inter) == (1, 0) else np.asarray(voxels, dtype=np.float32)


def _affine_in_mm(image: nibabel.Nifti1Image) -> np.ndarray:
    factor = MILLIMETRES.get(int(image.header["xyzt_units"]) & UNIT_OF_LENGTH, 1.0)
    return np.diag((factor, factor, factor, 1.0)) @ image.affine
