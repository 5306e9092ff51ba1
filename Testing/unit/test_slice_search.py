"""The plan along the patient: few slices first, then each where the liver may be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.inference.slice_search import (
    BEYOND_MM,
    LEAST_AREA_MM2,
    NEAR_END_MM,
    Search,
    batches,
    even_batches,
    joined,
)

LIVER_MM2 = 15_000.0


def looked_at(search: Search, area_of: dict[int, float]) -> list[range]:
    """The ranges in the end, when each slice that is looked at shows the area it has, 0 if none is given."""
    seen = {position: area_of.get(position, 0.0) for position in search.first_look}
    ranges = search.ranges(seen)
    while True:
        seen.update({position: area_of.get(position, 0.0) for found in ranges for position in found})
        longer = search.extended(ranges, seen)
        if longer == ranges:
            return ranges
        ranges = longer


def test_a_trunk_is_looked_at_on_a_few_dozen_slices_first() -> None:
    assert 20 <= len(Search(600, 1.0).first_look) <= 30
    assert len(Search(1200, 1.0).first_look) <= 60


@pytest.mark.parametrize(("count", "spacing"), [(12, 7.5), (124, 2.0), (40, 15.0), (1, 5.0), (200, 1.0)])
def test_a_look_at_few_slices_first_does_not_pay_for_short_stacks_and_thick_slices(count: int, spacing: float) -> None:
    assert not Search(count, spacing).pays


@pytest.mark.parametrize(("count", "spacing"), [(124, 4.0), (600, 1.0), (1200, 1.5), (300, 5.0)])
def test_it_pays_for_trunks_and_whole_bodies(count: int, spacing: float) -> None:
    assert Search(count, spacing).pays


@given(
    spacing=st.floats(0.5, 5.0),
    bottom_mm=st.floats(0.0, 1500.0),
    height_mm=st.floats(60.0, 250.0),
    tips=st.tuples(st.integers(0, 30), st.integers(0, 30)),
)
def test_the_range_holds_the_whole_liver_and_a_margin_and_little_more(
    spacing: float, bottom_mm: float, height_mm: float, tips: tuple[int, int]
) -> None:
    """Below and above the liver there are slices whose area is too small to be noticed."""
    search = Search(int(1800 / spacing), spacing)
    start, stop = int(bottom_mm / spacing), int((bottom_mm + height_mm) / spacing)
    areas = dict.fromkeys(range(start, min(stop, search.count)), LIVER_MM2)
    beyond = range(max(0, start - tips[0]), min(search.count, stop + tips[1]))
    areas = {**dict.fromkeys(beyond, LEAST_AREA_MM2 / 2), **areas}
    [found] = looked_at(search, areas)
    margin = int(NEAR_END_MM / spacing)
    first, last = max(0, start - margin), min(search.count, stop + margin)
    assert found.start <= first and last <= found.stop
    assert len(found) * spacing < height_mm + 2 * (BEYOND_MM + 12) + 2 * spacing


def test_a_small_false_hit_elsewhere_does_not_widen_the_range() -> None:
    search = Search(1200, 1.0)
    liver = dict.fromkeys(range(600, 780), LIVER_MM2)
    [alone] = looked_at(search, liver)
    assert looked_at(search, {**liver, **dict.fromkeys(range(100, 130), 2000.0)}) == [alone]


def test_a_large_second_find_is_looked_at_too_and_what_lies_between_is_not() -> None:
    search = Search(1200, 1.0)
    areas = {**dict.fromkeys(range(600, 780), LIVER_MM2), **dict.fromkeys(range(100, 200), LIVER_MM2 / 2)}
    other, liver = looked_at(search, areas)
    assert {100, 199} <= set(other) and {600, 779} <= set(liver) and 400 not in {*other, *liver}


def test_slices_on_which_the_network_misses_the_liver_do_not_cut_it() -> None:
    search = Search(600, 1.0)
    areas = {position: LIVER_MM2 for position in range(200, 400) if position not in range(290, 315)}
    [found] = looked_at(search, areas)
    assert set(areas) <= set(found) and 300 in found


def test_a_liver_that_goes_on_at_the_end_of_the_range_is_followed() -> None:
    search = Search(600, 1.0)
    first_look = set(search.first_look)
    # A tail that each slice of the first look happens to miss.
    areas = dict.fromkeys(range(300, 400), LIVER_MM2)
    areas |= {position: 500.0 for position in range(100, 300) if position not in first_look}
    [found] = looked_at(search, areas)
    assert found.start <= 100 and found.stop >= 400


@pytest.mark.parametrize("tip", [range(10), range(590, 600)])
def test_the_tip_of_a_liver_at_the_end_of_a_scan_is_found(tip: range) -> None:
    [found] = looked_at(Search(600, 1.0), dict.fromkeys(tip, LIVER_MM2 / 5))
    assert set(tip) <= set(found)


def test_a_range_ends_with_the_stack() -> None:
    assert looked_at(Search(400, 1.0), dict.fromkeys(range(380, 400), LIVER_MM2))[0].stop == 400
    everything = dict.fromkeys(range(400), LIVER_MM2)
    assert looked_at(Search(400, 1.0), everything) == [range(400)]


def test_nothing_found_is_nothing_to_look_at() -> None:
    assert looked_at(Search(600, 1.0), {}) == []


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20))), st.integers(1, 9))
def test_joined_ranges_and_their_batches_hold_the_same_slices_once_and_in_order(
    pairs: list[tuple[int, int]], size: int
) -> None:
    ranges = [range(start, start + length) for start, length in pairs]
    expected = sorted({position for found in ranges for position in found})
    assert [position for found in joined(ranges) for position in found] == expected
    parts = list(batches(joined(ranges), size))
    assert [position for part in parts for position in part] == expected
    assert all(1 <= len(part) <= size for part in parts)


@given(st.lists(st.integers(0, 1000), max_size=60), st.integers(1, 13))
def test_even_batches_hold_all_slices_in_order_and_differ_by_one_at_most(positions: list[int], largest: int) -> None:
    parts = list(even_batches(positions, largest))
    assert [position for part in parts for position in part] == positions
    sizes = {len(part) for part in parts}
    assert not sizes or (1 <= max(sizes) <= largest and max(sizes) - min(sizes) <= 1)
    assert len(parts) == -(-len(positions) // largest)
