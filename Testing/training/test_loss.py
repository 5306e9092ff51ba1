"""The loss rewards the right answer and asks nothing about tumours where they are not labelled."""

from __future__ import annotations

import pytest
import torch

from Training.losses import LiverTumourLoss


def logits_of(classes: torch.Tensor, confidence: float = 8.0) -> torch.Tensor:
    """Logits (n, 3, rows, columns) that say ``classes``."""
    return confidence * torch.nn.functional.one_hot(classes.long(), 3).permute(0, 3, 1, 2).float()


@pytest.fixture
def labels() -> torch.Tensor:
    """Two slices with a liver, in it a tumour."""
    labels = torch.zeros(2, 16, 16, dtype=torch.uint8)
    labels[:, 2:12, 2:12] = 1
    labels[:, 5:8, 5:8] = 2
    return labels


LABELLED = torch.tensor([True, True])
UNLABELLED = torch.tensor([False, False])


def test_the_right_answer_costs_next_to_nothing(labels: torch.Tensor) -> None:
    assert LiverTumourLoss()(logits_of(labels), labels, LABELLED) < 0.05


def test_background_everywhere_costs_more_than_a_rough_liver(labels: torch.Tensor) -> None:
    loss = LiverTumourLoss()
    nothing = loss(logits_of(torch.zeros_like(labels)), labels, LABELLED)
    rough = loss(logits_of(labels.roll(2, dims=2)), labels, LABELLED)
    assert nothing > rough > 0.2


def test_a_missed_tumour_costs_only_where_tumours_are_labelled(labels: torch.Tensor) -> None:
    loss = LiverTumourLoss()
    missed = logits_of(labels.clamp(max=1))
    assert loss(missed, labels, UNLABELLED) < 0.05
    assert loss(missed, labels, LABELLED) > 0.3


def test_a_tumour_found_where_none_is_labelled_costs_nothing(labels: torch.Tensor) -> None:
    assert LiverTumourLoss()(logits_of(labels), labels.clamp(max=1), UNLABELLED) < 0.05


def test_a_batch_without_liver_gives_finite_gradients() -> None:
    logits = torch.zeros(2, 3, 8, 8, requires_grad=True)
    LiverTumourLoss()(logits, torch.zeros(2, 8, 8, dtype=torch.uint8), LABELLED).backward()
    assert torch.isfinite(logits.grad).all()
