"""The refiner: what a stroke changes, and what it never does, with networks whose answer is plain."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, InputError
from LiverSegLib.inference.refine import Refiner
from LiverSegLib.inference.stroke_maps import REACH_MM
from Testing.listening import bright_model, listening_model, stubborn_model

SHAPE = (60, 90, 100)
AFFINE = np.array(((-2.0, 0, 0, 100.0), (0, -2.0, 0, 90.0), (0, 0, 3.0, -40.0), (0, 0, 0, 1.0)))


def a_ct(affine: np.ndarray = AFFINE) -> CTVolume:
    rng = np.random.default_rng(0)
    return CTVolume.from_array(rng.integers(-100, 100, SHAPE).astype(np.int16), affine)


def a_liver() -> np.ndarray:
    """A block of liver with a tumour in it."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[15:45, 30:60, 20:60] = 1
    labels[28:32, 40:44, 40:44] = 2
    return labels


def at(voxel: tuple[int, int, int], is_liver: bool, ct: CTVolume) -> Stroke:
    """A click on a voxel (k, j, i)."""
    return Stroke((ct.affine @ (*voxel[::-1], 1.0))[None, :3], is_liver)


def distance_mm(stroke: Stroke, grid: Geometry) -> np.ndarray:
    """Of each voxel from a click, (k, j, i)."""
    kji = np.moveaxis(np.indices(grid.shape), 0, -1)
    return np.linalg.norm(kji[..., ::-1] @ grid.affine[:3, :3].T + grid.affine[:3, 3] - stroke.points_mm[0], axis=-1)


def test_a_click_beside_the_liver_adds_what_the_network_finds_there():
    ct, labels = a_ct(), a_liver()
    stroke = at((30, 45, 64), True, ct)

    refined = Refiner(listening_model(), ct, labels).refine(labels, [stroke])

    added = (refined > 0) & (labels == 0)
    assert added[30, 45, 64]
    assert added.sum() > np.count_nonzero(stroke.mask(ct.geometry)[1])
    assert set(np.unique(refined[added])) == {1}
    assert np.array_equal(refined[labels > 0], labels[labels > 0])


def test_a_click_in_the_liver_takes_away_what_the_network_finds_there():
    ct, labels = a_ct(), a_liver()

    refined = Refiner(listening_model(), ct, labels).refine(labels, [at((30, 45, 58), False, ct)])

    assert refined[30, 45, 58] == 0
    assert np.count_nonzero(refined) < np.count_nonzero(labels)
    assert not ((refined > 0) & (labels == 0)).any()


@pytest.mark.parametrize("is_liver", [True, False])
def test_nothing_farther_than_the_reach_changes(is_liver):
    ct, labels = a_ct(), a_liver()
    stroke = at((30, 45, 64 if is_liver else 50), is_liver, ct)

    refined = Refiner(stubborn_model(is_liver), ct, labels).refine(labels, [stroke])

    changed = refined != labels
    assert changed.any()
    assert distance_mm(stroke, ct.geometry)[changed].max() < REACH_MM


@pytest.mark.parametrize("is_liver", [True, False])
def test_adding_takes_nothing_away_and_removing_adds_nothing(is_liver):
    ct, labels = a_ct(), a_liver()
    stroke = at((30, 45, 62 if is_liver else 58), is_liver, ct)

    refined = Refiner(stubborn_model(not is_liver), ct, labels).refine(labels, [stroke])

    box, covered = stroke.mask(ct.geometry)
    changed = refined != labels
    assert changed[box][covered].any()
    changed[box] &= ~covered
    assert not changed.any()


def test_what_does_not_hang_together_with_the_stroke_stays():
    labels = a_liver()
    hu = np.where(labels > 0, 200, -100).astype(np.int16)
    hu[28:33, 40:50, 60:66] = 200  # beside the liver
    hu[28:33, 40:50, 75:80] = 200  # beside that, apart
    ct = CTVolume.from_array(hu, AFFINE)

    refined = Refiner(bright_model(), ct, labels).refine(labels, [at((30, 45, 63), True, ct)])

    assert (refined[29:32, 42:48, 61:65] == 1).all()
    assert not refined[:, :, 70:].any()


def test_slices_between_those_that_the_network_looks_at_change_with_them():
    fine = AFFINE @ np.diag((1.0, 1.0, 1 / 3, 1.0))
    ct, labels = a_ct(fine), a_liver()

    refined = Refiner(stubborn_model(True), ct, labels).refine(labels, [at((30, 45, 70), True, ct)])

    assert (refined[20:41, 45, 70] == 1).all()


def test_the_outline_stays_where_the_network_agrees():
    labels = a_liver()
    ct = CTVolume.from_array(np.where(labels > 0, 200, -100).astype(np.int16), AFFINE)

    refined = Refiner(bright_model(), ct, labels).refine(labels, [at((30, 45, 50), True, ct)])

    assert np.array_equal(refined, labels)


