"""A batch of DICOM series tells nobody who the patients are: not in any file of its output, nor on the terminal."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.dataset import FileDataset

from LiverSegLib.phantom import Phantom, make_phantom
from Testing.cli.conftest import Outcome, Run
from Testing.dicom_files import save, slices_of

# Of two patients that do not exist; each text is found nowhere by chance.
PATIENTS = (
    {
        "PatientName": "Zyxwvut^Qwertina",
        "PatientID": "PID-90817263",
        "PatientBirthDate": "19010203",
        "OtherPatientNames": "Vormals^Qwertina",
        "AccessionNumber": "ACC-55443322",
        "ReferringPhysicianName": "Zuweiser^Xaver",
        "InstitutionName": "Klinikum Nirgendheim",
        "StudyDate": "20190817",
    },
    {
        "PatientName": "Üxküll^Ødipa",
        "SpecificCharacterSet": "ISO_IR 100",
        "PatientID": "PID-11335577",
        "PatientBirthDate": "19121130",
        "PatientAddress": "Am Holzweg 47",
        "StudyDescription": "Kontrolle bei Üxküll",
        "SeriesDescription": "Leber von Üxküll",
        "StudyDate": "20210412",
    },
)
# As they are, and in the forms that a program could give them.
SECRETS = (
    *("Zyxwvut", "Qwertina", "Vormals", "PID-90817263", "90817263", "ACC-55443322", "Zuweiser", "Xaver", "Nirgendheim"),
    *("Üxküll", "Ødipa", "PID-11335577", "11335577", "Holzweg"),
    *("19010203", "1901-02-03", "19121130", "1912-11-30"),
)
NAMES = ("Zyxwvut", "Qwertina", "Üxküll", "Ødipa")
STUDY_DATES = ("20190817", "2019-08-17", "20210412", "2021-04-12")
ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")


@pytest.fixture(scope="module")
def a_slab() -> Phantom:
    return make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))


@pytest.fixture
def export(a_slab: Phantom, tmp_path: Path) -> Path:
    """A folder as a PACS writes it: whole series, series with gaps, other files, in folders called after patients."""
    folder = tmp_path / "export"
    for patient in PATIENTS:
        place = folder / str(patient["PatientName"])
        save(a_series(a_slab, patient), place / "whole")
        gap = a_series(a_slab, patient)
        save([*gap[:2], *gap[4:]], place / "gap")
        localizer = a_series(a_slab, patient)[:1]
        localizer[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
        save(localizer, place / "localizer")
        broken = save(a_series(a_slab, patient)[:1], place / "broken")[0]
        broken.write_bytes(broken.read_bytes()[:-1000])
    return folder


def a_series(slab: Phantom, patient: dict[str, str]) -> list[FileDataset]:
    return slices_of(slab.ct.hu, slab.ct.affine, **patient)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of all files; of compressed ones also what they hold."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        yield name, os.fsencode(name) + b"\n" + path.read_bytes()
        if path.suffix == ".gz":
            yield f"{name}, unpacked", gzip.decompress(path.read_bytes())


def found_in(content: bytes, secrets: tuple[str, ...]) -> set[str]:
    """The secrets that the bytes hold, in whatever case or encoding."""
    lowered = content.lower()
    forms = {
        (secret, form.encode(encoding, "ignore").lower())
        for secret in secrets
        for form in (secret, json.dumps(secret).strip('"'))
        for encoding in ENCODINGS
    }
    return {secret for secret, form in forms if form in lowered}


def said(outcome: Outcome) -> bytes:
    return "\n".join([outcome.output, *outcome.errors]).encode()


def test_a_secret_would_be_found() -> None:
    for encoding in ENCODINGS:
        assert found_in(b"...\n" + "patient Üxküll".encode(encoding), SECRETS) == {"Üxküll"}
    assert found_in(b'{"name": "\\u00dcxk\\u00fcll", "id": "pid-90817263"}', SECRETS) >= {"Üxküll", "PID-90817263"}


def test_no_file_and_no_line_of_a_batch_tells_who_the_patients_are(run: Run, export: Path, tmp_path: Path) -> None:
    outcome = run("batch", export, "-o", tmp_path / "out", "--threads", 1)
    assert outcome.exit_code == 1  # the series with gaps
    names = [name for name, _ in contents(tmp_path / "out")]
    assert {"index.html", "results.csv", "results.json", "batch.log"} <= set(names)
    assert sum(name.endswith(".nii.gz") for name in names) == sum(name.endswith(".png") for name in names) == 2
    told = {name: found_in(content, (*SECRETS, *STUDY_DATES)) for name, content in contents(tmp_path / "out")}
    told |= {"terminal": found_in(said(outcome), (*SECRETS, *STUDY_DATES))}
    assert {name: secrets for name, secrets in told.items() if secrets} == {}


def test_a_row_whose_folder_holds_several_series_says_how_to_choose_and_names_nobody(
    run: Run, a_slab: Phantom, tmp_path: Path
) -> None:
    for part in ("a", "b"):
        save(a_series(a_slab, PATIENTS[1]), tmp_path / "Üxküll", part)
    (tmp_path / "cases.csv").write_text("name,ct\nfirst,Üxküll\n", encoding="utf-8")
    outcome = run("batch", tmp_path / "cases.csv", "-o", tmp_path / "out")
    assert "first holds several CT series; choose one by its SeriesInstanceUID" in outcome.output
    told = {name: found_in(content, SECRETS) for name, content in contents(tmp_path / "out")}
    assert {name: secrets for name, secrets in told.items() if secrets} == {}


def test_debugging_a_batch_tells_no_more(run: Run, export: Path, tmp_path: Path) -> None:
    outcome = run("batch", export, "-o", tmp_path / "out", "--threads", 1, "--no-pictures", "--debug")
    assert found_in(said(outcome), (*SECRETS, *STUDY_DATES)) == set()


def test_pictures_and_segmentations_do_not_depend_on_the_patient(run: Run, a_slab: Phantom, tmp_path: Path) -> None:
    left = []
    uids = {"SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.1", "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.2"}
    for number, patient in enumerate(PATIENTS):
        save(slices_of(a_slab.ct.hu, a_slab.ct.affine, **{**patient, **uids}), tmp_path / f"in_{number}")
        assert run("batch", tmp_path / f"in_{number}", "-o", tmp_path / f"out_{number}", "--threads", 1).exit_code == 0
        drawn = dict(contents(tmp_path / f"out_{number}"))
        left.append({name: content for name, content in drawn.items() if name.endswith((".png", "unpacked"))})
    assert len(left[0]) == 2
    assert left[0] == left[1]


def test_on_demand_the_tables_tell_patient_id_and_study_date_and_nothing_else(
    run: Run, export: Path, tmp_path: Path
) -> None:
    outcome = run("batch", export, "-o", tmp_path / "out", "--threads", 1, "--no-pictures", "--patient-data")
    table = (tmp_path / "out" / "results.csv").read_text(encoding="utf-8")
    header, *rows = table.splitlines()
    assert {"patient_id", "study_date"} <= set(header.split(","))
    assert any("PID-90817263" in row and "20190817" in row for row in rows)
    identifiers = {"PID-90817263", "90817263", "PID-11335577", "11335577"}
    for name, content in contents(tmp_path / "out"):
        in_tables = name.startswith("results.") or name.endswith("record.json")
        expected = identifiers if in_tables else set(NAMES) if name == "batch.log" else set()
        assert found_in(content, SECRETS) <= expected, name
    # Now it also tells where files lie that were left out, in folders called after patients.
    assert found_in(said(outcome), SECRETS) == set(NAMES)


def test_the_page_and_the_report_of_a_dicom_segmentation_stay_without_patient(
    run: Run, a_slab: Phantom, tmp_path: Path
) -> None:
    save(a_series(a_slab, PATIENTS[0]), tmp_path / "in")
    outcome = run("batch", tmp_path / "in", "-o", tmp_path / "out", "--threads", 1, "--format", ".dcm")
    assert outcome.exit_code == 0, outcome.errors
    told = {name: found_in(content, SECRETS) for name, content in contents(tmp_path / "out")}
    # The standard wants the patient in the segmentation itself, so that it finds its images in an archive.
    assert {name.rpartition(".")[2] for name, secrets in told.items() if secrets} == {"dcm"}
