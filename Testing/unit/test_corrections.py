"""What a reader changed: kept voxel by voxel, so that strokes can be taken out again, and told in the report."""

from __future__ import annotations

import json

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.corrections import Corrections
from LiverSegLib.data.labels import LabelVolume
from LiverSegLib.data.places import Place
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.evaluation.corrections import (
    corrected_report,
    listed_places,
    rows,
    with_checks_of,
    with_place_seen,
    with_reader,
)

PLACE = Place(4, (1.25, -2.5, 30.0), 3.0, "left", "lower", False)
STROKES = (Stroke(np.array([[1.0, 2.0, 3.0]]), True), Stroke(np.array([[0.1, 0.2, 0.3], [4.0, 5.0, 6.0]]), False, 3.5))


@pytest.fixture
def automatic():
    labels = np.zeros((6, 8, 10), np.uint8)
    labels[1:4, 2:6, 3:8] = 1
    labels[2, 3, 4:6] = 2
    return labels


@pytest.fixture
def labels(automatic):
    """A voxel added, one of the liver and one of the tumour removed."""
    labels = automatic.copy()
    labels[4, 6, 8] = 1
    labels[1, 2, 3] = labels[2, 3, 4] = 0
    return labels


@pytest.fixture
def corrections(automatic, labels):
    return Corrections.between(STROKES, automatic, labels)


def test_what_strokes_changed_is_undone_exactly(automatic, labels, corrections):
    assert np.array_equal(corrections.undone(labels), automatic)
    assert corrections.changed.sum() == 3 and corrections.box == (slice(1, 5), slice(2, 7), slice(3, 9))


def test_what_was_painted_elsewhere_stays(automatic, labels, corrections):
    labels[5, 7, 9] = 1
    undone = corrections.undone(labels)
    assert undone[5, 7, 9] == 1
    undone[5, 7, 9] = 0
    assert np.array_equal(undone, automatic)


def test_nothing_changed_is_nothing_kept(automatic):
    nothing = Corrections.between(STROKES, automatic, automatic)
    assert nothing.automatic.size == 0 and np.array_equal(nothing.undone(automatic), automatic)
    again = Corrections.from_text(nothing.to_text())
    assert np.array_equal(again.undone(automatic), automatic) and len(again.strokes) == 2


def test_a_text_keeps_all_of_it(labels, corrections):
    again = Corrections.from_text(corrections.to_text())
    assert np.array_equal(again.undone(labels), corrections.undone(labels))
    for one, other in zip(again.strokes, corrections.strokes, strict=True):
        assert np.array_equal(one.points_mm, other.points_mm)
        assert (one.is_liver, one.radius_mm) == (other.is_liver, other.radius_mm)


@pytest.mark.parametrize(
    "change",
    [
        {"first": [0, 0]},
        {"first": [-1, 0, 0]},
        {"shape": [4, 5]},
        {"shape": [4, 5, 7]},
        {"shape": [2**20, 2**20, 2**20]},
        {"automatic": "damaged"},
        {"automatic": 3},
        {"strokes": [{"points_mm": [[1, 2]], "is_liver": True, "radius_mm": 2}]},
        {"strokes": [{"points_mm": [], "is_liver": True, "radius_mm": 2}]},
        {"strokes": [{"points_mm": [[1, 2, "x"]], "is_liver": True, "radius_mm": 2}]},
        {"strokes": 3},
    ],
)
def test_a_damaged_text_is_refused(corrections, change):
    text = json.dumps({**json.loads(corrections.to_text()), **change})
    with pytest.raises(ValueError, match=r"."):
        Corrections.from_text(text)


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "3", '"text"'])
def test_a_text_of_something_else_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Corrections.from_text(text)


def test_corrections_of_another_grid_do_not_fit(corrections):
    assert corrections.fits((6, 8, 10)) and not corrections.fits((4, 8, 10))


# ---- the report ------------------------------------------------------------------------------------------------------


