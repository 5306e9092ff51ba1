"""The loss rewards the right answer and asks a scan only about what it labels."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import one_hot

from Training.data.classes import Classes
from Training.earlier_projects.losses import WeightedCrossEntropy, WeightedDice
from Training.losses import RegionLoss, boundary_band

LIVER, NEIGHBOURS = Classes.read("liver.json"), Classes.read("neighbours.json")
LOSSES = {
    "plain": RegionLoss(LIVER),
    "outline": RegionLoss(LIVER, outline_weight=5.0),
    "weighted_cross_entropy": WeightedCrossEntropy(LIVER),
    "weighted_dice": WeightedDice(LIVER),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def logits_of(labels: Tensor, classes: Classes = LIVER, confidence: float = 12.0) -> Tensor:
    """Logits (n, class, rows, columns) that say ``labels``."""
    return confidence * one_hot(labels.long(), len(classes.names)).permute(0, 3, 1, 2).float()


def told(classes: Classes, *labelled: str) -> Tensor:
    """Two samples of a scan that labels these classes."""
    return torch.tensor([classes.labelled_regions(labelled)] * 2)


ALL, NO_TUMOUR = told(LIVER, "liver", "tumour"), told(LIVER, "liver")


@pytest.fixture
def labels() -> Tensor:
    """Two slices with a liver, in it a tumour."""
    labels = torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 4:24, 4:24] = 1
    labels[:, 10:16, 10:16] = 2
    return labels


@every_loss
def test_the_right_answer_beats_a_rough_one_and_that_none(loss: RegionLoss, labels: Tensor) -> None:
    right, rough, none = (
        loss(logits_of(said), labels, ALL) for said in (labels, labels.roll(2, dims=2), torch.zeros_like(labels))
    )
    assert right < 0.05 and right < rough < none


@every_loss
def test_a_tumour_counts_only_where_it_is_labelled(loss: RegionLoss, labels: Tensor) -> None:
    missed = logits_of(labels.clamp(max=1))
    assert loss(missed, labels, NO_TUMOUR) < 0.05 < loss(missed, labels, ALL)
    assert loss(logits_of(labels), labels.clamp(max=1), NO_TUMOUR) < 0.05, "nor one that is found where none is"


@every_loss
@pytest.mark.parametrize("empty", [False, True])
def test_gradients_are_finite_and_lead_downhill(loss: RegionLoss, empty: bool, labels: Tensor) -> None:
    labels = torch.zeros_like(labels) if empty else labels
    logits = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).requires_grad_()
    before = loss(logits, labels, ALL)
    before.backward()
    assert torch.isfinite(logits.grad).all()
    assert loss(logits - logits.grad, labels, ALL) < before


@pytest.mark.parametrize("said", ["background", "spleen", "tumour"])
def test_an_organ_that_a_scan_does_not_label_may_be_any_class_that_it_does_not_label(said: str) -> None:
    """The spleen in a scan that labels liver and kidneys only: what it is called costs nothing, if not those."""
    loss, labels = RegionLoss(NEIGHBOURS), torch.zeros(2, 32, 32, dtype=torch.uint8)
    labels[:, 4:12, 4:12] = 1
    answer = labels.clone()
    answer[:, 20:28, 20:28] = NEIGHBOURS.names.index(said)
    labelled = told(NEIGHBOURS, "liver", "left kidney", "right kidney")
    cost = loss(logits_of(answer, NEIGHBOURS), labels, labelled)
    assert (cost > 0.3) == (said == "tumour"), "a tumour would be liver"


def test_probabilities_of_what_is_not_labelled_are_summed() -> None:
    """A pixel outside of the liver that is background or spleen by halves is as right as one of either alone."""
    loss, labels = RegionLoss(NEIGHBOURS), torch.zeros(2, 8, 8, dtype=torch.uint8)
    sure = logits_of(labels, NEIGHBOURS, confidence=20.0)
    halves = sure.clone()
    halves[:, NEIGHBOURS.names.index("spleen")] = 20.0
    labelled = told(NEIGHBOURS, "liver")
    assert loss(halves, labels, labelled) == pytest.approx(loss(sure, labels, labelled).item(), abs=1e-5)
    everything = told(NEIGHBOURS, *NEIGHBOURS.names)
    assert loss(halves, labels, everything) > loss(sure, labels, everything) + 0.05


def test_a_slice_without_an_organ_pushes_it_down_by_less_than_one_with_it_lifts_it() -> None:
    """Else an organ that few slices show, and that is not seen yet, would never be found."""
    gallbladder = NEIGHBOURS.names.index("gallbladder")
    everything = told(NEIGHBOURS, *NEIGHBOURS.names)

    def pull(labels: Tensor) -> float:
        logits = logits_of(torch.zeros_like(labels), NEIGHBOURS).requires_grad_()
        RegionLoss(NEIGHBOURS)(logits, labels, everything).backward()
        return logits.grad[:, gallbladder].sum().item()

    without = torch.zeros(2, 64, 64, dtype=torch.uint8)
    shown = without.clone()
    shown[0, 20:30, 20:30] = gallbladder
    assert pull(shown) < 0 < pull(without) < -0.01 * pull(shown)


def test_regions_are_those_that_a_scan_shows_whole() -> None:
    assert LIVER.labelled_regions(["liver"]) == (True, False)
    shown = NEIGHBOURS.labelled_regions(["liver", "spleen"])
    assert [one.classes[0] for one, told in zip(NEIGHBOURS.regions, shown, strict=True) if told] == ["liver", "spleen"]


def test_a_weighted_miss_costs_more_than_a_weighted_false_alarm(labels: Tensor) -> None:
    liver = labels.clamp(max=1)
    less, more = liver.clone(), liver.clone()
    less[:, 4:6], more[:, 24:26, 4:24] = 0, 1
    loss = LOSSES["weighted_cross_entropy"]
    assert loss(logits_of(less), liver, NO_TUMOUR) > 5 * loss(logits_of(more), liver, NO_TUMOUR)


def test_the_band_of_a_boundary_reaches_three_pixels_to_both_sides() -> None:
    mask = torch.zeros(1, 20, 20)
    mask[..., :10] = 1
    assert boundary_band(mask)[0, 5].tolist() == [0.0] * 7 + [1.0] * 6 + [0.0] * 7


@pytest.mark.parametrize("content", ['{"classes": ["background"], "part_of": {"cyst": "liver"}, "regions": []}', None])
def test_a_file_of_classes_that_is_wrong_or_missing_is_told(content: str | None, tmp_path) -> None:
    path = tmp_path / "classes.json"
    if content:
        path.write_text(content)
    with pytest.raises(ValueError, match="does not list cyst" if content else "There is no file of classes"):
        Classes.read(path)
