"""`liverseg segment --segments --vessels --spleen`, `liverseg volumetry`: measures, a planned resection in figures."""

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest
from PIL import Image

from LiverSegLib import messages
from LiverSegLib.data.structures import COUINAUD, SPLEEN, VESSELS
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from Testing.anatomy_stand_in import with_anatomy

ALL = ("--segments", "--vessels", "--spleen", "--tumour")


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """The liver is found by the network, all else by plain geometry."""
    monkeypatch.setattr(Segmenter, "segment", with_anatomy(Segmenter.segment))


@pytest.fixture
def result(run, a_scan, output_folder):
    """Segment the scan with all that there is, into a file of this name."""

    def result(name="liver.nii.gz", *options):
        path = output_folder / name
        outcome = run("segment", a_scan.ct, "-o", path, *ALL, *options)
        assert (outcome.exit_code, outcome.errors) == (0, [])
        return path, outcome.output

    return result


@pytest.mark.parametrize("name", ["liver.seg.nrrd", "liver.nii.gz", "liver.nrrd"])
def test_segments_add_up_to_the_liver_in_file_report_and_volumetry(run, a_scan, result, output_folder, name):
    path, printed = result(name, "--report", output_folder / "report.json")
    back = files.read_result(path)
    assert np.array_equal(back.anatomy.segments > 0, back.liver)
    report = json.loads((output_folder / "report.json").read_text())
    assert sum(report["segments_ml"].values()) == pytest.approx(report["liver_volume_ml"], abs=1e-6)
    assert sum(report["segments_percent"].values()) == pytest.approx(100, abs=1e-6)
    assert f"Couinaud segment 4: {report['segments_ml']['4']:.0f} ml" in printed and "HU" in printed

    outcome = run("volumetry", path, "--ct", a_scan.ct, "--json", output_folder / "volumetry.json")
    assert (outcome.exit_code, outcome.errors) == (0, [])
    told = json.loads((output_folder / "volumetry.json").read_text())
    keys = ("liver_volume_ml", "segments_ml", "segments_percent", "vessels_volume_ml", "spleen_volume_ml")
    keys = (*keys, "attenuation_hu")
    assert {key: told[key] for key in keys} == {key: report[key] for key in keys}


def test_label_maps_hold_the_liver_as_ever_and_the_segments_in_a_file_beside(run, a_scan, result, output_folder):
    path, printed = result()
    beside = output_folder / "liver_anatomy.nii.gz"
    assert str(beside) in printed and {found.name for found in output_folder.iterdir()} == {path.name, beside.name}
    assert set(np.unique(np.asarray(nibabel.load(beside).dataobj))) == set(range(19)) - {10}
    plain = output_folder / "plain.nii.gz"
    run("segment", a_scan.ct, "-o", plain, "--tumour")
    assert np.array_equal(files.read_labels(plain).labels, files.read_labels(path).labels)
    assert not (output_folder / "plain_anatomy.nii.gz").exists()


def test_nothing_is_told_of_segments_that_were_not_asked_for(run, a_scan, output_folder):
    report = output_folder / "report.json"
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.seg.nrrd", "--report", report)
    assert outcome.exit_code == 0 and "segment" not in outcome.output.replace("liver.seg", "")
    assert not any(
        key.startswith(("segments", "vessels", "spleen", "attenuation", "tumours"))
        for key in json.loads(report.read_text())
    )


@pytest.mark.parametrize("name", ["liver.seg.nrrd", "liver.nii.gz"])
def test_vessels_lie_in_the_liver_and_take_nothing_from_its_segments(run, a_scan, output_folder, name):
    path, report = output_folder / name, output_folder / "report.json"
    assert run("segment", a_scan.ct, "-o", path, "--vessels", "--report", report).exit_code == 0
    back, told = files.read_result(path), json.loads(report.read_text())
    assert back.anatomy.segments is None and back.anatomy.vessels.any()
    assert not (back.anatomy.vessels & ~back.liver).any()
    assert told["vessels_volume_ml"] == pytest.approx(back.volume_ml(back.anatomy.vessels), abs=0.01)
    assert f"Liver vessels: {told['vessels_volume_ml']:.0f} ml" in run("volumetry", path).output


def test_the_picture_shows_what_was_asked_for(run, a_scan, result, output_folder):
    path = output_folder / "overlay.png"
    result("liver.nii.gz", "--picture", path)
    shown = np.asarray(Image.open(path)).reshape(-1, 3)
    run("batch", a_scan.ct.parent, "-o", output_folder / "batch", "--segments", "--vessels", "--spleen")
    [of_batch] = (output_folder / "batch" / "cases").glob("*/*.png")
    for pixels in (shown, np.asarray(Image.open(of_batch)).reshape(-1, 3)):
        for structure in (*COUINAUD, VESSELS, SPLEEN):
            assert (pixels == structure.colour).all(axis=1).any(), structure.name