@pytest.fixture
def report():
    return {"liver_volume_ml": 1.0, "tumour_volume_ml": 0.1, "quality": 0.9, "warnings": ["Look at it."]}


def test_the_report_counts_what_was_added_and_removed(report, labels, corrections):
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    told = corrected_report(report, LabelVolume(labels, affine), corrections)
    assert told["liver_volume_ml"] == (labels > 0).sum() and told["tumour_volume_ml"] == 1
    assert (told["corrections"], told["corrected_voxels"]) == (2, 3)
    assert (told["added_ml"], told["removed_ml"]) == (1.0, 2.0)
    assert told["warnings"] == ["Look at it."]


def test_the_expected_dice_is_of_the_automatic_result_alone(report, automatic, labels, corrections):
    affine = np.diag([10.0, 10.0, 10.0, 1.0])
    told = corrected_report(report, LabelVolume(labels, affine), corrections)
    assert "quality" not in told and told["automatic_quality"] == 0.9
    again = corrected_report(told, LabelVolume(automatic, affine), Corrections())
    assert again["quality"] == 0.9 and not {"corrections", "added_ml", "automatic_quality"} & again.keys()


def test_rows_tell_what_a_reader_did(report):
    places = [{**vars(PLACE), "position_mm": list(PLACE.position_mm)}]
    told = with_reader(with_place_seen({**report, "places": places}, PLACE, True), " Dr R ")
    assert dict(rows({**told, "corrections": 2, "added_ml": 1.25, "removed_ml": 0.0})) == {
        messages.MEASURE_STROKES: "2",
        messages.MEASURE_ADDED: "1.2 ml",
        messages.MEASURE_REMOVED: "0.0 ml",
        messages.MEASURE_PLACES_CHECKED: "1 of 1",
        messages.MEASURE_CHECKED_BY: "Dr R",
    }
    assert rows(report) == []


def test_ticks_go_over_to_a_report_of_the_same_run_alone(report):
    places = [{**vars(PLACE), "position_mm": list(PLACE.position_mm)}]
    before = {**report, "places": places}
    checked = with_reader(with_place_seen(before, PLACE, True), "Dr R")
    assert with_checks_of(before, checked) == checked
    assert with_checks_of({**report, "places": []}, checked) == {**report, "places": []}
    assert listed_places(with_checks_of(checked, before)) == [(PLACE, False)]


# ---- segments of Couinaud --------------------------------------------------------------------------------------------


def test_what_is_added_belongs_to_the_segment_next_to_it():
    segments = np.zeros((4, 6, 40), np.uint8)
    segments[:, :, 5:15], segments[:, :, 15:25] = 3, 8
    liver = segments > 0
    liver[:, :, 25:30] = True
    liver[:, :3, 5:7] = False
    spleen = np.zeros(liver.shape, bool)
    spleen[:, :, 28:35] = True
    fitted = Anatomy(segments, spleen).fitted_to(liver, (2.0, 1.0, 1.0))
    assert fitted.segments is not None and fitted.spleen is not None
    assert np.array_equal(fitted.segments > 0, liver) and (fitted.segments[:, :, 25:30] == 8).all()
    assert np.array_equal(fitted.segments[:, 3:, 5:15], segments[:, 3:, 5:15])
    assert np.array_equal(fitted.spleen, spleen & ~liver)


def test_a_piece_far_from_all_segments_gets_the_nearest_one():
    segments = np.zeros((4, 6, 90), np.uint8)
    segments[:, :, :4] = 2
    liver = segments > 0
    liver[1, 2, 80] = True
    fitted = Anatomy(segments).fitted_to(liver, (1.0, 1.0, 1.0)).segments
    assert fitted is not None and fitted[1, 2, 80] == 2 and np.array_equal(fitted > 0, liver)


def test_nothing_is_left_of_a_liver_that_is_gone():
    segments = np.full((2, 3, 4), 5, np.uint8)
    fitted = Anatomy(segments).fitted_to(np.zeros((2, 3, 4), bool), (1.0, 1.0, 1.0)).segments
    assert fitted is not None and not fitted.any()
