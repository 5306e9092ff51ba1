"""Flip, rotate, scale, shear, move and bend."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..sample import AIR_HU, Batch
from .chance import chosen, uniform


@dataclass
class Warp:
    """Flip, rotate, scale, shear, move and bend in one interpolation, and cut to the network's size.

    A patient on the belly is both axes flipped. Mirroring one axis is off by default: orientation is known, and a
    network that saw livers on either side took full stomachs and spleens for liver.
    """

    size: int
    mirror_probability: float = 0.0
    prone_probability: float = 0.05
    rotation_degrees: float = 20.0
    scale: tuple[float, float] = (0.8, 1.25)
    stretch: float = 0.08
    shift_pixels: float = 16.0
    elastic_probability: float = 0.5
    elastic_pixels: float = 5.0

    def __call__(self, batch: Batch) -> Batch:
        grid = functional.affine_grid(
            self._affine(batch.hu), [len(batch.hu), 1, self.size, self.size], align_corners=False
        )
        grid = grid + self._elastic(batch.hu)
        hu = functional.grid_sample(batch.hu - AIR_HU, grid, align_corners=False) + AIR_HU
        labels = functional.grid_sample(batch.labels[:, None].float(), grid, mode="nearest", align_corners=False)
        return replace(batch, hu=hu, labels=labels[:, 0].round().to(batch.labels.dtype))

    def _affine(self, hu: Tensor) -> Tensor:
        n, side = len(hu), hu.shape[-1]
        angle = torch.empty(n).uniform_(-1, 1) * math.radians(self.rotation_degrees)
        size = torch.empty(n).uniform_(math.log(self.scale[0]), math.log(self.scale[1])).exp()
        stretch = torch.empty(n, 2).uniform_(1 - self.stretch, 1 + self.stretch)
        flip = 1 - 2 * (torch.rand(n, 2) < self.mirror_probability).float()
        flip = flip * (1 - 2 * (torch.rand(n, 1) < self.prone_probability).float())
        # Pixels keep their size: the output is a smaller square of the same grid.
        factor = (flip * stretch / size[:, None]) * (self.size / side)
        cos, sin = angle.cos(), angle.sin()
        rotation = torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)
        shift = torch.empty(n, 2, 1).uniform_(-1, 1) * 2 * self.shift_pixels / side
        return torch.cat((rotation * factor[:, None, :], shift), dim=2).to(hu.device)

    def _elastic(self, hu: Tensor) -> Tensor:
        coarse = torch.randn(len(hu), 2, 6, 6, device=hu.device) * self.elastic_pixels * 2 / hu.shape[-1]
        coarse = coarse * uniform(hu, 0, 1) * chosen(hu, self.elastic_probability)
        field = functional.interpolate(coarse, size=(self.size, self.size), mode="bicubic", align_corners=True)
        return field.permute(0, 2, 3, 1)
