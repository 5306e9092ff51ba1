"""The losses to choose from, each for liver and for tumour, the tumour only where it is labelled.

========================  ==============================================================================================
dice_cross_entropy        cross-entropy + soft Dice (Isensee et al., Nature Methods 18, 2021): the first two stages
                          of the bundled network
weighted_cross_entropy    cross-entropy, liver and tumour weighted against their rarity (as the earlier project C)
weighted_dice             generalised Dice: classes weighted by their inverse squared volume (Sudre et al., DLMIA 2017)
focal                     focal loss (Lin et al., ICCV 2017) + soft Dice (Zhu et al., Medical Physics 46, 2019)
boundary                  cross-entropy with a heavier band about the outline, after the weight map of the U-Net
                          (Ronneberger et al., MICCAI 2015, eq. 2), + soft Dice: its last two
========================  ==============================================================================================
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from monai.losses import DiceFocalLoss, DiceLoss, GeneralizedDiceLoss
from torch import Tensor
from torch.nn import functional

from .data.dilate import dilate

TUMOUR_WEIGHT = 0.5

# Of the pixels that training draws, 8 % are liver, 0.4 % tumour where it is labelled: about the inverse for liver; for
# tumour less than half of it, for a batch holds few and single pixels would steer the step.
LIVER_PIXEL_WEIGHT = 10.0
TUMOUR_PIXEL_WEIGHT = 100.0
BOUNDARY_PIXELS = 3
BOUNDARY_WEIGHT = 5.0

# Called with logits and a mask of 0 and 1, both float (n, rows, columns).
BinaryLoss = Callable[[Tensor, Tensor], Tensor]


class LiverTumourLoss(torch.nn.Module):
    """Loss of logits (n, 3, rows, columns) against labels (n, rows, columns) of 0, 1 and 2: cross-entropy + soft Dice.

    The liver term compares liver ∪ tumour with background on every sample: the probability of the union is the sum of
    the two softmax probabilities, so that unlabelled tumours inside label 1 teach nothing wrong. The tumour term
    separates tumour from liver inside the reference liver, on the samples whose tumours are labelled; weighted 0, the
    network learns the liver alone. Dice is taken over the whole batch, which keeps slices without liver from
    dominating it.
    """

    def __init__(self, tumour_weight: float = TUMOUR_WEIGHT) -> None:
        super().__init__()
        self.tumour_weight = tumour_weight
        self.dice = DiceLoss(batch=True, squared_pred=False, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, labels: Tensor, tumour_labelled: Tensor) -> Tensor:
        logits = logits.float()
        union = torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]
        loss = self._liver(union, (labels > 0).float())
        if self.tumour_weight and tumour_labelled.any():
            loss = loss + self.tumour_weight * self._tumour(logits[tumour_labelled], labels[tumour_labelled])
        return loss

    def _liver(self, union: Tensor, liver: Tensor) -> Tensor:
        loss = functional.binary_cross_entropy_with_logits(union, liver)
        return loss + self.dice(union.sigmoid()[:, None], liver[:, None])

    def _tumour(self, logits: Tensor, labels: Tensor) -> Tensor:
        tumour = (labels == 2).float()
        cross_entropy = functional.cross_entropy(logits, labels.long())
        return cross_entropy + self.dice(logits.softmax(dim=1)[:, 2:], tumour[:, None])


class OneAgainstRestLoss(LiverTumourLoss):
    """The same two terms with another loss in each: liver against background, tumour against all else."""

    def __init__(self, liver: BinaryLoss, tumour: BinaryLoss, tumour_weight: float = TUMOUR_WEIGHT) -> None:
        super().__init__(tumour_weight)
        self.of_liver = liver
        self.of_tumour = tumour

    def _liver(self, union: Tensor, liver: Tensor) -> Tensor:
        return self.of_liver(union, liver)

    def _tumour(self, logits: Tensor, labels: Tensor) -> Tensor:
        against_rest = logits[:, 2] - torch.logsumexp(logits[:, :2], dim=1)
        return self.of_tumour(against_rest, (labels == 2).float())


class WeightedCrossEntropy(torch.nn.Module):
    """Binary cross-entropy in which a pixel of the mask counts ``weight`` times; a mean of weights, like torch's."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return _weighted_cross_entropy(logits, mask, 1 + (self.weight - 1) * mask)


class WeightedDice(torch.nn.Module):
    """MONAI's generalised Dice loss of the mask and of all that is not the mask, over the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = GeneralizedDiceLoss(batch=True)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        # 1 - p as a sigmoid of its own keeps its gradient where p is near 1.
        probabilities = torch.stack(((-logits).sigmoid(), logits.sigmoid()), dim=1)
        return self.loss(probabilities, torch.stack((1 - mask, mask), dim=1))


class FocalDice(torch.nn.Module):
    """MONAI's focal loss with gamma 2 + soft Dice over the whole batch."""

    def __init__(self) -> None:
        super().__init__()
        self.loss = DiceFocalLoss(sigmoid=True, batch=True, gamma=2.0, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        return self.loss(logits[:, None], mask[:, None])


class BoundaryWeighted(torch.nn.Module):
    """Binary cross-entropy in which pixels within 3 of the mask's outline count 5 times, + soft Dice of the batch.

    The U-Net's own weight map decays with the distance as a Gaussian; a band is the same idea without a distance
    transform for every sample.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(batch=True, sigmoid=True, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, mask: Tensor) -> Tensor:
        weights = 1 + (BOUNDARY_WEIGHT - 1) * boundary_band(mask)
        return _weighted_cross_entropy(logits, mask, weights) + self.dice(logits[:, None], mask[:, None])


def boundary_band(mask: Tensor, pixels: int = BOUNDARY_PIXELS) -> Tensor:
    """1 where a mask (n, rows, columns) of 0 and 1 changes within a square of ``pixels`` to each side, else 0."""
    dilated, eroded = dilate(mask[:, None], pixels), 1 - dilate(1 - mask[:, None], pixels)
    return (dilated - eroded)[:, 0]


def _weighted_cross_entropy(logits: Tensor, mask: Tensor, weights: Tensor) -> Tensor:
    losses = functional.binary_cross_entropy_with_logits(logits, mask, reduction="none")
    return (losses * weights).sum() / weights.sum()


LOSSES: dict[str, Callable[[float], LiverTumourLoss]] = {
    "dice_cross_entropy": LiverTumourLoss,
    "weighted_cross_entropy": lambda tumour_weight: OneAgainstRestLoss(
        WeightedCrossEntropy(LIVER_PIXEL_WEIGHT), WeightedCrossEntropy(TUMOUR_PIXEL_WEIGHT), tumour_weight
    ),
    "weighted_dice": lambda tumour_weight: OneAgainstRestLoss(WeightedDice(), WeightedDice(), tumour_weight),
    "focal": lambda tumour_weight: OneAgainstRestLoss(FocalDice(), FocalDice(), tumour_weight),
    "boundary": lambda tumour_weight: OneAgainstRestLoss(BoundaryWeighted(), BoundaryWeighted(), tumour_weight),
}


def make_loss(name: str, tumour_weight: float = TUMOUR_WEIGHT) -> LiverTumourLoss:
    """The loss of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in LOSSES:
        raise ValueError(f"There is no loss {name!r}; choose one of {', '.join(LOSSES)}.")
    return LOSSES[name](tumour_weight)
