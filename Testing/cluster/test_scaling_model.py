"""The model of the benchmark behaves as clusters do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from Testing.benchmark.cluster import WORKERS, Model


def model(**changes: object) -> Model:
    settings = {
        "case_seconds": [4.0, 6.0],
        "gap_seconds": 0.0,
        "start_seconds": 0.0,
        "megabytes_per_case": 50.0,
        "storage_megabytes_per_second": 1e9,
    }
    return Model(**(settings | changes))


def test_with_equal_cases_and_nothing_in_the_way_twice_the_workers_do_twice_the_work() -> None:
    even = model(case_seconds=[5.0])
    assert even.predict(1, 64).cases_per_minute == pytest.approx(12)
    assert even.predict(64, 64).cases_per_minute == pytest.approx(64 * 12)
    assert even.predict(64, 64).efficiency == pytest.approx(1)


def test_the_storage_limits_many_workers() -> None:
    slow = model(storage_megabytes_per_second=100.0).predict(256, 2000)
    assert slow.limited_by == "storage"
    assert slow.cases_per_minute == pytest.approx(60 * 100 / 50)
    assert model(storage_megabytes_per_second=100.0).predict(2, 2000).limited_by == "network"


def test_loading_the_network_counts_the_more_the_shorter_the_run() -> None:
    loading = model(start_seconds=10.0)
    assert loading.predict(16, 32).start_share > 5 * loading.predict(16, 320).start_share


def test_half_of_the_workers_wait_for_one_case_too_many() -> None:
    assert model(case_seconds=[5.0]).predict(10, 11).idle_share == pytest.approx(0.45)


@given(seconds=st.lists(st.floats(0.1, 100), min_size=1, max_size=9), cases=st.integers(1, 500))
def test_more_workers_are_never_slower_and_never_more_efficient_than_all_of_the_time(
    seconds: list[float], cases: int
) -> None:
    # A heap of equal starts gives the same draws to every number of workers; list scheduling is at most a case late.
    told = [model(case_seconds=seconds).predict(workers, cases) for workers in WORKERS]
    assert all(0 < each.efficiency <= 1 + 1e-9 and 0 <= each.idle_share < 1 for each in told)
    for fewer, more in pairwise(told):
        assert 60 * cases / more.cases_per_minute <= 60 * cases / fewer.cases_per_minute + max(seconds)
