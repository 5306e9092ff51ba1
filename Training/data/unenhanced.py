"""Scans without contrast medium, made of those with it: half of what clinics scan, hardly one in the data set.

What is learnt from them is that a liver has no need of bright vessels: without contrast medium they are a little darker
than it, or not to be seen at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .density import smooth

# From a fatty liver to one with iron; its vessels hold blood, from that of an anaemic patient on.
LIVER_HU, VESSEL_HU = (15.0, 75.0), (30.0, 50.0)
# A vessel's HU above the liver's in the scan with contrast medium, from where on it is blood alone.
VESSEL_ABOVE_LIVER_HU = 50.0
# Other organs end near this, and keep that share of what they have above it; bone stays.
ORGAN_HU, ORGAN_SHARE, BONE_HU = 45.0, (0.03, 0.2), (200.0, 260.0)
# A liver of less has no contrast medium.
LEAST_ENHANCED_HU = 65.0


def remove_contrast(hu: Tensor, liver: Tensor, parenchyma: Tensor, rng: np.random.Generator) -> Tensor:
    """Take the contrast medium out, crudely; how bright organs are then is drawn anew each time.

    Parameters
    ----------
    hu
        Slices in HU, float (n, rows, columns).
    liver, parenchyma
        How much of each pixel is liver, and liver without tumour, 0 to 1, the same shape.
    rng
        Whence all that is random.

    Returns
    -------
    New HU. Each pixel changes as the median of 3×3 around it says, so that noise and borders stay; where liver and
    others meet, over 3 pixels. A liver below 65 HU stays as it is, and what is around it.
    """
    liver_hu, vessel_hu = rng.uniform(*LIVER_HU), rng.uniform(*VESSEL_HU)
    organ_share = rng.uniform(*ORGAN_SHARE)
    middle = _median(hu)
    bone = [ORGAN_HU + organ_share * (BONE_HU[0] - ORGAN_HU), BONE_HU[1]]
    wanted = _curve(middle, [ORGAN_HU, *BONE_HU], [ORGAN_HU, *bone])
    if (parenchyma > 0.5).any():
        enhanced_hu = float(hu[parenchyma > 0.5].median())
        if enhanced_hu < LEAST_ENHANCED_HU:
            return hu
        nodes = [ORGAN_HU, enhanced_hu, enhanced_hu + VESSEL_ABOVE_LIVER_HU]
        inside = _curve(middle, nodes, [min(ORGAN_HU, liver_hu), liver_hu, vessel_hu])
        wanted = torch.lerp(wanted, inside, smooth(liver))
    return hu + (wanted - middle)


def _median(slices: Tensor) -> Tensor:
    """The median of 3×3 pixels in each slice."""
    padded = functional.pad(slices[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    rows, columns = slices.shape[1:]
    around = [padded[:, j : j + rows, i : i + columns] for j in range(3) for i in range(3)]
    return torch.stack(around).median(dim=0).values


def _curve(values: Tensor, nodes: Sequence[float], levels: Sequence[float]) -> Tensor:
    """Piecewise linear; below the first node parallel to what was there, above the last its level goes on."""
    result = levels[0] + (values - nodes[0]).clamp(max=0)
    for (left, right), (low, high) in zip(pairwise(nodes), pairwise(levels), strict=True):
        result = result + (values - left).clamp(0, right - left) * ((high - low) / (right - left))
    return result
