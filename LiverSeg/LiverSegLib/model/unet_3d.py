"""A small 3D U-Net on cubes of voxels, for what is told from the shape of a whole organ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor, nn

# Channels normalised together (Wu and He, ECCV 2018): batches of 3D are too small for batch normalisation.
GROUP = 8


class Block(nn.Sequential):
    """Two 3×3×3 convolutions, each with group normalisation and ReLU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv3d(in_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(out_channels // GROUP, out_channels),
            nn.ReLU(inplace=True),
            nn.Conv3d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.GroupNorm(out_channels // GROUP, out_channels),
            nn.ReLU(inplace=True),
        )


class UNet3D(nn.Module):
    """U-Net from a volume to class logits; skips are added, which takes half the work of joining them.

    Parameters
    ----------
    in_channels, classes
        Channels of input and output.
    widths
        Channels at each level, multiples of :data:`GROUP`, from the finest to the bottom.
    patch
        Side in voxels of the cubes that are folded into channels at the start, and unfolded from channels at the end,
        as :class:`LiverSegLib.model.unet.UNet` does with squares.

    Notes
    -----
    Input (n, in_channels, k, j, i), sizes multiples of patch * 2**(len(widths) - 1). Output (n, classes, k, j, i),
    logits.
    """

    def __init__(self, in_channels: int, classes: int, widths: Sequence[int] = (32, 64, 128), patch: int = 2) -> None:
        super().__init__()
        self.patch = patch
        pairs = list(pairwise(widths))
        self.stem = Block(in_channels * patch**3, widths[0])
        self.down = nn.ModuleList(Block(shallow, deep) for shallow, deep in pairs)
        self.pool = nn.MaxPool3d(2)
        self.up = nn.ModuleList(nn.ConvTranspose3d(deep, shallow, 2, stride=2) for shallow, deep in reversed(pairs))
        self.merge = nn.ModuleList(Block(shallow, shallow) for shallow, _ in reversed(pairs))
        self.head = nn.Conv3d(widths[0], classes * patch**3, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        features = self.stem(fold(volumes, self.patch))
        skips = []
        for block in self.down:
            skips.append(features)
            features = block(self.pool(features))
        for upsample, merge in zip(self.up, self.merge, strict=True):
            features = merge(skips.pop() + upsample(features))
        return unfold(self.head(features), self.patch)


def fold(volumes: Tensor, side: int) -> Tensor:
    """Cubes of voxels as channels: (n, c, k, j, i) to (n, c * side**3, k / side, j / side, i / side)."""
    n, channels, *size = volumes.shape
    k, j, i = (length // side for length in size)
    cubes = volumes.reshape(n, channels, k, side, j, side, i, side)
    return cubes.permute(0, 1, 3, 5, 7, 2, 4, 6).reshape(n, channels * side**3, k, j, i)


def unfold(volumes: Tensor, side: int) -> Tensor:
    """What :func:`fold` does, undone."""
    n, channels, k, j, i = volumes.shape
    cubes = volumes.reshape(n, channels // side**3, side, side, side, k, j, i)
    return cubes.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(n, channels // side**3, k * side, j * side, i * side)
