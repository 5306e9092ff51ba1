"""Cases are found in folder trees and tables, each with a reference where there is one."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

from LiverSegLib.batch.cases import Case
from LiverSegLib.batch.find import find_cases, search_cases
from LiverSegLib.batch.record import CaseRecord, write_record
from LiverSegLib.errors import InputError


def made(root: Path, *names: str) -> Path:
    """A folder with files of these names; finding cases reads none of them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def by_name(cases: list[Case]) -> dict[str, Case]:
    return {case.name: case for case in cases}


# ---- folders ---------------------------------------------------------------------------------------------------------


def test_images_of_all_formats_are_found_at_any_depth(tmp_path: Path) -> None:
    made(tmp_path, "a.nii.gz", "b.nii", "c/d.nrrd", "c/e/f.MHA", "notes.txt", "c/table.xlsx")
    cases = find_cases(tmp_path)
    assert [case.source for case in cases] == ["a.nii.gz", "b.nii", "c/d.nrrd", "c/e/f.MHA"]
    assert [case.name for case in cases] == ["a", "b", "c__d", "c__e__f"]
    assert all(case.ct == tmp_path / case.source for case in cases)


def test_a_name_that_is_no_text_is_a_failed_case_that_can_be_told(tmp_path: Path) -> None:
    made(tmp_path, "a.nii.gz")
    (tmp_path / os.fsdecode("Müller.nii.gz".encode("latin-1"))).write_bytes(b"")
    failing, whole = find_cases(tmp_path)
    assert (whole.name, whole.problem) == ("a", "")
    assert failing.problem and failing.source == "M\\xfcller.nii.gz"
    f"{failing.name} {failing.source} {failing.problem}".encode()


def test_hidden_files_and_folders_are_no_cases_and_told_but_for_the_systems_own(tmp_path: Path) -> None:
    made(tmp_path, "a.nii.gz", "._a.nii.gz", ".DS_Store", ".trash/b.nii.gz", ".trash/1.dcm", ".c.nii")
    search = search_cases(tmp_path)
    assert [case.name for case in search.cases] == ["a"]
    assert len(search.left_out) == 1 and "hidden" in search.left_out[0] and "(2)" in search.left_out[0]


def test_the_output_inside_the_input_is_left_out(tmp_path: Path) -> None:
    made(tmp_path, "a.nii.gz", "out/cases/a/liver.nii.gz")
    assert [case.name for case in find_cases(tmp_path, leave_out=tmp_path / "out")] == ["a"]


def test_links_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
    made(tmp_path / "elsewhere", "a.nii.gz")
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "input")
    assert [case.source for case in find_cases(tmp_path / "input")] == ["link/a.nii.gz"]


def test_dicom_behind_links_is_found_and_a_link_that_leads_nowhere_is_told(tmp_path: Path, a_phantom) -> None:
    from Testing.dicom_files import save, slices_of

    save(slices_of(a_phantom.ct.hu[:2], a_phantom.ct.affine), tmp_path / "store" / "p1")
    (tmp_path / "links").mkdir()
    for name in ("p1", "gone"):
        (tmp_path / "links" / name).symlink_to(tmp_path / "store" / name)
    (tmp_path / "links" / "again").symlink_to(tmp_path / "links")
    search = search_cases(tmp_path / "links")
    assert [len(case.slices) for case in search.cases] == [2]
    assert search.left_out == ("links that lead nowhere (1)",)
    assert "gone" in search_cases(tmp_path / "links", patient_data=True).left_out[0]


LAYOUTS = {
    "TotalSegmentator": ("s1/ct.nii.gz", "s1/segmentations/liver.nii.gz", "s1/segmentations/spleen.nii.gz"),
    "AbdomenAtlas": ("B_1/ct.nii.gz", "B_1/segmentations/liver.nii.gz", "B_1/combined_labels.nii.gz"),
    "AbdomenAtlas apart": (
        "image_only/B_1/ct.nii.gz",
        "mask_only/B_1/segmentations/liver.nii.gz",
        "mask_only/B_1/combined_labels.nii.gz",
    ),
    "KiTS": ("case_1/imaging.nii.gz", "case_1/segmentation.nii.gz", "case_1/instances/kidney_instance-1.nii.gz"),
    "MSD": ("imagesTr/liver_1.nii.gz", "labelsTr/liver_1.nii.gz", "imagesTr/._liver_1.nii.gz"),
    "nnU-Net": ("imagesTr/liver_1_0000.nii.gz", "labelsTr/liver_1.nii.gz", "dataset.json"),
    "FLARE": ("TrainingImg/train_1_0000.nii.gz", "TrainingMask/train_1.nii.gz", "readme.txt"),
    "labels elsewhere": ("a/x1.nii.gz", "b/x1_seg.nii.gz", "b/notes.txt"),
    "BTCV": ("img/img0001.nii.gz", "label/label0001.nii.gz", "readme.txt"),
}


