"""The 2D U-Net (Ronneberger et al., MICCAI 2015) with batch normalisation, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


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

    Notes
    -----
    Input (n, in_channels, rows, columns), windowed to [-1, 1], rows and columns multiples of 2**(len(widths) - 1).
    Output (n, classes, rows, columns), logits.
    """

    def __init__(
        self,
        in_channels: int,
        classes: int,
        widths: Sequence[int] = (16, 32, 64, 128, 256),
        block: str = "plain",
    ) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        level = BLOCKS[block]
        self.stem = level(in_channels, widths[0])
        self.down = nn.ModuleList(level(shallow, deep) for shallow, deep in pairs)
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, shallow, 2, stride=2) for shallow, deep in reversed(pairs))
        self.merge = nn.ModuleList(level(2 * shallow, shallow) for shallow, _ in reversed(pairs))
        self.head = nn.Conv2d(widths[0], classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images)
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(self.pool(features))
        for upsample, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat((skips.pop(), upsample(features)), dim=1))
        return self.head(features)
