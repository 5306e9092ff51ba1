"""The 2D U-Net (Ronneberger et al., MICCAI 2015) with batch normalisation, on pixels or on small squares of them."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval


class ConvBlock(nn.Sequential):
    """Two 3×3 convolutions, each with batch normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )


class ResidualBlock(ConvBlock):
    """The same with the input, widened by a 1×1 convolution, added before the last ReLU (He et al., CVPR 2016)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels)
        self.shortcut = nn.Conv2d(in_channels, out_channels, 1, bias=False)

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for position in range(5):
            features = self[position](features)
        return self[5](features + self.shortcut(images))


BLOCKS: dict[str, type[ConvBlock]] = {"plain": ConvBlock, "residual": ResidualBlock}


class UNet(nn.Module):
    """U-Net from slices with neighbours to class logits.

    Parameters
    ----------
    in_channels
        Slices per input: the slice itself and its neighbours.
    classes
        Output classes, background included.
    widths
        Channels at each level, from full resolution to the bottom.
    block
        What each level is built of: "plain" or "residual".
    patch
        Side in pixels of the squares that are folded into channels at the start, and unfolded from channels at the end
        (the sub-pixel convolution of Shi et al., CVPR 2016). With 2, the costly first level works on a quarter of the
        positions, nothing of the image is lost, and the output is as fine as the input.

    Notes
    -----
    Input (n, in_channels, rows, columns), windowed to [-1, 1], rows and columns multiples of
    patch * 2**(len(widths) - 1). Output (n, classes, rows, columns), logits.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        block: str = "plain",
        patch: int = 1,
    ) -> None:
        super().__init__()
        self.patch = patch
        pairs = list(pairwise(widths))
        level = BLOCKS[block]
        self.stem = level(in_channels * patch**2, widths[0])
        self.down = nn.ModuleList(level(shallow, deep) for shallow, deep in pairs)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in reversed(pairs))
        self.merge = nn.ModuleList(level(2 * shallow, shallow) for shallow, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], classes * patch**2, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(functional.pixel_unshuffle(images, self.patch))
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(self.pool(features))
        for upsample, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat((skips.pop(), upsample(features)), dim=1))
        return functional.pixel_shuffle(self.head(features), self.patch)


def fold_batch_norm(network: UNet) -> UNet:
    """A copy with each batch normalisation folded into the convolution before it: the same function, fewer passes."""
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, ConvBlock):
            for position in (0, 3):
                convolution, normalisation = block[position], block[position + 1]
                assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)  # nosec B101
                block[position] = fuse_conv_bn_eval(convolution, normalisation)
                block[position + 1] = nn.Identity()
    return folded
