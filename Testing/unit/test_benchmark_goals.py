"""The goals of the speed benchmark, from numbers that are made up: which are met, which are missed."""

from __future__ import annotations

from typing import Any

import pytest

from Testing.benchmark.goals import Goal, goals
from Testing.benchmark.places import STAGES
from Testing.benchmark.tables import goal_table, stage_table

# Of the network at the limit, in s, for 10 GFLOP/s.
LIMIT = {"precision": "bfloat16", "gflops": {"float32": 1.0, "bfloat16": 10.0}}


def case(slices: int, scale: float = 1.0, **seconds: float) -> dict[str, Any]:
    """A scan of 512×512 pixels whose network takes 1 s, and all else little."""
    usual = (
        dict.fromkeys(STAGES, 0.05)
        | {"network": 1.0, "load": 2.0}
        | {k.replace("_", " "): v for k, v in seconds.items()}
    )
    return {
        "shape": [slices, 512, 512],
        "runs": [{"seconds": {stage: scale * taken for stage, taken in usual.items()}}] * 3,
        "peak_gb": {"network": {"computer": 1.0}},
        "process_gb": 1.2,
        "flop": 9e9 * scale,
        "surface": [{"seconds": 0.1, "peak_gb": None}] * 4,
    }


@pytest.fixture
def found() -> dict[str, Any]:
    """What a run that meets nearly all goals leaves."""
    trunk, body = case(600, 4.0), case(1200, 6.0)
    trunk["full pass"], body["full pass"] = {"dice": 0.999}, {"dice": 0.996}
    return {"limit": LIMIT, "cases": {"native": case(124), "trunk": trunk, "body": body}}


def verdicts(found: dict[str, Any]) -> dict[str, bool]:
    return {goal.what: goal.met for goal in goals(found)}


def missed(found: dict[str, Any]) -> set[str]:
    return {what for what, met in verdicts(found).items() if not met}


ALL_WITH_LOADING = "native: all that and loading Python, network and scan / network"


def test_a_good_run_meets_all_but_the_goal_that_counts_loading(found: dict[str, Any]) -> None:
    assert missed(found) == {ALL_WITH_LOADING}
    assert len(verdicts(found)) == 11


def test_a_slow_network_is_told_by_scan(found: dict[str, Any]) -> None:
    found["cases"]["trunk"]["flop"] = 4 * 10e9 / 1.26
    assert "trunk: network / its operations at the machine's limit" in missed(found)
    found["cases"]["trunk"]["flop"] = 4 * 10e9 / 1.25
    assert missed(found) == {ALL_WITH_LOADING}


def test_the_surface_may_be_what_is_too_much(found: dict[str, Any]) -> None:
    found["cases"]["native"]["surface"] = [{"seconds": 0.2, "peak_gb": None}] * 4
    assert missed(found) == {"native: the same and the surface / network", ALL_WITH_LOADING}


def test_the_median_of_the_runs_counts(found: dict[str, Any]) -> None:
    runs = found["cases"]["native"]["runs"]
    found["cases"]["native"]["runs"] = [*runs, {"seconds": dict.fromkeys(STAGES, 100.0)}]
    assert missed(found) == {ALL_WITH_LOADING}


def test_a_body_that_costs_as_much_as_it_is_long_misses(found: dict[str, Any]) -> None:
    found["cases"]["body"]["runs"] = case(1200, 8.0)["runs"]
    assert {"body / trunk: whole command", "body / trunk: from voxels to labels"} <= missed(found)


def test_another_liver_misses(found: dict[str, Any]) -> None:
    found["cases"]["body"]["full pass"]["dice"] = 0.9949
    assert "body: Dice with the full pass" in missed(found)


def test_memory_is_allowed_the_input_and_a_gigabyte(found: dict[str, Any]) -> None:
    found["cases"]["body"]["process_gb"] = 1.62
    assert missed(found) == {ALL_WITH_LOADING}
    found["cases"]["body"]["process_gb"] = 1.64
    assert "body: peak memory, at most the input + 1 GB" in missed(found)


def test_a_first_click_that_loads_everything_misses(found: dict[str, Any]) -> None:
    def clicks(first: float) -> dict[str, Any]:
        stages = {"prepare": 0.1, "network": 1.0, "back to the grid": 0.1, "clean-up": 0.1}
        return {"clicks": [{"seconds": seconds, "stages": stages} for seconds in (first, 1.3, 1.4)], "flop": 9e9}

    found["clicks"] = {"case": "native", "warmed up": clicks(1.5), "not warmed up": clicks(3.4)}
    assert missed(found) == {"native: first click slower than the next, not warmed up", ALL_WITH_LOADING}
    assert len(verdicts(found)) == 15


def test_one_scan_alone_says_what_it_can(found: dict[str, Any]) -> None:
    found["cases"] = {"yours": found["cases"]["trunk"]}
    assert set(verdicts(found)) == {
        "yours: network / its operations at the machine's limit",
        "yours: Dice with the full pass",
    }


def test_the_tables_are_markdown_with_a_column_for_each_scan(found: dict[str, Any]) -> None:
    lines = stage_table(found).splitlines()
    assert {line.count("|") for line in lines} == {5}
    assert lines[0] == "| Stage | native, 512×512×124 | trunk, 512×512×600 | body, 512×512×1200 |"
    assert "| network | 1.00 s, 1.00 GB | 4.00 s, 1.00 GB | 6.00 s, 1.00 GB |" in lines
    assert "| **network / limit** | **1.11** | **1.11** | **1.11** |" in lines


def test_a_missed_goal_stands_out() -> None:
    text = goal_table([Goal("time", 2.5, 2.0, " s"), Goal("Dice", 0.9961, 0.995, at_least=True)])
    assert text.splitlines()[2:] == ["| time | 2.50 s | ≤ 2.00 s | **missed** |", "| Dice | 0.9961 | ≥ 0.995 | met |"]
