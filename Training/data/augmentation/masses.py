"""Masses beside the liver."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..dilate import dilate
from ..sample import AIR_HU, Batch
from .chance import chosen, uniform


@dataclass
class Masses:
    """Draw an ellipse of soft tissue or fluid beside the liver, as tumours of kidney and adrenal gland and cysts are.

    It takes the place of fat, bowel and other organs, not of air, and leaves the liver and a rim about it as they are.
    Half of them lie anywhere in the middle of the picture; of the others, the middle is no further than
    ``reach_pixels`` from the liver and the level nearly its own: those are what is taken for it.
    """

    probability: float = 0.15
    radius_pixels: tuple[float, float] = (6.0, 40.0)
    level_hu: tuple[float, float] = (0.0, 150.0)
    beside_liver_hu: tuple[float, float] = (-70.0, 30.0)
    grain_hu: float = 20.0
    rim_pixels: int = 2
    reach_pixels: int = 30

    def __call__(self, batch: Batch) -> Batch:
        hu = batch.hu
        liver = batch.liver[:, None].float()
        rim = dilate(liver, self.rim_pixels)
        beside = chosen(hu, 0.5) & liver.any((1, 2, 3), keepdim=True)
        share = self._ellipse(hu, torch.where(beside, self._middle_beside(rim), self._middle_anywhere(hu)))
        share = share * (1 - rim) * (hu > AIR_HU / 2) * chosen(hu, self.probability)
        covered = share[:, share.shape[1] // 2] > 0.5
        labels = batch.labels.masked_fill(covered, 0)
        return replace(batch, hu=torch.lerp(hu, self._tissue(hu, liver, beside), share), labels=labels)

    def _middle_anywhere(self, hu: Tensor) -> Tensor:
        """Row and column, shape (n, 2, 1, 1)."""
        return torch.cat([uniform(hu, 0.25, 0.75) * side for side in hu.shape[2:]], dim=1)

    def _middle_beside(self, rim: Tensor) -> Tensor:
        ring = dilate(rim, self.reach_pixels) - rim
        pixel = (ring * torch.rand_like(ring)).flatten(1).argmax(dim=1)
        columns = rim.shape[-1]
        return torch.stack((pixel // columns, pixel % columns), dim=1)[:, :, None, None].to(rim.dtype)

    def _ellipse(self, hu: Tensor, middle: Tensor) -> Tensor:
        """How much of each pixel is the mass, shaped like ``hu``."""
        rows, columns = hu.shape[2:]
        y = torch.arange(rows, device=hu.device).view(1, 1, -1, 1) - middle[:, :1]
        x = torch.arange(columns, device=hu.device).view(1, 1, 1, -1) - middle[:, 1:]
        # Slices of the stack cut it at different heights.
        radii = [uniform(hu, *self.radius_pixels) * uniform(hu, 0.8, 1.0, hu.shape[1], 1, 1) for _ in range(2)]
        # An edge of about two pixels, whatever the size.
        return torch.sigmoid(2 * (1 - torch.hypot(y / radii[0], x / radii[1])) * torch.minimum(*radii))

    def _tissue(self, hu: Tensor, liver: Tensor, beside: Tensor) -> Tensor:
        """HU of the mass, coarse and fine grain on its level."""
        slices, rows, columns = hu.shape[1:]
        middle = slices // 2
        of_liver = (hu[:, middle : middle + 1] * liver).sum((1, 2, 3), keepdim=True)
        near = of_liver / liver.sum((1, 2, 3), keepdim=True).clamp(min=1) + uniform(hu, *self.beside_liver_hu)
        level = torch.where(beside, near, uniform(hu, *self.level_hu))
        grain = torch.randn_like(hu)
        for fields, cells in ((slices, rows // 8), (1, 6)):
            field = torch.randn(len(hu), fields, cells, cells, device=hu.device)
            grain = grain + functional.interpolate(field, size=(rows, columns), mode="bicubic", align_corners=False)
        return level + uniform(hu, 0, self.grain_hu) * grain
