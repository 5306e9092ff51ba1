"""What a file is, its content says: formats are told by their first bytes, archives and strangers in one sentence."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
from pathlib import Path

import nibabel
import numpy as np
import pytest

from LiverSegLib.errors import InputError
from LiverSegLib.io import files

HU = np.random.default_rng(0).integers(-150, 200, (4, 9, 11)).astype(np.int16)
AFFINE = np.diag((-1.5, -1.25, 3, 1.0))


@pytest.fixture
def nifti():
    image = nibabel.Nifti1Image(HU.T, AFFINE)
    image.set_sform(AFFINE, 1)
    return image.to_bytes()


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "CT.NII.GZ"])
def test_a_nifti_file_is_read_whether_its_name_says_that_it_is_packed_or_not(tmp_path, nifti, pack, name):
    (tmp_path / name).write_bytes(pack(nifti))
    assert np.array_equal(files.read_ct(tmp_path / name).hu, HU)


@pytest.mark.parametrize("name", ["ct", "ct.mha", "ct.nrrd.part"])
def test_the_name_does_not_matter_where_the_first_bytes_tell(tmp_path, nifti, name):
    (tmp_path / name).write_bytes(nifti)
    assert np.array_equal(files.read_ct(tmp_path / name).hu, HU)


NRRD = b"NRRD0004\ntype: short\n"
DETACHED = b"ObjectType = Image\nNDims = 3\nElementDataFile = ct.raw\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ct.zip", b"PK\x03\x04" + bytes(99), "packed (zip)"),
        ("ct.nii.gz", b"PK\x03\x04" + bytes(99), "packed (zip)"),
        ("ct.nii.bz2", bz2.compress(NRRD), "packed (bzip2)"),
        ("ct.nii.xz", lzma.compress(NRRD), "packed (xz)"),
        ("ct.nrrd.gz", gzip.compress(NRRD, mtime=0), "packed (gzip)"),
        ("ct.tar.gz", gzip.compress(bytes(999), mtime=0), "packed (gzip)"),
        ("ct.mhd", DETACHED, "in another file"),
        ("ct.nhdr", NRRD + b"data file: ct.raw\n\n", "in another file"),
        ("ct.nii.gz", b"<!DOCTYPE html>" + bytes(999), "does not begin as"),
        ("ct.nii.gz", gzip.compress(b"This is no image.", mtime=0), "does not begin as"),
        ("ct.nrrd", b"\x89PNG\r\n\x1a\n", "does not begin as"),
        ("ct.mha", b"\x89PNG\r\n\x1a\n", "does not begin as"),
        ("ct.png", b"\x89PNG\r\n\x1a\n", ".nii, .nii.gz, .nrrd or .mha"),
    ],
)
def test_what_cannot_be_read_is_called_by_its_name(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    for read in (files.read_ct, files.read_labels):
        with pytest.raises(InputError) as caught:
            read(tmp_path / name)
        assert said in str(caught.value)


def test_the_header_of_a_pair_of_files_says_that_its_voxels_are_elsewhere(tmp_path, nifti):
    (tmp_path / "ct.hdr").write_bytes(nifti[:344] + b"ni1\0")
    with pytest.raises(InputError, match="in another file"):
        files.read_ct(tmp_path / "ct.hdr")


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("more", [b"\1", bytes(2 * 9 * 11)])
def test_a_nifti_file_that_is_longer_than_its_header_promises_is_refused(tmp_path, nifti, pack, more):
    (tmp_path / "ct.nii").write_bytes(pack(nifti + more))
    with pytest.raises(InputError, match="longer than its header promises"):
        files.read_ct(tmp_path / "ct.nii")
    (tmp_path / "ct.nii").write_bytes(pack(nifti + bytes(20)))
    assert np.array_equal(files.read_ct(tmp_path / "ct.nii").hu, HU)


def test_what_the_system_refuses_is_told_as_it_says_it(tmp_path, nifti, monkeypatch):
    (tmp_path / "ct.nii").write_bytes(nifti)

    def refuse(*_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match=r"cannot be read \(Permission denied\)"):
        files.read_ct(tmp_path / "ct.nii")
