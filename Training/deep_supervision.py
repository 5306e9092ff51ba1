"""Deep supervision: in training, each level of the decoder says what it sees (Lee et al., AISTATS 2015).

The heads that say so are training's alone: what is exported is the plain U-Net.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from LiverSegLib.model.unet import UNet

# What the weights of the heads are called in a checkpoint.
HEADS = "coarse_heads"


class DeeplySupervisedUNet(UNet):
    """The U-Net with a 1×1 convolution to class logits at each coarser level of its decoder.

    Takes what :class:`~LiverSegLib.model.unet.UNet` takes. In training its output is a list of logits, the finest
    first, each half as fine as the one before; in evaluation it is the plain network's.
    """

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int], block: str, patch: int) -> None:
        super().__init__(in_channels, classes, widths, block, patch)
        # The bottom has no skip connection to judge by; the finest level has its head already.
        self.coarse_heads = nn.ModuleList(nn.Conv2d(width, classes, 1) for width in reversed(widths[1:-1]))

    def forward(self, images: Tensor) -> Tensor | list[Tensor]:
        if not self.training:
            return super().forward(images)
        decoded: list[Tensor] = []
        hooks = [
            merge.register_forward_hook(lambda _module, _images, features: decoded.append(features))
            for merge in self.merge[:-1]
        ]
        try:
            finest = super().forward(images)
        finally:
            for hook in hooks:
                hook.remove()
        coarse = [head(features) for head, features in zip(self.coarse_heads, decoded, strict=True)]
        return [finest, *reversed(coarse)]


def supervise_deeply(criterion: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The loss of a list of logits: each level counts half as much as the finer one before it.

    Labels are those of the middle of each coarse pixel.
    """

    def loss(levels: list[Tensor], labels: Tensor, tumour_labelled: Tensor) -> Tensor:
        weights = torch.tensor([0.5**level for level in range(len(levels))])
        losses = []
        for logits in levels:
            step = labels.shape[-1] // logits.shape[-1]
            losses.append(criterion(logits, labels[:, step // 2 :: step, step // 2 :: step], tumour_labelled))
        return (weights.to(losses[0]) / weights.sum() * torch.stack(losses)).sum()

    return loss
