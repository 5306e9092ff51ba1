"""Results with mistakes: those of the liver network where it hardly sees anything, and drawn ones of the same kinds.

The bundled network knows most scans by heart, so its plain results have too few.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.preprocess import neighbour_stacks, window
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.unet import fold_batch_norm

from ..data.augmentation.noise import Noise
from ..data.classes import Classes
from ..data.sample import Batch
from ..optimizer import fast_dtype
from .blocks import Block

# Shares of results from the network, and of those with a part too few or too many besides.
FROM_NETWORK, MISSING, ADDED = 0.5, 0.4, 0.4
# How far out a reader draws the outline, as a standard deviation.
OUTLINE_MM = 1.5
# Share of the mistakes that look like what they are taken for, and by how many HU what is missed is unlike the liver.
STRANGE, STRANGE_HU = 0.6, (-70.0, 50.0)
# Of a part that is missing or added, in mm.
RADIUS_MM = (8.0, 45.0)
# How unlike the liver's HU tissue may be that is taken for it.
LIKE_HU = (15.0, 60.0)


@dataclass
class MistakeMaker:
    """Draws a result, bool (k, rows, columns), for a block whose liver is known.

    Parameters
    ----------
    model
        The network whose mistakes are wanted.
    classes
        What labels of blocks mean.
    """

    model: LiverModel
    classes: Classes

    def __post_init__(self) -> None:
        self._dtype = fast_dtype(torch.device("cpu"))
        network = fold_batch_norm(self.model.network)
        self._network = network.to(dtype=self._dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def draw(self, block: Block, liver: Tensor, rng: np.random.Generator) -> Tensor:
        """A result; its outline is never quite right."""
        from_network = rng.random() < FROM_NETWORK
        result = self._of_network(block, rng) if from_network else liver
        result = shift_outline(result, rng, 1.0 if not from_network else 0.4)
        often = 0.5 if from_network else 1.0
        if rng.random() < MISSING * often:
            result = without_part(result, block, rng)
        if rng.random() < ADDED * often:
            result = with_part(result, liver, block, rng)
        return result

    @torch.no_grad()
    def _of_network(self, block: Block, rng: np.random.Generator) -> Tensor:
        """What the network makes of a block whose contrast, noise and neighbouring slices are not what they were."""
        hu = (block.hu - 60) * rng.uniform(0.3, 1.3) + 60 + rng.uniform(-50, 50)
        hu = Noise(0.7, 60.0)(Batch(hu[None], block.labels[:1], torch.empty(0), self.classes)).hu[0]
        card = self.model.card
        seen = window(hu, card.window_hu)
        wanted = torch.arange(0, len(hu), 2)
        offsets = [mm * rng.choice((0.0, 1.0, 2.0)) for mm in card.offsets_mm]
        stacks = neighbour_stacks(seen, wanted, block.slice_mm, offsets)
        stacks = stacks.to(self._dtype).contiguous(memory_format=torch.channels_last)
        logits = self._network(stacks).float()
        odds = logits[:, 1:3].logsumexp(dim=1) - torch.cat((logits[:, :1], logits[:, 3:]), dim=1).logsumexp(dim=1)
        return between_slices(odds, wanted, len(hu)) > rng.uniform(-2, 2)


def between_slices(values: Tensor, positions: Tensor, count: int) -> Tensor:
    """Values (n, rows, columns) of some slices on all ``count`` of them, linearly; the outermost go on."""
    wanted = torch.arange(count)
    above = torch.searchsorted(positions, wanted).clamp(max=len(positions) - 1)
    below = (above - 1).clamp(min=0)
    gap = (positions[above] - positions[below]).clamp(min=1)
    weight = ((wanted - positions[below]) / gap).clamp(0, 1)
    return torch.lerp(values[below], values[above], weight.to(values.dtype)[:, None, None])


def smooth_noise(block: Block, rng: np.random.Generator, period_mm: float) -> Tensor:
    """A random field of deviation about 1 that changes over so many mm, (k, rows, columns)."""
    shape = block.hu.shape
    coarse = [max(2, round(n * mm / period_mm)) + 1 for n, mm in zip(shape, block.spacing, strict=True)]
    noise = torch.from_numpy(rng.normal(0, 1.5, (1, 1, *coarse)).astype(np.float32))
    return functional.interpolate(noise, size=shape, mode="trilinear", align_corners=True)[0, 0]


def shift_outline(result: Tensor, rng: np.random.Generator, strength: float) -> Tensor:
    """The result with an outline that is too wide here and too narrow there, and wavy."""
    radius = int(rng.integers(1, 4))
    side = 2 * radius + 1
    soft = functional.avg_pool2d(result.float()[:, None], side, stride=1, padding=radius)[:, 0]
    soft = functional.avg_pool3d(soft[None, None], (3, 1, 1), stride=1, padding=(1, 0, 0))[0, 0]
    noise = torch.from_numpy(rng.normal(0, 1, (1, 1, 5, 7, 7)).astype(np.float32))
    field = functional.interpolate(noise, size=soft.shape, mode="trilinear", align_corners=True)[0, 0]
    level = 0.5 + strength * rng.uniform(0, 0.3) * field + strength * rng.uniform(-0.25, 0.25)
    return soft > level.clamp(0.05, 0.95)


def other_outline(liver: Tensor, block: Block, rng: np.random.Generator) -> Tensor:
    """The liver as a reader draws it who goes farther out, or less far, than the labels do."""
    outside, inside = (
        torch.from_numpy(ndimage.distance_transform_edt(mask.numpy(), block.spacing)).float()
        for mask in (~liver, liver)
    )
    field = rng.normal(0, OUTLINE_MM) + 0.5 * smooth_noise(block, rng, 60.0)
    return outside - inside < field


def strange_looks(hu: Tensor, target: Tensor, result: Tensor, rng: np.random.Generator) -> Tensor:
    """HU in which what is missed does not look like liver, and what is taken for liver does; often, not always.

    That is why networks are wrong in the first place; then it is the click that tells.
    """
    hu = hu.clone()
    missed, taken = (_thick(mask) for mask in (target & ~result, result & ~target))
    if missed.any() and rng.random() < STRANGE:
        hu += rng.uniform(*STRANGE_HU) * _soft(missed)
    if taken.any() and target.any() and rng.random() < STRANGE:
        hu = torch.lerp(hu, hu[target].median().expand_as(hu), rng.uniform(0.4, 1.0) * _soft(taken))
    return hu


def _thick(mask: Tensor) -> Tensor:
    return torch.from_numpy(ndimage.binary_opening(mask.numpy(), iterations=2))


def _soft(mask: Tensor) -> Tensor:
    return functional.avg_pool2d(mask.float()[:, None], 3, stride=1, padding=1)[:, 0]


def _ball(block: Block, centre: np.ndarray, rng: np.random.Generator) -> Tensor:
    """A rough ellipsoid round a voxel; bool (k, rows, columns)."""
    radii = rng.uniform(*RADIUS_MM) * np.exp(rng.uniform(-0.4, 0.4, 3))
    squares = [
        ((torch.arange(n) - float(at)) * mm / float(radius)).square()
        for n, at, mm, radius in zip(block.hu.shape, centre, block.spacing, radii, strict=True)
    ]
    distance = squares[0][:, None, None] + squares[1][:, None] + squares[2]
    return distance.sqrt() + 0.25 * smooth_noise(block, rng, 20.0) < 1


def without_part(result: Tensor, block: Block, rng: np.random.Generator) -> Tensor:
    """The result without what lies in a ball, or beyond a plane, near the middle of the block."""
    inside = _near_middle(result, rng)
    if inside is None:
        return result
    if rng.random() < 0.5:
        return result & ~_ball(block, inside, rng)
    normal = rng.normal(size=3)
    normal /= np.linalg.norm(normal)
    axes = [
        (torch.arange(n) - float(at)) * mm * float(part)
        for n, at, mm, part in zip(block.hu.shape, inside, block.spacing, normal, strict=True)
    ]
    beyond = axes[0][:, None, None] + axes[1][:, None] + axes[2] + 5 * smooth_noise(block, rng, 25.0) > 0
    # The smaller part, as the larger one would be the liver.
    if (result & beyond).sum() > (result & ~beyond).sum():
        beyond = ~beyond
    return result & ~beyond


def with_part(result: Tensor, liver: Tensor, block: Block, rng: np.random.Generator) -> Tensor:
    """The result and, of what is like the liver in a ball beside it, the piece in the middle."""
    near = torch.from_numpy(ndimage.binary_dilation(liver.numpy(), iterations=6)) & ~liver
    centre = _near_middle(near, rng)
    if centre is None or not liver.any():
        return result
    smooth = functional.avg_pool2d(block.hu[:, None], 3, stride=1, padding=1)[:, 0]
    like = (smooth - smooth[liver].median()).abs() < rng.uniform(*LIKE_HU)
    candidate = _ball(block, centre, rng) & ~liver & like
    if rng.random() < 0.5:
        candidate = torch.from_numpy(ndimage.binary_opening(candidate.numpy(), iterations=1))
    return result | torch.from_numpy(ndimage.binary_closing(candidate.numpy(), iterations=1))


def _near_middle(mask: Tensor, rng: np.random.Generator) -> np.ndarray | None:
    """A random voxel of a mask in the inner part of a block; None if there is none."""
    k, j, i = mask.shape
    inner = mask[k // 4 : k - k // 4, j // 4 : j - j // 4, i // 4 : i - i // 4]
    voxels = inner.nonzero().numpy()
    return voxels[rng.integers(len(voxels))] + (k // 4, j // 4, i // 4) if len(voxels) else None
