"""The loss: each region of a file of classes against all else, on the scans that label it (as region-based training
in nnU-Net; Isensee et al., Nature Methods 18, 2021).

So a scan trains what it has: where the spleen is not labelled, a pixel outside of the liver is "background or spleen",
the sum of their probabilities, and nothing is asked about either alone.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .data.classes import Classes
from .data.dilate import dilate

BOUNDARY_PIXELS = 3
SMOOTH = 1.0
# float32 holds the logarithm of this, and no softmax of ours falls below it.
LEAST_PROBABILITY = 1e-30


class RegionLoss(torch.nn.Module):
    """Binary cross-entropy + soft Dice (Milletari et al., 3DV 2016) of each region, weighted and summed.

    Dice is taken over the whole batch, which keeps slices without the region from dominating it.

    Parameters
    ----------
    classes
        The regions and their weights.
    outline_weight
        What pixels within 3 of a region's outline count in the cross-entropy, others being 1. The U-Net's own weight
        map (Ronneberger et al., MICCAI 2015, eq. 2) decays with the distance as a Gaussian; a band is the same idea
        without a distance transform for every sample.
    """

    def __init__(self, classes: Classes, outline_weight: float = 1.0) -> None:
        super().__init__()
        self.outline_weight = outline_weight
        self.register_buffer("members", classes.members)
        self.register_buffer("weights", torch.tensor([region.weight for region in classes.regions]))

    def forward(self, logits: Tensor, labels: Tensor, labelled: Tensor) -> Tensor:
        """Loss of logits (n, class, rows, columns) against labels (n, rows, columns).

        ``labelled`` (n, region), bool, says which regions each sample shows.
        """
        asked = labelled.any(dim=0)
        members, labelled = self.members[asked], labelled[:, asked].float()
        probabilities = logits.float().softmax(dim=1)
        inside = torch.einsum("nchw,rc->nrhw", probabilities, members)
        # A sum of its own keeps its gradient where the other is near 1.
        outside = torch.einsum("nchw,rc->nrhw", probabilities, 1 - members)
        truth = members[:, labels.long()].transpose(0, 1)
        losses = self.of_regions(inside, outside, truth, labelled, asked)
        return (self.weights[asked] * losses).sum()

    def of_regions(self, inside: Tensor, outside: Tensor, truth: Tensor, labelled: Tensor, asked: Tensor) -> Tensor:
        """One loss for each region that is asked about.

        Probabilities of the regions and of all else, and masks of 0 and 1, are (n, region, rows, columns); ``labelled``
        is (n, region) of 0 and 1, ``asked`` which of all regions these are.
        """
        weights = torch.ones_like(truth)
        if self.outline_weight != 1:
            weights = 1 + (self.outline_weight - 1) * boundary_band(truth)
        return self.cross_entropy(inside, outside, truth, labelled, weights) + soft_dice_loss(inside, truth, labelled)

    @staticmethod
    def cross_entropy(inside: Tensor, outside: Tensor, truth: Tensor, labelled: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean over the pixels of the samples that label each region."""
        right = torch.where(truth > 0, inside, outside).clamp(min=LEAST_PROBABILITY)
        weights = weights * labelled[:, :, None, None]
        return (-right.log() * weights).sum((0, 2, 3)) / weights.sum((0, 2, 3))


def soft_dice_loss(inside: Tensor, truth: Tensor, labelled: Tensor) -> Tensor:
    """One minus Dice of each region, shape (region,), over the samples that label it."""
    common = ((inside * truth).sum((2, 3)) * labelled).sum(0)
    total = ((inside + truth).sum((2, 3)) * labelled).sum(0)
    return 1 - (2 * common + SMOOTH) / (total + SMOOTH)


def boundary_band(mask: Tensor, pixels: int = BOUNDARY_PIXELS) -> Tensor:
    """1 where masks (n, region, rows, columns) of 0 and 1 change within ``pixels`` to each side, else 0."""
    flat = mask.flatten(0, 1)[:, None]
    return (dilate(flat, pixels) - 1 + dilate(1 - flat, pixels)).view_as(mask)
