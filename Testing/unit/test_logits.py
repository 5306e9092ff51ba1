"""Log-odds between logits and labels: liver and tumour stand together against background."""

from __future__ import annotations

import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from LiverSegLib.inference.logits import (
    labels_from_log_odds,
    neighbours_as_background,
    probabilities_from_log_odds,
    smooth_through_slices,
    to_log_odds,
)


def pixel(*logits: float) -> torch.Tensor:
    """Logits of one pixel, shape (1, 3, 1, 1)."""
    return torch.tensor(logits).view(1, 3, 1, 1)


@given(st.tuples(*[st.floats(-20, 20)] * 3))
def test_probabilities_are_the_softmax_of_the_logits(logits: tuple[float, float, float]) -> None:
    expected = torch.softmax(torch.tensor(logits), 0)
    assert torch.allclose(probabilities_from_log_odds(to_log_odds(pixel(*logits))).flatten(), expected, atol=1e-5)


def test_liver_and_tumour_together_outweigh_a_background_that_beats_each() -> None:
    assert labels_from_log_odds(to_log_odds(pixel(1.0, 0.6, 0.5))).item() == 1
    assert labels_from_log_odds(to_log_odds(pixel(1.0, 0.5, 0.6))).item() == 2


@given(st.tuples(*[st.floats(-60, 60)] * 5))
def test_neighbours_count_against_the_liver_like_background(logits: tuple[float, ...]) -> None:
    rest, liver = (torch.tensor([logits[n] for n in of]).logsumexp(0) for of in ((0, 3, 4), (1, 2)))
    for dtype, tolerance in ((torch.float32, 1e-3), (torch.bfloat16, 1.0), (torch.float16, 0.1)):
        three = neighbours_as_background(torch.tensor(logits, dtype=dtype).view(1, 5, 1, 1)).float()
        assert torch.allclose(to_log_odds(three)[0, 0].flatten(), liver - rest, atol=tolerance)


@given(st.floats(0.01, 0.99), st.floats(-8, 8))
def test_liver_is_tumour_where_it_is_so_with_more_than_the_wanted_probability(above: float, tumour_odds: float) -> None:
    probability = torch.tensor(tumour_odds, dtype=torch.float64).sigmoid().item()
    assume(abs(probability - above) > 1e-4)
    label = labels_from_log_odds(torch.tensor((5.0, tumour_odds)).view(1, 2, 1, 1), above).item()
    assert label == (2 if probability > above else 1)


def test_background_is_background_however_likely_tumour_is_among_the_rest() -> None:
    assert labels_from_log_odds(to_log_odds(pixel(5.0, -3.0, 3.0))).item() == 0


def test_smoothing_keeps_what_is_the_same_in_all_slices_and_fades_what_is_in_one() -> None:
    log_odds = torch.full((20, 2, 1, 1), 2.0)
    assert torch.allclose(smooth_through_slices(log_odds, torch.arange(20), 1.5), log_odds)
    log_odds[10] = -2.0
    smooth = smooth_through_slices(log_odds, torch.arange(20), 1.0)[:, 0, 0, 0]
    assert smooth[10] > 1
    assert abs(smooth[0] - 2) < 1e-5


def test_a_certain_slice_counts_no_more_than_eight_against_its_neighbours() -> None:
    def smoothed(margin: float) -> float:
        log_odds = torch.full((9, 1, 1, 1), -2.0)
        log_odds[4] = margin
        return smooth_through_slices(log_odds, torch.tensor([3]), 3.0).item()

    assert smoothed(7.0) < smoothed(8.0) == smoothed(50.0)


def test_smoothing_goes_by_millimetres() -> None:
    log_odds = torch.zeros(41, 2, 1, 1)
    log_odds[20] = 1.0
    thin, thick = (smooth_through_slices(log_odds, torch.tensor([20]), mm)[0, 0, 0, 0] for mm in (1.0, 3.0))
    assert thick > 2 * thin
    assert smooth_through_slices(log_odds[:1], torch.tensor([0]), 3.0).shape == (1, 2, 1, 1)


def test_without_the_odds_of_tumour_there_are_labels_of_liver_only() -> None:
    log_odds = to_log_odds(pixel(0.0, 1.0, 5.0))
    assert labels_from_log_odds(log_odds).item() == 2
    assert labels_from_log_odds(log_odds[:, :1]).item() == 1


def test_any_slices_in_any_order_are_smoothed_alike() -> None:
    log_odds = torch.randn(30, 1, 4, 5, generator=torch.Generator().manual_seed(0))
    all_slices = smooth_through_slices(log_odds, torch.arange(30), 1.3)
    some = torch.tensor([29, 3, 0, 17])
    assert torch.allclose(smooth_through_slices(log_odds, some, 1.3), all_slices[some], atol=1e-6)
