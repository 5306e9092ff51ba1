"""A planned resection in figures: what goes and what stays add up, and the formulas give what their authors' give."""

from __future__ import annotations

import itertools

import pytest

from LiverSegLib.data.resection import HEPATECTOMIES, Body, Resection, hepatectomy_of, segments_of
from LiverSegLib.errors import InputError

SEGMENTS_ML = {1: 30.0, 2: 90.0, 3: 110.0, 4: 220.0, 5: 260.0, 6: 180.0, 7: 280.0, 8: 330.0}
TUMOUR_ML = {3: 10.0, 7: 40.0}


@pytest.mark.parametrize("removed", [(), (5, 6, 7, 8), *itertools.combinations(range(1, 9), 3), tuple(range(1, 9))])
def test_removed_and_remnant_add_up_to_the_liver(removed: tuple[int, ...]) -> None:
    planned = Resection.of(removed, SEGMENTS_ML, TUMOUR_ML)
    assert planned.removed_ml + planned.remnant_ml == pytest.approx(sum(SEGMENTS_ML.values()))
    told = planned.to_dict()
    assert told["removed_ml"] + told["remnant_ml"] == pytest.approx(told["liver_ml"], abs=1e-9)


def test_a_right_hepatectomy_leaves_segments_1_to_4_without_their_tumours() -> None:
    planned = Resection.of(segments_of("Right hepatectomy"), SEGMENTS_ML, TUMOUR_ML)
    assert planned.removed == (5, 6, 7, 8) and planned.removed_ml == 1050
    assert planned.remnant_ml == 450 and planned.remnant_without_tumours_ml == 440
    assert planned.remnant_percent == pytest.approx(100 * 440 / 1450)


def test_weight_and_height_give_the_ratios() -> None:
    body = Body(weight_kg=72, height_cm=180)
    assert body.surface_m2 == pytest.approx(1.897, abs=0.001)
    assert body.standard_liver_ml == pytest.approx(-794.41 + 1267.28 * 1.8974, abs=0.1)
    planned = Resection.of({5, 6, 7, 8}, SEGMENTS_ML, TUMOUR_ML, body)
    assert planned.remnant_to_weight_percent == pytest.approx(100 * 440 / 72000)
    assert planned.remnant_to_standard_percent == pytest.approx(100 * 440 / body.standard_liver_ml)


def test_what_needs_a_height_or_a_weight_is_left_out_without() -> None:
    without = Resection.of({5}, SEGMENTS_ML, {}).to_dict()
    assert not any("weight" in key or "standard" in key for key in without)
    with_weight = Resection.of({5}, SEGMENTS_ML, {}, Body(weight_kg=70)).to_dict()
    assert "remnant_to_weight_percent" in with_weight and "standard_liver_ml" not in with_weight


@pytest.mark.parametrize(
    ("name", "removed"),
    [
        ("left hepatectomy", {2, 3, 4}),
        ("Extended right hepatectomy", {4, 5, 6, 7, 8}),
        ("left trisectionectomy", {2, 3, 4, 5, 8}),
        ("LEFT  LATERAL sectionectomy", {2, 3}),
        ("right anterior sectionectomy", {5, 8}),
        ("right posterior sectionectomy", {6, 7}),
        ("segmentectomy 1", {1}),
    ],
)
def test_hepatectomies_are_those_of_brisbane_2000(name: str, removed: set[int]) -> None:
    assert segments_of(name) == removed


def test_segments_are_called_by_their_hepatectomy_if_they_have_one() -> None:
    assert hepatectomy_of([8, 7, 6, 5]) == "right hepatectomy"
    assert hepatectomy_of([1, 5, 6, 7, 8]) is None
    assert len(set(HEPATECTOMIES.values())) == len(HEPATECTOMIES)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: segments_of("whipple"),
        lambda: Resection.of({0, 9}, SEGMENTS_ML, {}),
        lambda: Body(weight_kg=0.07),
        lambda: Body(height_cm=1.8),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(wrong) -> None:
    with pytest.raises(InputError, match=r"; (give|choose)"):
        wrong()


def test_after_a_hepatectomy_missing_segments_have_no_volume() -> None:
    left = {number: volume for number, volume in SEGMENTS_ML.items() if number < 5}
    assert Resection.of({2, 3}, left, {}).remnant_ml == 250
    assert Resection.of({2}, {}, {}).remnant_percent is None