@pytest.mark.parametrize(("image", "liver", "other"), LAYOUTS.values(), ids=LAYOUTS)
def test_in_public_data_sets_label_maps_are_no_cases_and_references_are_found(
    tmp_path: Path, image: str, liver: str, other: str
) -> None:
    second = [name.replace("1", "2") for name in (image, liver, other)]
    made(tmp_path, image, liver, other, *second)
    alone = search_cases(tmp_path)
    assert {case.source for case in alone.cases} == {image, second[0]}
    assert any("--references" in told for told in alone.left_out)
    compared = search_cases(tmp_path, tmp_path)
    assert {case.source: case.reference for case in compared.cases} == {
        image: tmp_path / liver,
        second[0]: tmp_path / second[1],
    }
    assert compared.left_out == ()


def test_where_all_is_left_out_that_is_told(tmp_path: Path) -> None:
    made(tmp_path, ".hidden/a.nii.gz")
    with pytest.raises(InputError, match="hidden files and folders"):
        find_cases(tmp_path)


def test_results_of_an_earlier_run_are_no_cases_and_that_is_told(tmp_path: Path) -> None:
    made(tmp_path, "a.nii.gz", "old/cases/a/liver.nii.gz")
    write_record(tmp_path / "old", CaseRecord("a", "a.nii.gz", "done"))
    search = search_cases(tmp_path)
    assert [case.name for case in search.cases] == ["a"]
    assert search.left_out == ("results of an earlier run (1 cases)",)


def test_a_segmentation_beside_its_image_is_no_case_and_that_is_told(tmp_path: Path) -> None:
    made(tmp_path, "p1_ct.nii.gz", "p1_liver.nii.gz", "p2.nrrd", "p2.seg.nrrd")
    search = search_cases(tmp_path)
    assert [case.name for case in search.cases] == ["p1_ct", "p2"]
    assert len(search.left_out) == 2
    assert "p1_liver.nii.gz" in search.left_out[0] and "p1_ct.nii.gz" in search.left_out[0]
    assert str(tmp_path) not in "".join(search.left_out)


def test_a_link_to_itself_is_a_case_whose_failure_can_be_told(tmp_path: Path) -> None:
    (tmp_path / "a.nii").symlink_to("a.nii")
    (case,) = find_cases(tmp_path)
    assert case.without_paths(f"{tmp_path / 'a.nii'} does not exist.") == "a.nii does not exist."


@pytest.mark.parametrize("name", ["missing", "missing.csv", "notes.txt", "empty"])
def test_without_any_case_the_sentence_names_the_input(tmp_path: Path, name: str) -> None:
    made(tmp_path, "notes.txt")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=name):
        find_cases(tmp_path / name)


def test_damaged_dicom_files_are_a_case_of_their_folder_that_fails(tmp_path: Path) -> None:
    made(tmp_path, "a.nii", "Doe_Jane/1.dcm", "Doe_Jane/2.dcm", "Doe_John/1.dcm")
    for path in tmp_path.rglob("1.dcm"):
        path.write_bytes(b"")
    search = search_cases(tmp_path)
    damaged = [case for case in search.cases if case.problem]
    assert len(search.cases) == 3 and len(damaged) == 2
    assert sorted(case.problem[: case.problem.index(")")][-1] for case in damaged) == ["1", "2"]
    assert not any("Doe" in case.problem + case.name + case.source for case in damaged)
    named = search_cases(tmp_path, patient_data=True).cases
    assert {case.source for case in named if case.problem} == {"Doe_Jane", "Doe_John"}


# ---- references ------------------------------------------------------------------------------------------------------


def test_references_among_the_images_are_no_cases(tmp_path: Path) -> None:
    made(tmp_path, "p1_ct.nii.gz", "p1_liver.nii.gz")
    (case,) = find_cases(tmp_path, tmp_path)
    assert (case.name, case.reference) == ("p1_ct", tmp_path / "p1_liver.nii.gz")


def test_references_that_are_no_folder_are_told(tmp_path: Path) -> None:
    made(tmp_path, "a.nii")
    with pytest.raises(InputError, match="nowhere"):
        find_cases(tmp_path, tmp_path / "nowhere")


# ---- tables ----------------------------------------------------------------------------------------------------------


