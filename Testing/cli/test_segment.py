"""`liverseg segment`: a CT in; segmentation, report and picture out, all of them or none."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from LiverSegLib.cli import main
from LiverSegLib.errors import OutputError
from LiverSegLib.evaluation import picture
from LiverSegLib.inference import segmenter
from LiverSegLib.io import files


@pytest.fixture(scope="module")
def a_result(a_scan, tmp_path_factory):
    """What the command finds in the scan, as a file."""
    path = tmp_path_factory.mktemp("result") / "liver.nii.gz"
    assert main(["segment", str(a_scan.ct), "-o", str(path)]) == 0
    return path


@pytest.fixture
def interrupted(monkeypatch):
    """Ctrl-C is pressed when the segmenter has begun."""

    def check_input(*_):
        signal.raise_signal(signal.SIGINT)
        return []

    monkeypatch.setattr(segmenter, "check_input", check_input)


@pytest.fixture
def a_failing_picture(monkeypatch):
    """The disk is full when the picture is to be written, after the segmentation."""

    def write_png(path, image):
        path.write_bytes(b"half a picture")
        raise OutputError("The disk is full; free some space.")

    monkeypatch.setattr(picture, "write_png", write_png)


def test_a_ct_with_a_reference_gives_segmentation_report_and_picture(run, a_scan, output_folder):
    liver, report, overlay = (output_folder / name for name in ("liver.seg.nrrd", "report.json", "overlay.png"))

    outcome = run(
        "segment", a_scan.ct, "-o", liver, "--reference", a_scan.liver, "--report", report, "--picture", overlay,
        "--device", "cpu",
    )  # fmt: skip

    assert (outcome.exit_code, outcome.errors) == (0, [])
    labels, affine = files.read_labels(liver)
    ct = files.read_ct(a_scan.ct)
    assert labels.shape == ct.hu.shape
    assert np.allclose(affine, ct.affine)
    assert set(np.unique(labels)) <= {0, 1}
    content = json.loads(report.read_text())
    assert (content["input"], content["output"], content["device"]) == (str(a_scan.ct), str(liver), "cpu")
    assert content["liver_volume_ml"] == pytest.approx((labels > 0).sum() * ct.voxel_volume_ml, abs=0.01)
    assert {"dice", "iou", "hd95_mm", "assd_mm", "volume_difference_percent"} <= set(content)
    # Both are rounded from the same Dice, one after the other they would not be.
    printed = outcome.output.partition("Dice: ")[2].split()[0]
    assert float(printed) == pytest.approx(content["dice"], abs=0.0006)
    assert "research use" in outcome.output
    with Image.open(overlay) as image:
        assert image.mode == "RGB"
    assert {path.name for path in output_folder.iterdir()} == {liver.name, report.name, overlay.name}


def test_the_stages_add_up_to_the_total(run, a_scan, output_folder):
    run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--report", output_folder / "report.json")
    seconds = json.loads((output_folder / "report.json").read_text())["seconds"]
    assert set(seconds) == {"load", "preprocess", "network", "postprocess", "write", "total"}
    assert 0 < sum(seconds.values()) - seconds["total"] <= seconds["total"] + 0.01
    assert all(value >= 0 for value in seconds.values())


@pytest.mark.parametrize("name", ["liver.nii", "LIVER.SEG.NRRD"])
def test_every_output_format_holds_the_same_labels(run, a_scan, a_result, output_folder, name):
    assert run("segment", a_scan.ct, "-o", output_folder / name).exit_code == 0
    labels, affine = files.read_labels(output_folder / name)
    expected, expected_affine = files.read_labels(a_result)
    assert np.array_equal(labels, expected)
    assert np.allclose(affine, expected_affine)


def test_a_picture_of_0_to_255_is_segmented_with_a_warning(run, a_phantom, tmp_path, output_folder):
    picture, ct = np.clip((a_phantom.ct.hu + 160.0) * 255 / 400, 0, 255), tmp_path / "picture.nii.gz"
    files.write_ct(ct, replace(a_phantom.ct, hu=picture.astype(np.int16)))
    outcome = run("segment", ct, "-o", output_folder / "liver.nii.gz")
    assert outcome.exit_code == 0
    assert "0 to 255" in outcome.output


def test_an_mr_is_segmented_when_forced(run, changed_ct, output_folder):
    ct = changed_ct(lambda hu: np.clip(hu + 1000, 0, None).astype(np.int16) * 3)
    outcome = run("segment", ct, "-o", output_folder / "liver.nii.gz", "--force")
    assert outcome.exit_code == 0
    assert "Warning" in outcome.output


def test_a_reference_on_another_grid_is_resampled_with_a_warning(run, a_scan, output_folder, tmp_path):
    labels, affine = files.read_labels(a_scan.liver)
    finer = affine @ np.diag((1, 1, 0.5, 1))
    files.write_labels(tmp_path / "finer.nii.gz", labels.repeat(2, axis=0), finer)
    report = output_folder / "report.json"
    outcome = run(
        "segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--reference", tmp_path / "finer.nii.gz",
        "--report", report,
    )  # fmt: skip
    assert outcome.exit_code == 0
    assert any(
        "another voxel grid" in warning for warning in json.loads(report.read_text(encoding="utf-8"))["warnings"]
    )


def test_ctrl_c_ends_with_130_and_one_line_and_leaves_no_trace(run, a_scan, output_folder, interrupted):
    before = signal.getsignal(signal.SIGINT)
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz")
    assert outcome.exit_code == 130
    assert outcome.errors == ["liverseg: error: Cancelled: nothing was changed."]
    assert list(output_folder.iterdir()) == []
    assert signal.getsignal(signal.SIGINT) is before


def test_when_one_output_fails_none_is_left_and_the_old_ones_are_whole(run, a_scan, output_folder, a_failing_picture):
    liver = output_folder / "liver.nii.gz"
    liver.write_bytes(b"the old segmentation")
    outcome = run(
        "segment", a_scan.ct, "-o", liver, "--picture", output_folder / "p.png", "--report", output_folder / "r.json"
    )
    assert (outcome.exit_code, outcome.errors) == (2, ["liverseg: error: The disk is full; free some space."])
    assert [path.name for path in output_folder.iterdir()] == [liver.name]
    assert liver.read_bytes() == b"the old segmentation"


def test_an_unforeseen_error_is_one_line_and_exit_code_1(run, a_scan, output_folder, monkeypatch):
    monkeypatch.setattr(segmenter, "check_input", lambda *_: 1 / 0)
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz")
    assert outcome.exit_code == 1
    assert len(outcome.errors) == 1
    assert "ZeroDivisionError" in outcome.errors[0]
    assert list(output_folder.iterdir()) == []


def test_debug_adds_the_traceback(run, tmp_path, output_folder):
    outcome = run("segment", tmp_path / "none.nii", "-o", output_folder / "liver.nii.gz", "--debug")
    assert outcome.exit_code == 2
    assert outcome.errors[0].startswith("Traceback")
    assert outcome.errors[-1].startswith("liverseg: error: ")


def test_scaled_voxels_give_the_same_liver(run, a_scan, a_result, output_folder, tmp_path):
    image = nibabel.load(a_scan.ct)
    scaled = nibabel.Nifti1Image(np.asarray(image.dataobj) + 1024, image.affine)
    scaled.header.set_slope_inter(1, -1024)
    nibabel.save(scaled, tmp_path / "scaled.nii.gz")
    assert run("segment", tmp_path / "scaled.nii.gz", "-o", output_folder / "liver.nii.gz").exit_code == 0
    labels, _ = files.read_labels(output_folder / "liver.nii.gz")
    assert labels.any()
    assert np.array_equal(labels, files.read_labels(a_result)[0])


def test_an_output_that_is_a_link_is_written_through_and_one_to_the_input_is_refused(run, a_scan, tmp_path):
    (tmp_path / "store").mkdir()
    target, link, to_input = tmp_path / "store" / "any.nii.gz", tmp_path / "liver.nii.gz", tmp_path / "input.nii.gz"
    target.write_bytes(b"old")
    link.symlink_to(target)
    to_input.symlink_to(a_scan.ct)
    before = a_scan.ct.read_bytes()
    assert run("segment", a_scan.ct, "-o", link).exit_code == 0
    assert link.is_symlink() and files.read_labels(target)[0].any()
    assert run("segment", a_scan.ct, "-o", to_input).exit_code == 2
    assert a_scan.ct.read_bytes() == before and os.listdir(tmp_path / "store") == ["any.nii.gz"]


@pytest.mark.parametrize("command", ["segment", "batch"])
def test_a_result_lies_where_itk_sees_a_ct_whose_forms_differ(run, a_scan, tmp_path, command):
    image = nibabel.load(a_scan.ct)
    image.header["sform_code"], image.header["qoffset_z"] = 2, -700
    nibabel.save(nibabel.Nifti1Image(image.dataobj, None, image.header), tmp_path / "ct.nii.gz")
    result = {"segment": tmp_path / "liver.nii.gz", "batch": tmp_path / "out" / "cases" / "ct" / "liver.nii.gz"}
    output = result["segment"] if command == "segment" else tmp_path / "out"
    assert run(command, tmp_path / "ct.nii.gz", "-o", output).exit_code == 0
    ct, liver = (sitk.ReadImage(str(path)) for path in (tmp_path / "ct.nii.gz", result[command]))
    assert liver.GetOrigin() == ct.GetOrigin() and ct.GetOrigin()[2] == -700
    assert np.array_equal(nibabel.load(result[command]).affine, image.affine)
