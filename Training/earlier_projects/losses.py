"""The losses that an earlier project compared, of each region against all else."""

from __future__ import annotations

import torch
from monai.losses import GeneralizedDiceLoss
from torch import Tensor

from ..data.classes import Classes
from ..losses import RegionLoss

# Of the pixels that training draws, 8 % are liver, 0.4 % tumour where it is labelled: about the inverse for liver; for
# tumour less than half of it, for a batch holds few and single pixels would steer the step.
PIXEL_WEIGHTS = {"liver": 10.0, "tumour": 100.0}


class WeightedCrossEntropy(RegionLoss):
    """Binary cross-entropy in which a pixel of a region counts more, against its rarity; a mean of weights."""

    def __init__(self, classes: Classes) -> None:
        super().__init__(classes)
        self.register_buffer(
            "pixel_weights", torch.tensor([PIXEL_WEIGHTS[region.classes[0]] for region in classes.regions])
        )

    def of_regions(self, inside: Tensor, outside: Tensor, truth: Tensor, region: Tensor) -> Tensor:
        """One loss for each region."""
        weights = 1 + (self.pixel_weights[region].view(-1, 1, 1) - 1) * truth
        return self.cross_entropy(inside, outside, truth, region, weights)


class WeightedDice(RegionLoss):
    """MONAI's generalised Dice loss of a region and of all else: classes weighted by their inverse squared volume.

    Sudre et al., DLMIA 2017; over the whole batch.
    """

    def __init__(self, classes: Classes) -> None:
        super().__init__(classes)
        self.generalised = GeneralizedDiceLoss(batch=True)

    def of_regions(self, inside: Tensor, outside: Tensor, truth: Tensor, region: Tensor) -> Tensor:
        """One loss for each region."""
        both, wanted = torch.stack((outside, inside), dim=1), torch.stack((1 - truth, truth), dim=1)
        losses = inside.new_zeros(len(self.weights))
        for number in region.unique():
            losses[number] = self.generalised(both[region == number], wanted[region == number])
        return losses