def table(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "cases.csv"
    path.write_text(text, encoding=encoding)
    return path


def test_a_table_gives_names_and_references(tmp_path: Path) -> None:
    path = table(tmp_path, "name,ct,reference,ward\nfirst,scans/x.nii,refs/x.nii,3\n,scans/y.nii,,4\n")
    cases = find_cases(path)
    assert [(case.name, case.source) for case in cases] == [("first", "scans/x.nii"), ("scans__y", "scans/y.nii")]
    assert cases[0].ct == tmp_path / "scans" / "x.nii"
    assert [case.reference for case in cases] == [tmp_path / "refs" / "x.nii", None]


@pytest.mark.parametrize(
    ("ending", "encoding"),
    [("\n", "utf-8"), ("\r\n", "utf-8-sig"), ("\r", "utf-16"), ("\n", "utf-16-le"), ("\r\n", "utf-16-be")],
)
@pytest.mark.parametrize(
    "text",
    [
        "ct,reference\nä.nii,r.nii\n",
        "CT;Reference\nä.nii;r.nii\n\n;\n",
        "\n\nct\treference\nä.nii\tr.nii",
        'ct, reference\n"ä.nii", "r.nii"\n',
        '"ct" , "reference"\n"ä.nii" , "r.nii" \n',
        "\nsep=;\nct;reference\nä.nii;r.nii\n",
        '"sep=|"\nct|reference\nä.nii|r.nii\n',
        "ct;reference;note (who, when)\nä.nii;r.nii;x, y\n",
        "reference,ct,,\nr.nii,ä.nii,,\n",
        "ct,reference\n.\\ä.nii,.\\r.nii\n",
    ],
)
def test_a_table_is_understood_as_people_and_spreadsheets_write_it(
    tmp_path: Path, text: str, ending: str, encoding: str
) -> None:
    path = tmp_path / "cases.csv"
    path.write_bytes(text.replace("\n", ending).encode(encoding))
    made(tmp_path, "ä.nii", "r.nii")
    (case,) = find_cases(path)
    assert (case.source, case.reference) == ("ä.nii", tmp_path / "r.nii")


def test_columns_that_mean_nothing_are_told(tmp_path: Path) -> None:
    search = search_cases(table(tmp_path, "ct,refrence\na.nii,r.nii\n"))
    assert len(search.left_out) == 1 and "refrence" in search.left_out[0]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_may_be_written_otherwise_on_the_disk(tmp_path: Path, forms: tuple[str, str]) -> None:
    written, stored = (unicodedata.normalize(form, "Müller/Gérard.nii") for form in forms)
    made(tmp_path, stored)
    (case,) = find_cases(table(tmp_path, f"ct\n{written}\n"))
    assert case.ct == tmp_path / stored


def test_references_of_a_folder_complete_a_table(tmp_path: Path) -> None:
    references = made(tmp_path / "refs", "x.nii", "y_liver.nii")
    path = table(tmp_path, "ct,reference\nx.nii,own.nii\ny.nii,\n")
    cases = by_name(find_cases(path, references))
    assert cases["x"].reference == tmp_path / "own.nii"
    assert cases["y"].reference == references / "y_liver.nii"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("scan,reference\nx.nii,\n", "ct"),
        ("ct,reference\n,x.nii\n", "Line 2"),
        ("ct,name\nx.nii,a\ny.nii,A\n", "two cases"),
        ("ct,CT\nx.nii,y.nii\n", "two columns"),
        ("ct\na,b.nii\n", "Line 2"),
        ("ct:reference\nx.nii:y.nii\n", "ct:reference"),
        ("", "ct"),
        ('ct\n"x.nii', "table"),
        ("ct\n", "no CT"),
    ],
)
def test_a_table_that_cannot_be_used_is_told_in_a_sentence(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        find_cases(table(tmp_path, text))


def test_a_table_that_is_no_text_is_told_in_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "cases.csv"
    path.write_bytes(b"ct\n\xff\xfe\x00.nii\n")
    with pytest.raises(InputError, match="UTF-8"):
        find_cases(path)


def test_a_folder_without_a_series_is_a_case_with_a_problem(tmp_path: Path) -> None:
    (tmp_path / "Doe_John").mkdir()
    (case,) = find_cases(table(tmp_path, "ct\nDoe_John\n"))
    assert case.problem and "Doe" not in case.problem + case.name + case.source


# ---- what a case knows of its files ----------------------------------------------------------------------------------


def test_the_digest_is_of_the_content_and_of_nothing_else(tmp_path: Path) -> None:
    one, same, other = (tmp_path / name for name in ("one.nii", "same.nii", "other.nii"))
    one.write_bytes(b"voxels")
    same.write_bytes(b"voxels")
    other.write_bytes(b"Voxels")
    digest = Case("a", one).input_digest()
    assert Case("b", same).input_digest() == digest
    assert Case("a", other).input_digest() != digest
    assert Case("a", one, reference=other).input_digest() != digest
    assert Case("a", one, reference=other).input_digest() != Case("a", other, reference=one).input_digest()
    assert Case("a", tmp_path, slices=("one.nii", "other.nii")).input_digest() != digest


def test_what_is_told_of_a_case_does_not_tell_where_it_lies(tmp_path: Path) -> None:
    folder = tmp_path / "Doe_John"
    case = Case(
        "series_1", folder, series_uid="1.2", source="series_1", slices=("a/1.dcm",), reference=tmp_path / "r.nii"
    )
    told = case.without_paths(f"{folder}{os.sep}a{os.sep}1.dcm and {folder} and {tmp_path / 'r.nii'} differ.")
    assert told == "series_1 and series_1 and r.nii differ."
