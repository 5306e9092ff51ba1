"""What the network expects of its own result, and what that has meant before."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.inference.confidence import SelfAgreement, expected_dice


def of(*log_odds: torch.Tensor) -> float:
    agreement = SelfAgreement()
    for part in log_odds:
        agreement.add(part)
    return agreement.value


def test_a_network_that_is_certain_expects_to_agree() -> None:
    log_odds = torch.full((4, 8, 8), -50.0)
    log_odds[:, 2:6, 2:6] = 50.0
    assert of(log_odds) == pytest.approx(1.0)


def test_nothing_found_is_no_agreement() -> None:
    assert of(torch.full((2, 4, 4), -3.0)) == 0.0
    assert SelfAgreement().value == 0.0


def test_it_is_sure_of_what_is_liver_with_98_percent() -> None:
    agreement = SelfAgreement()
    assert agreement.sure_share == 0.0
    agreement.add(torch.tensor((-9.0, 0.5, 3.0, 4.5, 9.0)))
    assert agreement.sure_share == 0.5


def test_it_is_the_dice_that_random_truths_have_on_average() -> None:
    generator = torch.Generator().manual_seed(0)
    log_odds = 4 * torch.randn(20, 30, 30, generator=generator)
    found = log_odds > 0
    truths = torch.rand(200, *log_odds.shape, generator=generator) < log_odds.sigmoid()
    dice = [2 * (truth & found).sum() / (truth.sum() + found.sum()) for truth in truths]
    assert of(log_odds) == pytest.approx(float(np.mean(dice)), abs=0.002)


@given(st.integers(1, 5))
def test_batches_add_up_to_the_whole(parts: int) -> None:
    log_odds = torch.randn(12, 6, 6, generator=torch.Generator().manual_seed(parts))
    assert of(*log_odds.tensor_split(parts)) == pytest.approx(of(log_odds))


def test_an_untouched_calibration_leaves_the_agreement() -> None:
    assert expected_dice(0.93, 0.0, 1.0) == pytest.approx(0.93)


@given(st.floats(0, 1), st.floats(0, 1), st.floats(-3, 3), st.floats(0.1, 3))
def test_more_agreement_never_means_less_dice(first: float, second: float, intercept: float, slope: float) -> None:
    low, high = sorted((first, second))
    assert 0 <= expected_dice(low, intercept, slope) <= expected_dice(high, intercept, slope) <= 1
