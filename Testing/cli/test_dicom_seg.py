"""`liverseg segment` with a DICOM series: DICOM SEG and structured report out, equal to what the NIfTI road gives."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.sr.codedict import codes

from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom
from Testing.dicom_files import LPS_TO_RAS, multi_frame_of, save, slices_of

# pytest takes back the filters that LiverSegLib.dicom sets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]

# pydicom and highdicom complain of these, and quote them.
CONSPICUOUS = {"PatientName": "Doe=Jane=x=y=z", "PatientID": "4711" * 20, "PatientBirthDate": "long ago"}


@pytest.fixture(scope="module")
def a_ct():
    """A slab of the phantom, few voxels."""
    return make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0)).ct


@pytest.fixture(scope="module")
def a_series(a_ct, tmp_path_factory) -> Path:
    """The slab as a folder with a classic series, with its localizer, as scanners export it."""
    folder = tmp_path_factory.mktemp("series")
    images = slices_of(a_ct.hu, a_ct.affine)
    save(images, folder)
    localizer = slices_of(a_ct.hu[:1], a_ct.affine, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    save(localizer, folder, "localizer")
    return folder


@pytest.fixture(scope="module")
def a_multi_frame_series(a_ct, tmp_path_factory) -> Path:
    """The slab as a folder with one enhanced file."""
    folder = tmp_path_factory.mktemp("multi_frame")
    save([multi_frame_of(a_ct.hu, a_ct.affine, order=(5, 1, 0, 3, 2, 4))], folder)
    return folder


def masks_in(path: Path, shape: tuple[int, ...], affine: np.ndarray) -> dict[str, np.ndarray]:
    """The segments of a SEG by label, each frame put where it says it lies in a grid."""
    segmentation = highdicom.seg.segread(path)
    masks = {segment.SegmentLabel: np.zeros(shape, bool) for segment in segmentation.SegmentSequence}
    names = list(masks)
    to_index = np.linalg.inv(affine) @ LPS_TO_RAS
    frames = segmentation.pixel_array.reshape(-1, *shape[1:])
    for frame, groups in zip(frames, segmentation.PerFrameFunctionalGroupsSequence, strict=True):
        name = names[groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber - 1]
        k = round((to_index @ (*groups.PlanePositionSequence[0].ImagePositionPatient, 1))[2])
        masks[name][k] = frame
    return masks


def volume_in(path: Path) -> float:
    """Liver volume in ml that a structured report gives."""
    report = MeasurementReport.from_sequence([pydicom.dcmread(path)])
    group = report.get_volumetric_roi_measurement_groups(finding_type=codes.SCT.Liver)[0]
    return float(group.get_measurements(name=codes.SCT.Volume)[0].value)


@pytest.mark.parametrize("folder", ["a_series", "a_multi_frame_series"])
def test_dicom_seg_equals_the_nifti_road_voxel_for_voxel(run, a_ct, output_folder, folder, request):
    folder = request.getfixturevalue(folder)
    files.write_ct(output_folder / "ct.nii.gz", a_ct)

    outcome = run("segment", folder, "-o", output_folder / "liver.dcm")
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert run("segment", output_folder / "ct.nii.gz", "-o", output_folder / "liver.nii.gz").exit_code == 0

    expected, affine = files.read_labels(output_folder / "liver.nii.gz")
    assert expected.any()
    assert np.array_equal(masks_in(output_folder / "liver.dcm", expected.shape, affine)["Liver"], expected > 0)


def test_a_slice_stands_for_its_series(run, a_series, output_folder):
    outputs = output_folder / "of_the_folder.dcm", output_folder / "of_a_slice.dcm"
    for ct, output in zip((a_series, sorted(a_series.iterdir())[2]), outputs, strict=True):
        assert run("segment", ct, "-o", output).exit_code == 0
    assert len({pydicom.dcmread(output).PixelData for output in outputs}) == 1


@pytest.mark.slow
def test_on_a_real_series_dicom_seg_equals_the_nifti_road_voxel_for_voxel(run, shared_data, output_folder):
    folder = shared_data / "dicom_hcc048_portal"
    files.write_ct(output_folder / "ct.nii.gz", files.read_ct(folder))

    assert run("segment", folder, "-o", output_folder / "liver.dcm", "--tumour").exit_code == 0
    nifti = run("segment", output_folder / "ct.nii.gz", "-o", output_folder / "liver.nii.gz", "--tumour")

    assert nifti.exit_code == 0
    expected, affine = files.read_labels(output_folder / "liver.nii.gz")
    masks = masks_in(output_folder / "liver.dcm", expected.shape, affine)
    assert np.array_equal(masks["Liver"], expected > 0)
    assert np.array_equal(masks.get("Tumour", np.zeros_like(expected, bool)), expected == 2)


def test_the_measurements_give_the_volume_of_the_report(run, a_series, output_folder):
    outputs = {name: output_folder / name for name in ("liver.dcm", "volumes.dcm", "report.json", "overlay.png")}
    outcome = run(
        "segment", a_series, "-o", outputs["liver.dcm"], "--measurements", outputs["volumes.dcm"],
        "--report", outputs["report.json"], "--picture", outputs["overlay.png"],
    )  # fmt: skip
    assert (outcome.exit_code, outcome.errors) == (0, [])
    report = json.loads(outputs["report.json"].read_text(encoding="utf-8"))
    assert volume_in(outputs["volumes.dcm"]) == pytest.approx(report["liver_volume_ml"], abs=0.01)
    assert {path.name for path in output_folder.iterdir()} == set(outputs)
    assert str(outputs["volumes.dcm"]) in outcome.output


def test_results_beside_the_slices_do_not_disturb_the_next_run(run, a_ct, output_folder):
    save(slices_of(a_ct.hu, a_ct.affine), output_folder)
    arguments = "segment", output_folder, "-o", output_folder / "liver.dcm", "--measurements", output_folder / "sr.dcm"
    first = run(*arguments)
    second = run(*arguments)
    assert (first.exit_code, second.exit_code, second.errors) == (0, 0, [])


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        (["-o", "liver.dcm"], "is to be a DICOM SEG.*choose .nii.gz"),
        (["-o", "liver.nii.gz", "--measurements", "sr.dcm"], "give -o a name that ends in .dcm"),
        (["-o", "liver.dcm", "--measurements", "sr.xml"], "choose a name that ends in .dcm"),
        (["-o", "liver.dcm", "--measurements", "liver.dcm"], "two outputs"),
    ],
)
def test_dicom_output_that_cannot_be_is_refused_in_one_sentence(run, a_scan, output_folder, outputs, sentence):
    arguments = [output_folder / text if "." in text else text for text in outputs]
    outcome = run("segment", a_scan.ct, *arguments)
    assert outcome.exit_code == 2
    assert len(outcome.errors) == 1
    assert re.search(sentence, outcome.errors[0])
    assert list(output_folder.iterdir()) == []


@pytest.mark.parametrize("given", [".", "slice_001.dcm"])
def test_no_slice_of_the_series_is_overwritten(run, a_ct, output_folder, given):
    slices = save(slices_of(a_ct.hu, a_ct.affine), output_folder)
    before = slices[2].read_bytes()
    outcome = run("segment", output_folder / given, "-o", slices[2])
    assert outcome.exit_code == 2
    assert "is an input and would be overwritten" in outcome.errors[0]
    assert slices[2].read_bytes() == before


@pytest.mark.parametrize("measurements", [False, True])
def test_a_series_that_nothing_can_refer_to_is_refused_before_the_network_is_loaded(
    run, a_ct, output_folder, tmp_path, measurements
):
    save(slices_of(a_ct.hu, a_ct.affine, SOPInstanceUID="1.2.3"), tmp_path / "ct")
    options = ["--measurements", output_folder / "sr.dcm"] if measurements else []
    outcome = run("segment", tmp_path / "ct", "-o", output_folder / "liver.dcm", "--model", "missing.pt", *options)
    assert outcome.exit_code == 2
    assert "same SOPInstanceUID" in outcome.errors[0]
    assert list(output_folder.iterdir()) == []


@pytest.mark.slow
def test_nothing_of_the_patient_is_printed_or_reported(a_ct, output_folder, tmp_path):
    save(slices_of(a_ct.hu, a_ct.affine, **CONSPICUOUS), tmp_path / "ct")
    command = [
        sys.executable, "-m", "LiverSegLib.cli", "segment", tmp_path / "ct", "-o", output_folder / "liver.dcm",
        "--measurements", output_folder / "sr.dcm", "--report", output_folder / "report.json", "--debug",
    ]  # fmt: skip
    library = Path(files.__file__).parents[1]
    finished = subprocess.run(command, cwd=library, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    said = finished.stdout + (output_folder / "report.json").read_text(encoding="utf-8")
    assert not any(word in said for word in ("Doe", "Jane", "4711", "long ago"))
