"""The grid that a file's header tells, read a second time and by other means than the library's.

None where the header leaves room for more than one reading; whatever is read then is at least a possible grid.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pydicom

Grid = tuple[tuple[int, ...], np.ndarray]
UIDS = "StudyInstanceUID", "SeriesInstanceUID"
RAS = np.diag((-1.0, -1.0, 1.0, 1.0))


def expected_grid(path: Path) -> Grid | None:
    """Shape (k, j, i) and IJK→RAS affine of a NIfTI, NRRD or MetaImage file, or of a folder with DICOM files."""
    try:
        if path.is_dir():
            return _dicom(path)
        content = path.read_bytes()
        if path.name.endswith(".gz"):
            content = gzip.decompress(content)
        if ".nii" in path.name:
            return _nifti(content)
        return _metaimage(content) if path.suffix == ".mha" else _nrrd(content)
    except Exception:  # what this simple reader does not understand is not for it to judge
        return None


def _nifti(content: bytes) -> Grid | None:
    orders = [order for order in "<>" if struct.unpack_from(f"{order}i", content)[0] == 348]
    if not orders:
        return None
    order = orders[0]
    dim = struct.unpack_from(f"{order}8h", content, 40)
    pixdim = struct.unpack_from(f"{order}8f", content, 76)
    qform, sform = struct.unpack_from(f"{order}2h", content, 252)
    if not {qform, sform} <= set(range(6)):
        return None
    b, c, d, *offset = struct.unpack_from(f"{order}6f", content, 256)
    if sform:
        affine = np.vstack((np.reshape(struct.unpack_from(f"{order}12f", content, 280), (3, 4)), (0, 0, 0, 1)))
    elif qform:
        a = math.sqrt(max(0.0, 1 - b * b - c * c - d * d))
        norm = math.sqrt(a * a + b * b + c * c + d * d)
        a, b, c, d = a / norm, b / norm, c / norm, d / norm
        turn = np.array(
            [
                [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
                [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
                [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
            ]
        )
        affine = np.eye(4)
        affine[:3, :3] = turn * (pixdim[1], pixdim[2], pixdim[3] * (pixdim[0] or 1))
        affine[:3, 3] = offset
    else:
        return None
    factor = {1: 1000.0, 3: 0.001}.get(content[123] & 7, 1.0)
    # The Freesurfer convention, in which one dimension is too long for the field, is nibabel's affair.
    return None if dim[1] < 0 else (dim[3:0:-1], np.diag((factor, factor, factor, 1.0)) @ affine)


def _nrrd(content: bytes) -> Grid | None:
    lines = content.partition(b"\n\n")[0].decode("ascii").replace("\r", "").split("\n")[1:]
    pairs = [line.split(": ", 1) for line in lines if not line.startswith("#") and ": " in line]
    fields = {key.strip().lower(): value.strip() for key, value in pairs}
    if len(fields) < len(pairs):
        return None
    sizes = _whole_numbers(fields["sizes"])
    vectors = re.findall(r"none|\([^)]*\)", fields["space directions"])
    columns = [_numbers(vector.strip("()").replace(",", " ")) for vector in vectors if vector != "none"]
    sizes = [size for size, vector in zip(sizes, vectors, strict=True) if vector != "none"]
    flip = {"left-posterior-superior": RAS, "right-anterior-superior": np.eye(4)}[fields["space"].lower()]
    affine = np.eye(4)
    affine[:3, :3] = np.column_stack(columns)
    affine[:3, 3] = _numbers(fields["space origin"].strip("()").replace(",", " "))
    return tuple(sizes[::-1]), flip @ affine


def _metaimage(content: bytes) -> Grid | None:
    header = content.partition(b"ElementDataFile")[0].decode("ascii")
    pairs = [line.split(" = ", 1) for line in header.split("\n") if " = " in line]
    fields = dict(pairs)
    if len(fields) < len(pairs) or {"Orientation", "Rotation", "Origin", "Position"} & set(fields):
        return None
    sizes = _whole_numbers(fields["DimSize"])
    affine = np.eye(4)
    turn = np.reshape(_numbers(fields["TransformMatrix"]), (3, 3)).T
    affine[:3, :3] = turn * _numbers(fields["ElementSpacing"])
    affine[:3, 3] = _numbers(fields["Offset"])
    return tuple(sizes[::-1]), RAS @ affine


def _dicom(folder: Path) -> Grid | None:
    images = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    if len(images) == 1:
        # A multi-frame image, whose frames take up the whole file.
        return None
    alike = {
        str([image.get(keyword) for keyword in ("Modality", "SOPClassUID", "ImageType", "SamplesPerPixel", *UIDS)])
        for image in images
    }
    if len(alike) > 1:
        return None
    along = np.cross(*np.reshape([float(v) for v in images[0].ImageOrientationPatient], (2, 3)))
    places = sorted(
        ([float(v) for v in image.ImagePositionPatient] for image in images), key=lambda p: np.dot(p, along)
    )
    affine = np.eye(4)
    spacing = [float(v) for v in images[0].PixelSpacing]
    affine[:3, :2] = np.reshape([float(v) for v in images[0].ImageOrientationPatient], (2, 3)).T * spacing[::-1]
    affine[:3, 2] = (np.array(places[-1]) - places[0]) / (len(places) - 1)
    affine[:3, 3] = places[0]
    return (len(images), images[0].Rows, images[0].Columns), RAS @ affine


def _numbers(text: str) -> list[float]:
    return [float(word) for word in text.split()]


def _whole_numbers(text: str) -> list[int]:
    return [int(word) for word in text.split()]


def same(found: Grid, wanted: Grid) -> bool:
    """Whether two grids are the same, but for rounding of what the header gives."""
    shape, affine = found
    # Axes of length 1 behind the third are none.
    if _three(shape) != _three(wanted[0]):
        return False
    scale = np.abs(wanted[1][:3]).max(initial=0.0)
    return bool(np.allclose(affine, wanted[1], rtol=1e-4, atol=1e-6 * scale))


def _three(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(shape)[-3:]
