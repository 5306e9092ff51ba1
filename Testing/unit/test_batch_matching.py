"""Which reference belongs to which case, by their names."""

from __future__ import annotations

from pathlib import PurePosixPath as Path

import pytest

from LiverSegLib.batch.matching import Address, match_references, segmentations_among


def matched(cases: list[str], references: list[str]) -> tuple[dict[str, str], dict[str, str]]:
    """References by case, and problems by case; cases are named by their paths."""
    addresses = {path: [Address.of(Path(path))] for path in cases}
    found, problems = match_references(addresses, [Path(path) for path in references])
    return {case: str(path) for case, path in found.items()}, problems


@pytest.mark.parametrize(
    ("case", "reference"),
    [
        ("scan7.nii.gz", "scan7.nii.gz"),
        ("scan7.nii.gz", "scan7.seg.nrrd"),
        ("scan7.nii.gz", "scan7_liver.nrrd"),
        ("scan7.nii.gz", "scan7-seg.nii"),
        ("SCAN7.NII.GZ", "scan7_Label.nii.gz"),
        ("ircad_e01_ct.nii.gz", "ircad_e01_liver.nii.gz"),
        ("volume-7.nii", "segmentation-7.nii"),
        ("img0007.nii.gz", "label0007.nii.gz"),
        ("case_0000.nii.gz", "case.nii.gz"),
        ("liver_7.nii.gz", "liver_7.nii.gz"),
        ("patient1_ct.nii.gz", "patient1_ct_liver_seg.nii.gz"),
        ("p1/ct.nii.gz", "p1/liver.nii.gz"),
        ("p1/ct.nii.gz", "p1_liver.nii.gz"),
        ("p1.nii.gz", "p1/segmentation.nii.gz"),
        ("imagesTr/liver_7.nii.gz", "labelsTr/liver_7.nii.gz"),
        ("s7/ct.nii.gz", "s7/segmentations/liver.nii.gz"),
        ("case_7/imaging.nii.gz", "case_7/segmentation.nii.gz"),
        ("m\u00fcller_ct.nii.gz", "Mu\u0308ller_liver.nii.gz"),
    ],
)
def test_a_reference_is_found_by_its_name(case: str, reference: str) -> None:
    assert matched([case], [reference, "other.nii.gz"]) == ({case: reference}, {})


@pytest.mark.parametrize(
    ("case", "reference"),
    [("scan7.nii.gz", "scan17.nii.gz"), ("p1/ct.nii.gz", "p2/liver.nii.gz"), ("p1/scan.nii.gz", "p2/scan.nii.gz")],
)
def test_what_only_looks_alike_is_no_reference(case: str, reference: str) -> None:
    assert matched([case], [reference]) == ({}, {})


def test_the_same_name_in_the_same_folder_comes_first() -> None:
    cases, references = ["a/x.nii", "b/x.nii"], ["b/x.nii", "a/x.nii"]
    assert matched(cases, references) == ({"a/x.nii": "a/x.nii", "b/x.nii": "b/x.nii"}, {})


def test_a_case_does_not_take_the_reference_of_another() -> None:
    assert matched(["a/x.nii", "b/x.nii"], ["a/x.nii"]) == ({"a/x.nii": "a/x.nii"}, {})


def test_several_that_fit_are_a_problem_that_names_them() -> None:
    found, problems = matched(["x.nii", "y.nii"], ["x_seg.nii", "x_liver.nii", "y.nii"])
    assert found == {"y.nii": "y.nii"}
    assert "x_seg.nii" in problems["x.nii"] and "x_liver.nii" in problems["x.nii"]


def test_one_that_fits_several_cases_is_a_problem_of_each() -> None:
    found, problems = matched(["a/x.nii", "b/x.nii"], ["x_liver.nii"])
    assert found == {}
    assert set(problems) == {"a/x.nii", "b/x.nii"}
    assert "a/x.nii" in problems["b/x.nii"]


@pytest.mark.parametrize(
    ("image", "segmentation"),
    [("p1_ct.nii.gz", "p1_liver.nii.gz"), ("ct.nii.gz", "liver.nii.gz")],
)
def test_a_segmentation_beside_its_image_is_known_by_its_name(image: str, segmentation: str) -> None:
    assert segmentations_among([Path(segmentation), Path(image)]) == {Path(segmentation): Path(image)}


@pytest.mark.parametrize("names", [("liver_1.nii", "liver_2.nii"), ("a/ct.nii", "b/liver.nii"), ("ct.nii", "late.nii")])
def test_images_with_like_names_are_no_segmentations(names: tuple[str, str]) -> None:
    assert segmentations_among([*map(Path, names)]) == {}


def test_in_a_data_set_of_a_hundred_organs_each_patient_gets_the_liver() -> None:
    organs = [
        "liver",
        "kidney_left",
        "portal_vein_and_splenic_vein",
        "liver_vessels",
        *(f"organ_{n}" for n in range(99)),
    ]
    patients = [f"s{n:04}" for n in range(300)]
    labelmaps = [f"{patient}/segmentations/{organ}.nii.gz" for patient in patients for organ in organs]
    found, problems = matched([f"{patient}/ct.nii.gz" for patient in patients], labelmaps)
    assert problems == {}
    assert found == {f"{patient}/ct.nii.gz": f"{patient}/segmentations/liver.nii.gz" for patient in patients}
