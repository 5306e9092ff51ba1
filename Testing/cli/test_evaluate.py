"""`liverseg evaluate`: two labelmaps in, their agreement out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from LiverSegLib.io import files

AFFINE = np.diag((-2.0, -2.0, 5.0, 1.0))


@pytest.fixture
def labelmaps(tmp_path):
    """Files of labelmaps with a box of 4 × 4 × 4 voxels each: at the wanted place, of the wanted label."""

    def labelmap(name, shift=0, label=1, affine=AFFINE):
        labels = np.zeros((10, 12, 14), np.uint8)
        labels[3:7, 3:7, 3 + shift : 7 + shift] = label
        files.write_labels(tmp_path / name, labels, affine)
        return tmp_path / name

    return labelmap


def evaluated(run, *arguments):
    outcome = run("evaluate", *arguments, "--json")
    assert (outcome.exit_code, outcome.errors) == (0, [])
    return json.loads(outcome.output)


def test_a_labelmap_agrees_with_itself_in_another_format(run, labelmaps):
    result = evaluated(run, labelmaps("a.nii.gz"), labelmaps("b.seg.nrrd"))
    assert (result["dice"], result["iou"], result["hd95_mm"], result["assd_mm"]) == (1, 1, 0, 0)
    assert result["prediction_volume_ml"] == result["reference_volume_ml"] == pytest.approx(64 * 20 / 1000)
    assert result["warnings"] == []


def test_half_a_box_aside_gives_a_dice_of_a_half(run, labelmaps):
    result = evaluated(run, labelmaps("a.nii.gz"), labelmaps("b.nii.gz", shift=2))
    assert result["dice"] == 0.5
    assert result["iou"] == pytest.approx(1 / 3, abs=1e-4)


def test_tumours_count_as_liver_and_have_a_dice_of_their_own(run, labelmaps):
    result = evaluated(run, labelmaps("a.nii.gz", label=2), labelmaps("b.nii.gz", label=1))
    assert result["dice"] == 1
    assert "tumour_dice" not in result
    result = evaluated(run, labelmaps("a.nii.gz", label=2), labelmaps("b.nii.gz", label=2, shift=1))
    assert result["tumour_dice"] == 0.75


def test_an_empty_prediction_gives_null_where_distances_are_infinite(run, labelmaps):
    result = evaluated(run, labelmaps("a.nii.gz", label=0), labelmaps("b.nii.gz"))
    assert (result["dice"], result["hd95_mm"], result["volume_difference_percent"]) == (0, None, -100)


def test_another_grid_is_resampled_with_a_warning(run, labelmaps):
    moved = AFFINE.copy()
    moved[0, 3] = -2.0  # one voxel to the right, as a shift of one voxel undoes
    result = evaluated(run, labelmaps("a.nii.gz", shift=1), labelmaps("b.nii.gz", affine=moved))
    assert result["dice"] == 1
    assert "another voxel grid" in result["warnings"][0]


def test_grids_that_do_not_overlap_are_refused(run, labelmaps):
    away = AFFINE.copy()
    away[:3, 3] = 1000
    outcome = run("evaluate", labelmaps("a.nii.gz"), labelmaps("b.nii.gz", affine=away))
    assert outcome.exit_code == 2
    assert len(outcome.errors) == 1


def test_for_people_it_is_one_fact_a_line(run, labelmaps):
    outcome = run("evaluate", labelmaps("a.nii.gz"), labelmaps("b.nii.gz"))
    assert "dice: 1.0" in outcome.output.splitlines()
