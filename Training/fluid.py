"""Fluid in chest and abdomen, and lung without air: common beside a diseased liver, in hardly a scan of the data set.

Where they are is drawn once for a copy of a scan (:func:`draw_regions`), in three dimensions; how bright they are, anew
for every sample (:func:`fill_regions`).
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from LiverSegLib.volume import CTVolume

from .density import smooth

FLUID, CONSOLIDATION = 1, 2
# From water to blood; from lung without contrast medium to collapsed lung, which takes up more of it than most livers.
LEVELS_HU = {FLUID: (-5.0, 30.0), CONSOLIDATION: (20.0, 130.0)}
NOISE_HU = (5.0, 20.0)

# In a scan that is clipped above AIR_HU, air and fat look alike. Air spaces smaller than LUNG_ML are bowel.
AIR_HU, FAT_HU, LUNG_ML = -150.0, -30.0, 50.0
CHEST_WALL_MM, SOFT_EDGE_MM = 6.0, 3.0
SHARE_OF_LUNGS = (0.05, 0.8)
ASCITES_MM, ASCITES_REACH_MM = (2.0, 15.0), 30.0


def find_lungs(ct: CTVolume) -> np.ndarray:
    """The two largest air spaces in the body, bool (k, j, i); none where the scan is clipped above -150 HU.

    Their soft edges belong to them, where voxels hold some air: what fills a lung leaves no dark rim.
    """
    hu = ct.hu
    wall = max(1, round(CHEST_WALL_MM / ct.spacing[1]))
    inside = np.stack([_inside(picture > AIR_HU, wall) for picture in hu])
    pieces, count = ndimage.label((hu < AIR_HU) & inside)
    size_ml = np.bincount(pieces.ravel(), minlength=count + 1) * ct.voxel_volume_ml
    size_ml[0] = 0
    lungs = np.isin(pieces, [piece for piece in np.argsort(size_ml)[-2:] if size_ml[piece] > LUNG_ML])
    return grow(lungs, ct, SOFT_EDGE_MM) & (hu < FAT_HU)


def _inside(body: np.ndarray, wall: int) -> np.ndarray:
    """A slice's body with what it encloses, without its outermost pixels."""
    return ndimage.binary_erosion(
        ndimage.binary_fill_holes(ndimage.binary_opening(body, iterations=3)), iterations=wall
    )


def grow(mask: np.ndarray, ct: CTVolume, mm: float) -> np.ndarray:
    """All voxels within ``mm`` of the mask."""
    return ndimage.distance_transform_edt(~mask, sampling=ct.spacing) <= mm if mask.any() else mask


def low_part(lungs: np.ndarray, ct: CTVolume, share: float, towards_feet: float) -> np.ndarray:
    """That share of the lungs' voxels which lies lowest: 0 towards the back, as fluid does, 1 towards the feet."""
    k, j, _ = np.nonzero(lungs)
    depth = (1 - towards_feet) * j * ct.spacing[1] - towards_feet * k * ct.spacing[0]
    low = np.zeros_like(lungs)
    low[lungs] = depth >= np.quantile(depth, 1 - share) if len(depth) else False
    return low


def rim(liver: np.ndarray, ct: CTVolume, mm: float) -> np.ndarray:
    """The outermost ``mm`` of the liver: what is left is a shrunken liver."""
    return liver & (ndimage.distance_transform_edt(liver, sampling=ct.spacing) <= mm)


def draw_regions(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where fluid and airless lung shall be in a copy of the scan, and the labels that are then right.

    Parameters
    ----------
    ct
        Axial stack: slices from feet to head, rows from front to back.
    labels
        0 background, 1 liver, 2 tumour; uint8 (k, j, i).
    rng
        Whence all that is random.

    Returns
    -------
    Regions, uint8 (k, j, i): 0 nothing, 1 fluid, 2 airless lung; and labels without the liver that fluid replaced.
    """
    regions, left = np.zeros(labels.shape, np.uint8), labels.copy()
    liver, lungs = labels > 0, find_lungs(ct)
    possible = ["ascites", "consolidation", "effusion"] if lungs.any() else ["ascites"]
    # In random order: what comes later takes the place of what came before.
    for kind in rng.permutation(possible)[: rng.integers(1, len(possible) + 1)]:
        if kind == "ascites":
            shell = rim(liver, ct, rng.uniform(*ASCITES_MM))
            around = grow(liver, ct, rng.uniform(0, ASCITES_REACH_MM)) & (ct.hu < FAT_HU) & ~lungs
            # Without lungs the scan may be clipped, and what looks like fat may be anything.
            regions[shell | around if lungs.any() else shell] = FLUID
            left[shell] = 0
        else:
            low = low_part(lungs, ct, share=rng.uniform(*SHARE_OF_LUNGS), towards_feet=rng.uniform(0, 1))
            regions[low & ~liver] = FLUID if kind == "effusion" else CONSOLIDATION
    return regions, left


def fill_regions(hu: Tensor, regions: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw fluid and airless lung, each with a brightness and a noise of its own.

    Parameters
    ----------
    hu, regions
        Slices in HU, float, and what :func:`draw_regions` says of them, both (n, rows, columns).
    rng
        Whence brightness and noise.

    Returns
    -------
    New HU; edges are as soft as one of 3 pixels.
    """
    for region, level in LEVELS_HU.items():
        where = regions == region
        level_hu, noise_hu = rng.uniform(*level), rng.uniform(*NOISE_HU)
        if where.any():
            grain = torch.from_numpy(rng.standard_normal(tuple(hu.shape), dtype=np.float32)).to(hu.device)
            hu = hu + smooth(where.float()) * (level_hu + noise_hu * grain - hu)
    return hu