@pytest.mark.parametrize("chosen", [("--resection", "right hepatectomy"), ("--remove", 5, 6, 7, 8)])
def test_a_planned_resection_in_figures(run, result, output_folder, chosen):
    path, _ = result()
    body = ("--weight-kg", 72, "--height-cm", 180)
    outcome = run("volumetry", path, *chosen, *body, "--json", output_folder / "plan.json")
    assert (outcome.exit_code, outcome.errors) == (0, [])
    told = json.loads((output_folder / "plan.json").read_text())
    plan = told["resection"]
    assert plan["removed_segments"] == [5, 6, 7, 8]
    assert plan["removed_ml"] + plan["remnant_ml"] == pytest.approx(told["liver_volume_ml"], abs=1e-6)
    assert plan["standard_liver_ml"] == pytest.approx(1610, abs=1)
    assert f"Future liver remnant: {plan['remnant_ml']:.0f} ml" in outcome.output
    assert "Remnant, % of body weight: " in outcome.output and "Standard liver volume: 1610 ml" in outcome.output


def test_a_hepatectomy_with_segment_1(run, result, output_folder):
    path, _ = result()
    run("volumetry", path, "--resection", "left hepatectomy", "--remove", 1, "--json", output_folder / "plan.json")
    plan = json.loads((output_folder / "plan.json").read_text())["resection"]
    assert plan["removed_segments"] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (("--resection", "whipple"), "choose one of these"),
        (("--remove", 9), "numbers from 1 to 8"),
        (("--weight-kg", 70), "give --resection"),
        (("--remove", 5, "--weight-kg", 7000), "give it in kg"),
    ],
)
def test_what_cannot_be_planned_is_one_sentence(run, result, wrong, words):
    outcome = run("volumetry", result()[0], *wrong)
    assert outcome.exit_code == 2 and len(outcome.errors) == 1 and words in outcome.errors[0]


def test_a_result_without_segments_cannot_be_resected(run, a_scan):
    outcome = run("volumetry", a_scan.liver, "--resection", "right hepatectomy")
    assert outcome.exit_code == 2 and "segment the CT again with them" in outcome.errors[0]
    assert run("volumetry", a_scan.liver).output.startswith("Liver: ")


def test_a_ct_of_another_grid_is_refused(run, result, a_scan, changed_ct):
    shifted = nibabel.load(a_scan.ct).affine + np.array([[0, 0, 0, 5], [0] * 4, [0] * 4, [0] * 4])
    outcome = run("volumetry", result()[0], "--ct", changed_ct(affine=shifted))
    assert outcome.exit_code == 2 and "another voxel grid" in outcome.errors[0]


def test_a_liver_that_the_ct_cuts_off_is_told(run, a_scan, output_folder):
    image = nibabel.load(a_scan.liver)
    labels = np.zeros(image.shape, np.uint8)
    labels[20:40, 20:40, :4] = 1
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), output_folder / "cut.nii.gz")
    cut, whole = (
        run("volumetry", output_folder / "cut.nii.gz", *options).output for options in (("--ct", a_scan.ct), ())
    )
    assert messages.LIVER_CUT_AT_ENDS in cut and messages.LIVER_CUT_AT_ENDS not in whole


def test_a_liver_that_was_edited_no_longer_fits_its_segments(run, result):
    path, _ = result()
    labels, affine = files.read_labels(path)
    labels[:3] = 0
    files.write_labels(path, labels, affine)
    assert "Warning: The Couinaud segments are not the liver" in run("volumetry", path).output


def test_a_batch_fills_the_columns_and_writes_the_files(run, a_scan, output_folder):
    wanted = ("--segments", "--vessels", "--spleen", "--no-pictures")
    assert run("batch", a_scan.ct.parent, "-o", output_folder, *wanted).exit_code == 0
    with (output_folder / "results.csv").open(encoding="utf-8-sig", newline="") as table:
        [row] = csv.DictReader(table)
    volumes = [float(row[f"segments_ml_{number}"]) for number in range(1, 9)]
    assert sum(volumes) == pytest.approx(float(row["liver_volume_ml"]), abs=1e-6)
    assert 0 < float(row["vessels_volume_ml"]) < float(row["liver_volume_ml"])
    assert float(row["spleen_volume_ml"]) > 0 and row["attenuation_hu_difference"] and row["tumours"] == ""
    [folder] = (output_folder / "cases").iterdir()
    assert (folder / "liver_anatomy.nii.gz").is_file()
    # What is there already is not done again, nor taken for a reference or a CT.
    again = run("batch", a_scan.ct.parent, "-o", output_folder, *wanted, "--references", output_folder / "cases")
    assert again.exit_code == 0