def test_what_was_marked_stays_as_marked_whatever_the_network_says():
    ct, labels = a_ct(), a_liver()
    first, second = at((30, 45, 64), False, ct), at((30, 45, 70), True, ct)
    refiner = Refiner(stubborn_model(True), ct, labels)

    refined = refiner.refine(refiner.refine(labels, [first]), [first, second])

    for stroke in (first, second):
        box, covered = stroke.mask(ct.geometry)
        assert ((refined[box] > 0)[covered] == stroke.is_liver).all()


def test_tumour_stays_tumour_and_comes_back_as_tumour():
    ct, labels = a_ct(), a_liver()
    place = (30, 42, 42)
    remove, add = at(place, False, ct), at(place, True, ct)
    refiner = Refiner(listening_model(), ct, labels)

    without = refiner.refine(labels, [remove])
    again = refiner.refine(without, [remove, add])

    assert without[place] == 0
    assert again[place] == 2
    assert not (again == 2)[labels != 2].any()


def test_a_piece_that_a_click_cuts_off_is_dropped_and_a_marked_one_stays():
    ct = a_ct()
    labels = np.zeros(SHAPE, np.uint8)
    labels[25:36, 30:60, 20:60] = 1
    labels[29:32, 44:46, 60:76] = 1  # a thin tongue
    cut = at((30, 45, 64), False, ct)
    refiner = Refiner(listening_model(), ct, labels)

    assert not refiner.refine(labels, [cut])[:, :, 68:].any()

    tip = at((30, 45, 74), True, ct)
    marked = refiner.refine(refiner.refine(labels, [tip]), [tip, cut])
    assert marked[30, 45, 74] == 1


def test_inputs_stay_as_they_are_and_the_same_question_has_the_same_answer():
    ct, labels = a_ct(), a_liver()
    before, strokes = labels.copy(), [at((30, 45, 64), True, ct)]
    refiner = Refiner(listening_model(), ct, labels)

    first = refiner.refine(labels, strokes)
    refiner.refine(first, [*strokes, at((20, 50, 30), False, ct)])

    assert np.array_equal(refiner.refine(labels, strokes), first)
    assert np.array_equal(labels, before)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 0, 2)])
@pytest.mark.parametrize("flips", [(), (0, 2)])
def test_the_order_of_the_voxels_does_not_matter(axes, flips):
    ct, labels = a_ct(), a_liver()
    stroke = at((30, 45, 64), True, ct)
    wanted = Refiner(listening_model(), ct, labels).refine(labels, [stroke])

    def other(array: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(np.flip(array.transpose(axes), flips))

    places = [other(index) for index in np.indices(SHAPE)]  # of each new voxel, (k, j, i) in the old grid
    corner = np.array([values[0, 0, 0] for values in places])
    steps = [np.array([values[step] for values in places]) - corner for step in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
    affine = np.eye(4)
    affine[:3, :3] = np.stack([AFFINE[:3, :3] @ step[::-1] for step in steps[::-1]], axis=1)
    affine[:3, 3] = (AFFINE @ (*corner[::-1], 1.0))[:3]
    turned = CTVolume.from_array(other(ct.hu), affine)

    refined = Refiner(listening_model(), turned, other(labels)).refine(other(labels), [stroke])

    assert np.array_equal(refined, other(wanted))


def test_an_oblique_volume_is_corrected_where_the_click_lies():
    angle = np.radians(20)
    turn = np.eye(4)
    turn[1:3, 1:3] = ((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle)))
    ct, labels = a_ct(turn @ AFFINE), a_liver()
    stroke = at((30, 45, 64), True, ct)

    refined = Refiner(listening_model(), ct, labels).refine(labels, [stroke])

    changed = refined != labels
    assert changed[30, 45, 64]
    assert distance_mm(stroke, ct.geometry)[changed].max() < 30


def test_at_the_edge_of_the_scan_a_click_works():
    ct, labels = a_ct(), a_liver()

    refined = Refiner(listening_model(), ct, labels).refine(labels, [at((0, 0, 99), True, ct)])

    assert refined[0, 0, 99] == 1


def test_a_line_changes_what_lies_along_it():
    ct, labels = a_ct(), a_liver()
    ends = np.stack([at((30, 45, 62), True, ct).points_mm[0], at((30, 45, 90), True, ct).points_mm[0]])

    refined = Refiner(listening_model(), ct, labels).refine(labels, [Stroke(ends, True)])

    assert (refined[30, 45, 62:91] == 1).all()


def test_a_stroke_outside_of_the_scan_is_refused_with_its_number():
    ct, labels = a_ct(), a_liver()
    strokes = [at((30, 45, 64), True, ct), Stroke(np.array(((500.0, 0, 0),)), True)]

    with pytest.raises(InputError, match="Stroke 2 lies outside"):
        Refiner(listening_model(), ct, labels).refine(labels, strokes)


def test_no_stroke_is_refused():
    ct, labels = a_ct(), a_liver()

    with pytest.raises(InputError, match="no stroke"):
        Refiner(listening_model(), ct, labels).refine(labels, [])


def test_a_cancel_leaves_nothing():
    ct, labels = a_ct(), a_liver()
    cancel = threading.Event()
    cancel.set()

    with pytest.raises(Cancelled):
        Refiner(listening_model(), ct, labels).refine(labels, [at((30, 45, 64), True, ct)], cancel)
