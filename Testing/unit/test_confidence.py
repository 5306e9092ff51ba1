"""What the network expects of its own result, and what that has meant before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.inference.confidence import ConfidenceMap, expected_dice

PIXELS = np.diag((-1.5, -1.5, 3.0, 1.0))


def map_of(*parts: torch.Tensor) -> ConfidenceMap:
    """Of slices in parts that follow each other."""
    confidence = ConfidenceMap(Geometry((sum(map(len, parts)), *parts[0].shape[1:]), PIXELS))
    first = 0
    for part in parts:
        confidence.add(range(first, first + len(part)), part)
        first += len(part)
    return confidence


def a_block() -> torch.Tensor:
    """Log-odds of a liver that the network is certain of, 20 slices of 60 × 60 pixels."""
    log_odds = torch.full((20, 60, 60), -50.0)
    log_odds[5:15, 20:50, 10:40] = 50.0
    return log_odds


def test_a_network_that_is_certain_expects_to_agree() -> None:
    confidence = map_of(a_block())
    assert confidence.self_agreement == pytest.approx(1.0)
    assert confidence.sure_share == 1.0


def test_nothing_found_is_no_agreement() -> None:
    for confidence in (map_of(torch.full((2, 9, 9), -3.0)), ConfidenceMap(Geometry((5, 9, 9), PIXELS))):
        assert confidence.self_agreement == confidence.sure_share == 0.0


def test_it_is_sure_of_what_is_liver_with_98_percent() -> None:
    log_odds = a_block()
    log_odds[5:15, 20:50, 10:40] = 3.9
    log_odds[5:10] *= 1.1
    assert map_of(log_odds).sure_share == pytest.approx(0.5)


def test_it_is_the_dice_that_random_truths_have_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    log_odds = 1 + 4 * torch.randn(20, 30, 30, generator=generator)
    found = log_odds > 0
    truths = torch.rand(200, *log_odds.shape, generator=generator) < log_odds.sigmoid()
    dice = [2 * (truth & found).sum() / (truth.sum() + found.sum()) for truth in truths]
    assert map_of(log_odds).self_agreement == pytest.approx(float(np.mean(dice)), abs=0.002)


def test_doubt_far_from_the_liver_says_nothing_of_it() -> None:
    near, far = a_block(), a_block()
    near[8:12, 50:53, 20:30] = -0.1
    far[8:12, 2:5, 50:60] = 0.1
    far[:, 0, 0] = 9.0
    assert map_of(far).self_agreement == pytest.approx(1.0)
    assert map_of(near).self_agreement < 0.998


@given(st.integers(1, 5))
def test_batches_add_up_to_the_whole(parts: int) -> None:
    log_odds = 1 + torch.randn(12, 9, 9, generator=torch.Generator().manual_seed(parts))
    assert map_of(*log_odds.tensor_split(parts)).self_agreement == pytest.approx(map_of(log_odds).self_agreement)


def test_an_untouched_calibration_leaves_the_agreement() -> None:
    assert expected_dice(0.93, 0.0, 1.0) == pytest.approx(0.93)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-3, 3), st.floats(0.1, 3))
def test_more_agreement_never_means_less_dice(first: float, second: float, intercept: float, slope: float) -> None:
    low, high = sorted((first, second))
    assert 0 <= expected_dice(low, intercept, slope) <= expected_dice(high, intercept, slope) <= 1
