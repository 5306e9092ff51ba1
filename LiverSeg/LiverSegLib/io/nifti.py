"""NIfTI files through nibabel: voxel values in HU, checked affine, labels written for every viewer."""

from __future__ import annotations

import logging
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from scipy.spatial.transform import Rotation

from .. import messages
from ..data.resample import corners, same_grid
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

# What says where the voxels lie (nifti1.h), in up to three ways: sform, qform, and the lengths that are in pixdim.
QFORM = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
PLACE = ("pixdim", "xyzt_units", "qform_code", *QFORM, "sform_code", "srow_x", "srow_y", "srow_z")
SCALING = ("scl_slope", "scl_inter")
# Rounding in headers moves no voxel by more; less than this and it is still the same voxel.
AGREEMENT_VOXELS = 0.5


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """Read a .nii or .nii.gz file, with slope and intercept of its header applied.

    Returns
    -------
    values
        Voxels, shape (k, j, i): of the file's own dtype where it has no scaling, else float.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres, from the sform or else the qform.
    fields
        What the header says of the place and the scaling, as the file has it: for :func:`doubts` and :func:`write`.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter than its header promises, does not fit its checksum, is not 3D, is a
        colour picture, or has neither a sound sform nor a sound qform.
    """
    path = Path(path)
    try:
        image = nibabel.load(path)
        _check_header(image, path)
        fields = _stored_fields(image)
        values = _unpacked(image, path) if _is_packed(path) else _values(image.dataobj)
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error, ValueError, OverflowError) as error:
        raise headers.unreadable(path) from error
    _check_place(fields, path)
    affine = _in_mm(fields) @ image.affine
    return values.reshape(values.shape[:3], order="F").transpose(2, 1, 0), affine, fields


def doubts(fields: Mapping[str, Any], shape: tuple[int, ...], affine: np.ndarray, name: str) -> tuple[str, ...]:
    """Sentences for the user where a header that :func:`read` gave leaves open where the voxels lie, or their HU."""
    found = []
    with np.errstate(all="ignore"):
        second = _second_place(fields, affine)
        if not same_grid(shape, second, shape, affine, AGREEMENT_VOXELS):
            distance = np.linalg.norm((second - affine) @ corners(shape), axis=0).max()
            found.append(messages.FORMS_DIFFER.format(name=name, distance=distance))
    slope, intercept = (float(fields[field]) for field in SCALING)
    if not (np.isfinite(slope) and slope) and np.isfinite(intercept) and intercept:
        found.append(messages.INTERCEPT_WITHOUT_SLOPE.format(name=name, intercept=intercept))
    return tuple(found)


def write(
    path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray, fields: Mapping[str, Any] | None = None
) -> None:
    """Write int16 HU or uint8 labels (k, j, i) with their IJK→RAS affine; the ending .gz compresses, and quickly.

    With the ``fields`` of the CT that they belong to, if that was a NIfTI file, they lie on it in every reader, also
    where sform, qform and pixdim contradict each other. Without them, sform and qform say the same, since some viewers
    look at the one and some at the other; a sheared grid, which no qform can hold, has the sform alone.

    Raises
    ------
    OutputError
        If the header's 16-bit sizes and 32-bit reals cannot hold the grid.
    """
    if not _holds(values.shape, affine):
        raise OutputError(messages.NO_GRID_FOR_NIFTI.format(path=path))
    # Given an affine, nibabel would write forms of its own; given a header, it would mend it.
    image = nibabel.Nifti1Image(values.transpose(2, 1, 0), None)
    if fields:
        image.header["pixdim"][:4] = fields["pixdim"][:4]
        for field in PLACE[1:]:
            image.header[field] = fields[field]
    else:
        _set_place(image.header, values.shape, affine)
    nibabel.save(image, path)


def _set_place(header: nibabel.Nifti1Header, shape: tuple[int, ...], affine: np.ndarray) -> None:
    header.set_xyzt_units("mm")
    header.set_sform(affine, SCANNER_SPACE)
    header.set_qform(affine, SCANNER_SPACE)
    # ITK takes the qform of a sheared grid for what it says, which is elsewhere; without it, it refuses the file.
    if not same_grid(shape, header.get_qform(), shape, affine, AGREEMENT_VOXELS):
        header["qform_code"] = 0


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


def _stored_fields(image: nibabel.Nifti1Image) -> dict[str, Any]:
    """Fields of the header as the file has them: nibabel has mended some of them, which ITK takes as they are."""
    with image.file_map["image"].get_prepare_fileobj() as file:
        header = type(image.header).from_fileobj(file, check=False)
    return {field: header[field] for field in (*PLACE, *SCALING)}


def _check_place(fields: Mapping[str, Any], path: Path) -> None:
    """Refuse a header whose qform is the only place that it names, or may be taken for one, and is none."""
    # nibabel turns a length of 0 into 1 mm and takes the minus from another, ITK mirrors the image.
    if not fields["sform_code"] and not (fields["pixdim"][1:4] > 0).all():
        raise headers.without_position(path, messages.MISSING_LENGTHS)
    if fields["qform_code"] and not np.isfinite([fields[field] for field in QFORM]).all():
        raise headers.without_position(path, messages.MISSING_QFORM)


def _second_place(fields: Mapping[str, Any], affine: np.ndarray) -> np.ndarray:
    """The affine in mm that the qform says, or else pixdim: what ITK reads unless the sform says the same."""
    qfac, *lengths = (float(number) for number in fields["pixdim"][:4])
    scale = _in_mm(fields)
    second = affine.copy()
    if fields["qform_code"]:
        b, c, d, *offset = (float(fields[field]) for field in QFORM)
        a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
        second[:3, :3] = Rotation.from_quat((b, c, d, a)).as_matrix() * (1, 1, -1 if qfac < 0 else 1)
        second[:3, 3] = scale[:3, :3] @ offset
    # As ITK does where there is no length.
    lengths = [length if np.isfinite(length) and length else 1.0 for length in lengths]
    second[:3, :3] /= np.linalg.norm(second[:3, :3], axis=0)
    second[:3, :3] *= np.diag(scale)[:3] * lengths
    return second


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


def _in_mm(fields: Mapping[str, Any]) -> np.ndarray:
    """What brings the header's coordinates to millimetres, 4×4."""
    factor = MILLIMETRES.get(int(fields["xyzt_units"]) & UNIT_OF_LENGTH, 1.0)
    return np.diag((factor, factor, factor, 1.0))
