"""Where a NIfTI header says that its voxels lie: in up to three ways, which may contradict each other (nifti1.h).

These are the sform, the qform, and the lengths in pixdim. nibabel, and so this library, takes the sform; ITK, and so
Slicer, always takes the lengths, and of codes other than 1 the qform.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.quaternions import quat2mat

from .. import messages
from ..data.geometry import Geometry
from . import headers

QFORM = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
FIELDS = ("xyzt_units", "qform_code", *QFORM, "sform_code", "srow_x", "srow_y", "srow_z")
LENGTHS = slice(4)  # of pixdim; the others are of time
# More than rounding in headers does; with less, it is still the same voxel.
AGREEMENT_VOXELS = 0.5

# NIfTI's code 1: coordinates of the scanner.
SCANNER_SPACE = 1

# In rare files the unit is not the millimetre: NIfTI's codes of metre and micrometre, in the lowest three bits of the
# field. The others are of time, and matter to nobody here.
MILLIMETRES = {1: 1000.0, 3: 0.001}
UNIT_OF_LENGTH = 0b111


def place_of(header: nibabel.Nifti1Header) -> dict[str, Any]:
    """The fields that say it, as they are in the file if nibabel has not mended the header."""
    return {"pixdim": header["pixdim"][LENGTHS], **{field: header[field] for field in FIELDS}}


def set_place(header: nibabel.Nifti1Header, geometry: Geometry, place: Mapping[str, Any]) -> None:
    """Say where voxels lie: as the CT did that they belong to, if it was a NIfTI file.

    ``place`` is what :func:`place_of` found in that CT, or nothing. Then sform and qform say the same, but a sheared
    grid, which no qform can hold, has the sform alone: ITK refuses that, and does not misplace it.
    """
    if place:
        header["pixdim"][LENGTHS] = place["pixdim"]
        for field in FIELDS:
            header[field] = place[field]
        return
    header.set_xyzt_units("mm")
    header.set_sform(geometry.affine, SCANNER_SPACE)
    header.set_qform(geometry.affine, SCANNER_SPACE)
    if not Geometry(geometry.shape, header.get_qform()).is_same_as(geometry, AGREEMENT_VOXELS):
        header["qform_code"] = 0


def check_place(place: Mapping[str, Any], path: Path) -> None:
    """Raise InputError if no form is set, or a qform that somebody has to go by is none."""
    # nibabel would make up an affine from the spacing alone, and left and right would be a guess.
    if not place["sform_code"] and not place["qform_code"]:
        raise headers.without_position(path, messages.MISSING_FORM)
    # nibabel turns a length of 0 into 1 mm and takes the minus from another, ITK mirrors the image.
    if not place["sform_code"] and not (place["pixdim"][1:] > 0).all():
        raise headers.without_position(path, messages.MISSING_LENGTHS)
    if place["qform_code"] and not np.isfinite([place[field] for field in QFORM]).all():
        raise headers.without_position(path, messages.MISSING_QFORM)


def doubts(place: Mapping[str, Any], geometry: Geometry, name: str) -> tuple[str, ...]:
    """A sentence for the user if others see the voxels of a file elsewhere than on this grid."""
    with np.errstate(all="ignore"):
        second = _second_place(place, geometry.affine)
        if Geometry(geometry.shape, second).is_same_as(geometry, AGREEMENT_VOXELS):
            return ()
        distance = np.linalg.norm((second - geometry.affine) @ geometry.corners(), axis=0).max()
    return (messages.FORMS_DIFFER.format(name=name, distance=distance),)


def in_mm(place: Mapping[str, Any]) -> np.ndarray:
    """What brings the header's coordinates to millimetres, 4×4."""
    factor = MILLIMETRES.get(int(place["xyzt_units"]) & UNIT_OF_LENGTH, 1.0)
    return np.diag((factor, factor, factor, 1.0))


def _second_place(place: Mapping[str, Any], affine: np.ndarray) -> np.ndarray:
    """The affine, in mm, by the qform, or else by the sform's directions, and by the lengths in pixdim."""
    qfac, *lengths = (float(number) for number in place["pixdim"])
    scale = in_mm(place)
    second = affine.copy()
    if place["qform_code"]:
        b, c, d, *offset = (float(place[field]) for field in QFORM)
        a = np.sqrt(max(0.0, 1.0 - b * b - c * c - d * d))
        second[:3, :3] = quat2mat((a, b, c, d)) * (1, 1, -1 if qfac < 0 else 1)
        second[:3, 3] = scale[:3, :3] @ offset
    # As ITK does where there is no length.
    lengths = [length if np.isfinite(length) and length else 1.0 for length in lengths]
    second[:3, :3] /= np.linalg.norm(second[:3, :3], axis=0)
    second[:3, :3] *= np.diag(scale)[:3] * lengths
    return second
