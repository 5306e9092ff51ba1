"""Segments, vessels and spleen: their codes are DICOM's own, and what is written of them is read back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydicom.sr.codedict import codes

from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.structures import ANATOMY, COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS, to_map
from LiverSegLib.errors import InputError
from LiverSegLib.io import files

AFFINE = np.diag([-0.8, -0.8, 2.5, 1.0])
ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII")


@pytest.fixture
def labels() -> np.ndarray:
    labels = np.zeros((6, 10, 12), np.uint8)
    labels[1:5, 2:8, 2:10] = 1
    labels[2:4, 3:5, 4:6] = 2
    return labels


@pytest.fixture
def anatomy(labels: np.ndarray) -> Anatomy:
    """Eight slabs of the liver from right to left, vessels across them, and a spleen beside it."""
    segments = np.where(labels > 0, np.arange(12) - 1, 0).astype(np.uint8)
    spleen = np.zeros(labels.shape, bool)
    spleen[2:5, 4:7, 10:] = True
    vessels = np.zeros(labels.shape, bool)
    vessels[2, 3, 2:10] = True
    return Anatomy(segments, spleen, vessels)


@pytest.mark.parametrize(("number", "roman"), list(enumerate(ROMAN)))
def test_couinaud_segments_have_the_codes_of_dicoms_context_group_7170(number: int, roman: str) -> None:
    structure, code = COUINAUD[number], getattr(codes.cid7170, f"CouinaudHepaticSegment{roman}")
    assert structure.label == number + 1 and structure.name == f"Couinaud segment {number + 1}"
    assert f"~{code.scheme_designator}^{code.value}^{code.meaning}~" in structure.terminology


def test_the_spleen_has_the_code_of_dicoms_context_group_7154() -> None:
    assert f"~SCT^{codes.cid7154.Spleen.value}^Spleen~" in SPLEEN.terminology


def test_vessels_are_veins_of_the_liver_as_dicoms_context_groups_have_them() -> None:
    assert f"~SCT^{codes.cid7192.Vein.value}^Vein~" in VESSELS.terminology
    assert f"~SCT^{codes.cid7154.Liver.value}^Liver~" in VESSELS.terminology


def test_no_two_structures_share_a_name_a_code_or_a_colour() -> None:
    for field in ("name", "terminology", "colour"):
        assert len({getattr(structure, field) for structure in (LIVER, TUMOUR, *ANATOMY)}) == 12


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz", ".nrrd", ".NII"])
def test_a_result_is_read_back_with_its_segments_its_vessels_and_its_spleen(
    suffix, labels, anatomy, tmp_path: Path
) -> None:
    written = tmp_path / f"liver{suffix}"
    write(written, labels, anatomy)
    back = files.read_result(written)
    assert np.array_equal(back.labels, labels) and np.allclose(back.affine, AFFINE)
    assert np.array_equal(back.anatomy.segments, anatomy.segments)
    assert np.array_equal(back.anatomy.spleen, anatomy.spleen)
    assert np.array_equal(back.anatomy.vessels, anatomy.vessels)
    # Who knows nothing of segments finds liver and tumours as ever.
    assert np.array_equal(files.read_labels(written).labels, labels)


@pytest.mark.parametrize("suffix", [".seg.nrrd", ".nii.gz"])
def test_what_was_not_asked_for_is_not_there(suffix, labels, anatomy, tmp_path: Path) -> None:
    written = tmp_path / f"liver{suffix}"
    for one in ("segments", "spleen", "vessels"):
        write(written, labels, Anatomy(**{one: getattr(anatomy, one)}))
        back = vars(files.read_result(written).anatomy)
        assert np.array_equal(back.pop(one), getattr(anatomy, one)) and not any(back.values())
    other = tmp_path / f"other{suffix}"
    files.write_labels(other, labels, AFFINE)
    back = files.read_result(other).anatomy
    assert back.is_empty


def test_segments_of_another_grid_are_refused(labels, anatomy, tmp_path: Path) -> None:
    written = tmp_path / "liver.nii.gz"
    write(written, labels, anatomy)
    files.write_labels(tmp_path / "liver_anatomy.nii.gz", anatomy.segments[1:], AFFINE)
    with pytest.raises(InputError, match="another grid"):
        files.read_result(written)


def write(path: Path, labels: np.ndarray, anatomy: Anatomy) -> None:
    files.write_labels(path, labels, AFFINE, anatomy=anatomy)
    if beside := files.anatomy_file(path):
        files.write_labels(beside, to_map(anatomy), AFFINE)
