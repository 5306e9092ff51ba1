"""Lesions, cysts and iodised oil in the liver."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional

from ..sample import Batch
from .chance import chosen, uniform


@dataclass
class Lesions:
    """Darken or brighten smooth blobs inside the liver and label them tumour: lesions of every look are rare.

    A ``heavy_share`` of these samples gets blobs through much of the liver instead, full of water as large and many
    cysts are, or as bright as iodised oil after chemoembolisation. Whether those are tumours is not told.
    """

    probability: float = 0.25
    contrast_hu: tuple[float, float] = (-80.0, 50.0)
    heavy_share: float = 0.0
    water_hu: tuple[float, float] = (-5.0, 25.0)
    oil_hu: tuple[float, float] = (100.0, 500.0)
    oil_share: float = 0.4
    grain_hu: float = 10.0

    def __call__(self, batch: Batch) -> Batch:
        hu = batch.hu
        heavy = chosen(hu, self.heavy_share)
        cells = int(torch.randint(5, 14, ()))
        noise = torch.randn(len(hu), 1, cells, cells, device=hu.device)
        field = functional.interpolate(noise, size=hu.shape[-2:], mode="bicubic", align_corners=False)
        limit = uniform(hu, 1.0, 1.8)
        # Heavy ones fill anything from half of the liver to single blobs of it.
        blob = torch.sigmoid(8 * (field - torch.where(heavy, 2 * limit - 2, limit)))
        inside = batch.liver[:, None] & chosen(hu, self.probability)
        contrast = uniform(hu, *self.contrast_hu)
        change = torch.where(heavy, self._level(hu) - hu, contrast)
        lesion = (inside & (blob > 0.5) & ((contrast.abs() > 15) | heavy))[:, 0]
        labels = batch.labels.masked_fill(lesion, batch.classes.names.index("tumour"))
        heavily = (heavy & inside.any((1, 2, 3), keepdim=True)).flatten(1)
        others = torch.tensor(batch.classes.labelled_regions(set(batch.classes.names) - {"tumour"}), device=hu.device)
        told = batch.labelled & (~heavily | others)
        return replace(batch, hu=hu + blob * inside * change, labels=labels, labelled=told)

    def _level(self, hu: Tensor) -> Tensor:
        """HU of water or oil with some grain, shaped like ``hu``."""
        level = torch.where(chosen(hu, self.oil_share), uniform(hu, *self.oil_hu), uniform(hu, *self.water_hu))
        return level + self.grain_hu * torch.randn_like(hu)
