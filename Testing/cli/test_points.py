"""`liverseg segment --points`: what a reader marked goes into the result, and bad points are told before any work."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.model.refine_model import RefineModel
from Testing.listening import listening_model


@pytest.fixture(autouse=True)
def a_network_that_listens(monkeypatch):
    monkeypatch.setattr(RefineModel, "load", classmethod(lambda cls, path=None: listening_model()))


@pytest.fixture
def in_a_corner(a_scan, tmp_path):
    """A table with a point where no liver is, and the voxel (i, j, k) that it marks."""
    image = nibabel.load(a_scan.ct)
    voxel = (3, 3, 3)
    r, a, s = (image.affine @ (*voxel, 1))[:3]
    path = tmp_path / "points.csv"
    path.write_text(f"r,a,s,liver\n{r},{a},{s},1\n")
    return path, voxel


def test_a_point_goes_into_labels_report_and_summary(run, a_scan, in_a_corner, output_folder):
    points, voxel = in_a_corner
    plain, corrected, report = (output_folder / name for name in ("plain.nii.gz", "liver.nii.gz", "report.json"))
    run("segment", a_scan.ct, "-o", plain)

    outcome = run("segment", a_scan.ct, "-o", corrected, "--points", points, "--report", report)

    assert outcome.exit_code == 0
    before, after = (np.asarray(nibabel.load(path).dataobj) for path in (plain, corrected))
    assert not before[voxel] and after[voxel] == 1
    content = json.loads(report.read_text())
    assert content["corrections"] == 1 and "quality" not in content
    assert "Corrected by a reader, strokes: 1" in outcome.output


def test_without_points_nothing_is_said_of_corrections(run, a_scan, output_folder):
    report = output_folder / "report.json"

    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--report", report)

    assert "corrections" not in json.loads(report.read_text())
    assert "orrected" not in outcome.output


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("r,a,s,liver\n9000,0,0,1\n", "Stroke 1 lies outside of"),
        ("r,a,s\n0,0,0\n", "cannot be read as a list of points"),
    ],
)
def test_bad_points_are_told_before_any_work(run, a_scan, output_folder, tmp_path, monkeypatch, content, sentence):
    points = tmp_path / "points.csv"
    points.write_text(content)
    monkeypatch.setattr(Segmenter, "segment", lambda *_: pytest.fail("the network ran"))

    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--points", points)

    assert outcome.exit_code == 2
    [error] = outcome.errors
    assert sentence in error
    assert not list(output_folder.iterdir())


def test_points_that_are_not_there_are_told(run, a_scan, output_folder):
    outcome = run("segment", a_scan.ct, "-o", output_folder / "liver.nii.gz", "--points", output_folder / "none.csv")

    assert outcome.exit_code == 2
    assert "none.csv does not exist" in outcome.errors[0]
