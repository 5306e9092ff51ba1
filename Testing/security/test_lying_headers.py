"""A header of a few bytes that promises terabytes is refused before any memory is taken for them."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from LiverSegLib.errors import InputError
from LiverSegLib.io import files

SIDE = 30_000  # 54 TB of int16


def nifti() -> bytes:
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((SIDE, SIDE, SIDE))
    header.set_sform(np.eye(4), 1)
    header["vox_offset"] = 352
    return header.binaryblock + bytes(1000)


def nrrd(encoding: str) -> bytes:
    lines = (
        "NRRD0004",
        "type: short",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {SIDE} {SIDE} {SIDE}",
    )
    lines += ("space directions: (1,0,0) (0,1,0) (0,0,1)", "endian: little", f"encoding: {encoding}", "", "")
    voxels = bytes(1000) if encoding == "raw" else gzip.compress(bytes(1000))
    return "\n".join(lines).encode() + voxels


def mha(compressed: bool) -> bytes:
    lines = ("ObjectType = Image", "NDims = 3", f"DimSize = {SIDE} {SIDE} {SIDE}", "ElementType = MET_SHORT")
    lines += ("ElementSpacing = 1 1 1",)
    lines += (f"CompressedData = {compressed}", "ElementDataFile = LOCAL", "")
    return "\n".join(lines).encode() + bytes(1000)


LIARS = {
    "ct.nii": nifti(),
    "ct.nii.gz": gzip.compress(nifti()),
    "raw.nrrd": nrrd("raw"),
    "packed.nrrd": nrrd("gzip"),
    "raw.mha": mha(False),
    "packed.mha": mha(True),
}


@pytest.mark.parametrize("name", LIARS)
def test_terabytes_in_a_header_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(LIARS[name])
    for read in (files.read_ct, files.read_labels):
        with pytest.raises(InputError, match="shorter than its header promises"):
            read(tmp_path / name)
