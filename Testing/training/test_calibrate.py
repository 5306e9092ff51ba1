"""From results to the line and the threshold in the card."""

from __future__ import annotations

import numpy as np
import pytest

from Training.evaluation.calibrate import GOOD_DICE, LARGEST_SHARE_FLAGGED, POOR_DICE, calibrate, judge_across_data_sets


def a_row(patient: int, dice: float, agreement: float, degradation: str = "none") -> dict:
    return {"patient": f"p{patient}", "dice": dice, "self_agreement": agreement, "degradation": degradation}


@pytest.fixture
def rows() -> list[dict]:
    """Forty patients whose Dice the network foresees well, and poor results of the same under a degradation."""
    rng = np.random.default_rng(0)
    dice = rng.uniform(0.94, 0.98, 40)
    seen = [a_row(n, value, value + rng.normal(0, 0.004)) for n, value in enumerate(dice)]
    return seen + [a_row(n, value - 0.1, value - 0.08, "ascites") for n, value in enumerate(dice)]


def test_a_network_that_foresees_its_dice_is_flagged_where_it_is_poor(rows: list[dict]) -> None:
    judged = calibrate(rows)["left_one_patient_out"]
    assert judged["rank_correlation"] > 0.9 and judged["rank_correlation_as_they_are"] > 0.8
    assert judged["poor_flagged"] == judged["poor"] == sum(row["dice"] < POOR_DICE for row in rows)
    assert judged["good_as_they_are_flagged"] == 0 < judged["good_as_they_are"]


def test_no_more_than_a_few_good_results_are_flagged_whatever_is_missed(rows: list[dict]) -> None:
    for row in rows[40:45]:
        row["self_agreement"] = 0.985
    judged = calibrate(rows)["left_one_patient_out"]
    good = sum(row["dice"] >= GOOD_DICE for row in rows[:40])
    assert judged["good_as_they_are"] == good
    assert judged["good_as_they_are_flagged"] <= LARGEST_SHARE_FLAGGED * good
    assert judged["poor_flagged"] < judged["poor"]


def test_a_result_that_promises_to_be_good_is_not_flagged_whatever_is_missed() -> None:
    """Poor results that look as good as any, of scans that are all good, draw the line no higher."""
    sure = [a_row(n, 0.975, 0.97 + 0.0005 * n) for n in range(40)]
    missed = [a_row(n, 0.90, 0.97 + 0.0005 * n, "ascites") for n in range(4)]
    assert calibrate(sure + missed)["check_below"] <= (POOR_DICE + GOOD_DICE) / 2


def test_each_data_set_is_judged_by_what_the_others_tell(rows: list[dict]) -> None:
    """Of the second hospital the network promises 0.02 more than it keeps."""
    first = [{**row, "dataset": "first"} for row in rows]
    second = [{**row, "dataset": "second", "dice": row["dice"] - 0.02} for row in rows]
    judged = judge_across_data_sets(first + second)
    assert set(judged) == {"first", "second"}
    assert judged["second"]["rank_correlation"] > 0.9
    assert (
        judged["second"]["mean_absolute_error"]
        > 0.01
        > calibrate(second)["left_one_patient_out"]["mean_absolute_error"]
    )
    assert judge_across_data_sets(first) == {}


def test_results_that_are_all_the_same_have_no_rank(rows: list[dict]) -> None:
    """JSON has no word for what is not a number."""
    same = [{**row, "dice": 0.95} for row in rows]
    assert calibrate(same)["left_one_patient_out"]["rank_correlation"] is None
