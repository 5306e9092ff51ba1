"""The loss: each region of a file of classes against all else, on the scans that label it (as region-based training
in nnU-Net; Isensee et al., Nature Methods 18, 2021).

So a scan trains what it has: where the spleen is not labelled, a pixel outside of the liver is "background or spleen",
the sum of their probabilities, and nothing is asked about either alone.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .data.classes import Classes

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
        region = labelled.nonzero()[:, 1]
        probabilities = logits.float().softmax(dim=1)
        inside = torch.einsum("nchw,rc->nrhw", probabilities, self.members)[labelled]
        # A sum of its own keeps its gradient where the other is near 1.
        outside = torch.einsum("nchw,rc->nrhw", probabilities, 1 - self.members)[labelled]
        truth = self.members[:, labels.long()].transpose(0, 1)[labelled]
        return (self.weights * self.of_regions(inside, outside, truth, region)).sum()

    def of_regions(self, inside: Tensor, outside: Tensor, truth: Tensor, region: Tensor) -> Tensor:
        """One loss for each region, shape (region,), 0 for one that no sample labels.

        Parameters
        ----------
        inside, outside, truth
            For each sample and each region that it labels, probabilities of the region and of all else, and its mask
            of 0 and 1: (pair, rows, columns).
        region
            Which region each pair is of, shape (pair,).
        """
        weights = torch.ones_like(truth)
        if self.outline_weight != 1:
            weights = 1 + (self.outline_weight - 1) * boundary_band(truth)
        return self.cross_entropy(inside, outside, truth, region, weights) + self.dice(inside, truth, region)

    def cross_entropy(self, inside: Tensor, outside: Tensor, truth: Tensor, region: Tensor, weights: Tensor) -> Tensor:
        """Weighted mean over the pixels of the samples that label each region."""
        right = torch.where(truth > 0, inside, outside).clamp(min=LEAST_PROBABILITY)
        return self.sum_by(region, -right.log() * weights) / self.sum_by(region, weights).clamp(min=1)

    def dice(self, inside: Tensor, truth: Tensor, region: Tensor) -> Tensor:
        """One minus soft Dice of each region that the batch shows, 0 of the others.

        Of a region that it does not show, smoothed Dice would count pixels where cross-entropy counts their share: each
        such batch would push a rare class down by far more than the others lift it, and it would never be found.
        """
        common, total = self.sum_by(region, inside * truth), self.sum_by(region, inside + truth)
        loss = 1 - (2 * common + SMOOTH) / (total + SMOOTH)
        return torch.where(self.sum_by(region, truth) > 0, loss, 0.0)

    def sum_by(self, region: Tensor, values: Tensor) -> Tensor:
        """Sums of values (pair, rows, columns) over each region's pairs, shape (region,)."""
        return values.new_zeros(len(self.weights)).index_add(0, region, values.sum((1, 2)))


def boundary_band(masks: Tensor, pixels: int = BOUNDARY_PIXELS) -> Tensor:
    """1 where masks (n, rows, columns) of 0 and 1 change within a square of ``pixels`` to each side, else 0."""
    share = masks[:, None]
    # The mean over a square is that over columns of the one over rows, in far fewer steps.
    for kernel, padding in (((2 * pixels + 1, 1), (pixels, 0)), ((1, 2 * pixels + 1), (0, pixels))):
        share = functional.avg_pool2d(share, kernel, stride=1, padding=padding, count_include_pad=False)
    return ((share > 1e-4) & (share < 1 - 1e-4))[:, 0].to(masks.dtype)
