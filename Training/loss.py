"""Cross-entropy + soft Dice for liver and for tumour, the tumour only where it is labelled."""

from __future__ import annotations

import torch
from monai.losses import DiceLoss
from torch import Tensor
from torch.nn import functional

TUMOUR_WEIGHT = 0.5


class LiverTumourLoss(torch.nn.Module):
    """Loss of logits (n, 3, rows, columns) against labels (n, rows, columns) of 0, 1 and 2.

    The liver term compares liver ∪ tumour with background on every sample: the probability of the union is the sum of
    the two softmax probabilities, so that unlabelled tumours inside label 1 teach nothing wrong. The tumour term
    separates tumour from liver inside the reference liver, on the samples whose tumours are labelled. Dice is taken
    over the whole batch, which keeps slices without liver from dominating it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dice = DiceLoss(batch=True, squared_pred=False, smooth_nr=1.0, smooth_dr=1.0)

    def forward(self, logits: Tensor, labels: Tensor, tumour_labelled: Tensor) -> Tensor:
        logits = logits.float()
        union = torch.logsumexp(logits[:, 1:], dim=1) - logits[:, 0]
        liver = (labels > 0).float()
        loss = functional.binary_cross_entropy_with_logits(union, liver)
        loss = loss + self.dice(union.sigmoid()[:, None], liver[:, None])
        if tumour_labelled.any():
            loss = loss + TUMOUR_WEIGHT * self._tumour(logits[tumour_labelled], labels[tumour_labelled])
        return loss

    def _tumour(self, logits: Tensor, labels: Tensor) -> Tensor:
        tumour = (labels == 2).float()
        cross_entropy = functional.cross_entropy(logits, labels.long())
        return cross_entropy + self.dice(logits.softmax(dim=1)[:, 2:], tumour[:, None])
