"""Bad input and bad options: exit code 2, one line that says what to do, nothing written."""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

from LiverSegLib import cli
from LiverSegLib.io import files


def missing(ct, folder):
    return folder / "ct.nii.gz"


def empty(ct, folder):
    return written(folder / "ct.nii.gz", b"")


def truncated_gz(ct, folder):
    content = ct.read_bytes()
    return written(folder / "ct.nii.gz", content[: len(content) // 2])


def truncated(ct, folder):
    content = gzip.decompress(ct.read_bytes())
    return written(folder / "ct.nii", content[: len(content) // 2])


def some_text(ct, folder):
    return written(folder / "ct.nii.gz", b"This is no image.")


def folder_without_dicom(ct, folder):
    (folder / "notes.txt").write_text("nothing here")
    return folder


def a_jpeg(ct, folder):
    return written(folder / "ct.jpg", b"\xff\xd8")


def a_zip(ct, folder):
    return written(folder / "ct.zip", b"PK\x03\x04")


def two_dimensional(ct, folder):
    return saved(folder, voxels(ct)[3].T, affine(ct))


def four_dimensional(ct, folder):
    return saved(folder, np.stack([voxels(ct).T] * 2, axis=-1), affine(ct))


def rgb(ct, folder):
    colours = np.zeros((64, 64, 6), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    return saved(folder, colours, affine(ct))


def without_affine(ct, folder):
    image = nibabel.Nifti1Image(voxels(ct).T, affine(ct))
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def nan(ct, folder):
    return saved(folder, with_one_voxel(voxels(ct), np.nan), affine(ct))


def constant(ct, folder):
    return saved(folder, np.full((64, 64, 6), 40, np.int16), affine(ct))


def pet(ct, folder):
    return saved(folder, np.where(voxels(ct).T > 150, 9000, voxels(ct).T % 40), affine(ct))


def written(path, content):
    path.write_bytes(content)
    return path


def saved(folder, values, affine):
    nibabel.save(nibabel.Nifti1Image(values, affine), folder / "ct.nii.gz")
    return folder / "ct.nii.gz"


def voxels(ct):
    return files.read_ct(ct).hu


def affine(ct):
    return files.read_ct(ct).affine


def with_one_voxel(values, value):
    values = values.T.astype(np.float32)
    values[5, 5, 5] = value
    return values


@pytest.mark.parametrize(
    ("bad_ct", "sentence"),
    [
        (missing, "does not exist"),
        (empty, "0 bytes"),
        (truncated_gz, "copy or download it again"),
        (truncated, "copy or download it again"),
        (some_text, "copy or download it again"),
        (folder_without_dicom, "no DICOM series"),
        (a_jpeg, "no known format"),
        (a_zip, "packed (zip)"),
        (two_dimensional, "2 dimensions"),
        (four_dimensional, "4 dimensions"),
        (rgb, "colour picture"),
        (without_affine, "no valid position in the patient"),
        (nan, "NaN"),
        (constant, "constant"),
        (pet, "do not look like HU"),
    ],
)
def test_a_ct_that_cannot_be_used_is_refused(run, a_scan, tmp_path, output_folder, bad_ct, sentence):
    folder = tmp_path / "input"
    folder.mkdir()
    ct = bad_ct(a_scan.ct, folder)
    outputs = ("-o", output_folder / "liver.nii.gz", "--report", output_folder / "r.json")
    refused(run("segment", ct, *outputs), sentence, output_folder)


def reference_elsewhere(scan, folder):
    labels, affine = files.read_labels(scan.liver)
    affine[:3, 3] += 5000
    return written_labels(folder, labels, affine)


def reference_of_many_organs(scan, folder):
    values = np.arange(6 * 64 * 64, dtype=np.int16).reshape(64, 64, 6) % 5
    nibabel.save(nibabel.Nifti1Image(values, affine(scan.ct)), folder / "labels.nii.gz")
    return folder / "labels.nii.gz"


def missing_reference(scan, folder):
    return folder / "none.nii.gz"


def folder_as_reference(scan, folder):
    return folder


def written_labels(folder, labels, affine):
    files.write_labels(folder / "labels.nii.gz", labels, affine)
    return folder / "labels.nii.gz"


@pytest.mark.parametrize(
    ("bad_reference", "sentence"),
    [
        (reference_elsewhere, "do not overlap"),
        (reference_of_many_organs, "which one is the liver is not clear"),
        (missing_reference, "does not exist"),
        (folder_as_reference, "is a folder"),
    ],
)
def test_a_reference_that_cannot_be_used_is_refused(run, a_scan, tmp_path, output_folder, bad_reference, sentence):
    reference = bad_reference(a_scan, tmp_path)
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--reference", reference)
    refused(outcome, sentence, output_folder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("-o", "{folder}/liver.dcm"), ".nii.gz, .nii, .nrrd or .seg.nrrd"),
        (("-o", "{folder}/liver"), ".nii.gz, .nii, .nrrd or .seg.nrrd"),
        (("-o", "{folder}/none/liver.nii.gz"), "does not exist"),
        (("-o", "{ct}/liver.nii.gz"), "does not exist"),
        (("-o", "{folder}/liver.nii.gz", "--report", "{folder}/none/r.json"), "does not exist"),
        (("-o", "{folder}/liver.nii.gz", "--picture", "{folder}"), "not a file that can be replaced"),
        (("-o", "{ct}"), "is an input"),
        (("-o", "{folder}/a.nii.gz", "--report", "{folder}/a.nii.gz"), "two outputs"),
        (("-o", "{folder}/liver.nii.gz", "--device", "abacus"), "no device called"),
        (("-o", "{folder}/liver.nii.gz", "--device", "cuda:99"), "cuda:99"),
        (("-o", "{folder}/liver.nii.gz", "--model", "{folder}/none.pt"), "missing or damaged"),
        ((), "required: -o/--output"),
        (("-o", "{folder}/liver.nii.gz", "--colour", "red"), "unrecognized arguments"),
    ],
)
def test_options_that_cannot_be_followed_are_refused(run, a_scan, output_folder, options, sentence):
    before = a_scan.ct.read_bytes()
    arguments = [option.format(folder=output_folder, ct=a_scan.ct) for option in options]
    refused(run("segment", a_scan.ct, *arguments), sentence, output_folder)
    assert a_scan.ct.read_bytes() == before


def test_a_model_that_does_not_match_its_card_is_refused(run, a_scan, output_folder, tmp_path):
    from LiverSegLib.model.liver_model import bundled_model_path

    model = tmp_path / "model.pt"
    shutil.copy(bundled_model_path().with_suffix(".json"), model.with_suffix(".json"))
    model.write_bytes(b"not the weights")
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--model", model)
    refused(outcome, "does not match its card", output_folder)


@pytest.mark.parametrize("arguments", [(), ("paint",), ("evaluate", "one.nii.gz"), ("phantom",)])
def test_a_wrong_command_line_is_one_line_that_names_the_help(run, output_folder, arguments):
    refused(run(*arguments), "--help", output_folder)


SPEAKING_LIBRARY = """
import os, sys
from LiverSegLib import cli
cli.info = lambda options: (os.write(2, b"JPEG error"), print("1 %", file=sys.stderr), open("/no such file"))
sys.exit(cli.main(["info", *sys.argv[1:]]))
"""


@pytest.mark.parametrize("options", [(), ("--debug",)])
def test_what_libraries_say_on_stderr_is_heard_only_with_debug(options):
    command = [sys.executable, "-c", SPEAKING_LIBRARY, *options]
    folder = Path(cli.__file__).parents[1]
    finished = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", timeout=120, check=False)
    assert finished.returncode == 1
    assert "1 %\n" in finished.stderr
    assert "liverseg: error: FileNotFoundError" in finished.stderr
    assert ("JPEG error" in finished.stderr) == bool(options)


def refused(outcome, sentence, output_folder):
    assert outcome.exit_code == 2
    assert len(outcome.errors) == 1, outcome.errors
    assert outcome.errors[0].startswith("liverseg: error: ")
    assert sentence in outcome.errors[0]
    assert outcome.output == ""
    assert list(output_folder.iterdir()) == []
