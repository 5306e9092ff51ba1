"""Fluid in chest, abdomen and bowel, and lung without air: common in clinics, in hardly a scan of the data set.

Where they are is drawn once for a copy of a scan (:func:`draw_regions`), in three dimensions; how bright they are, anew
for every sample (:func:`fill_regions`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from LiverSegLib.data.volume import CTVolume

from .density import smooth

FLUID, CONSOLIDATION, CONTENTS = 1, 2, 3
# From water to blood; from lung without contrast medium to collapsed lung, which takes up more of it than most livers;
# from water to a meal and oral contrast medium.
LEVELS_HU = {FLUID: (-5.0, 30.0), CONSOLIDATION: (20.0, 130.0), CONTENTS: (-10.0, 250.0)}
NOISE_HU = (5.0, 20.0)

# In a scan that is clipped above AIR_HU, air and fat look alike.
AIR_HU, FAT_HU = -150.0, -30.0
# Lungs reach back by this share of the body's depth; the gas of the bowel, of who lies on the back, does not.
LUNG_ML, LUNG_DEPTH, BOWEL_ML = 50.0, 0.65, 1.0
CHEST_WALL_MM, SOFT_EDGE_MM = 6.0, 3.0
SHARE_OF_LUNGS = (0.05, 0.8)
ASCITES_MM, ASCITES_REACH_MM = (2.0, 15.0), 30.0
# Stool is full of gas; bubbles no farther apart than this are of one piece of bowel.
BUBBLES_MM = 12.0
FULL_BOWEL_SHARE, DISTENDED_MM = 0.7, 10.0


class Air(NamedTuple):
    """Air in a body, bool (k, j, i), with its soft edges, where voxels hold some air: what fills it leaves no rim."""

    lungs: np.ndarray
    bowel: np.ndarray


def find_air(ct: CTVolume) -> Air:
    """Large air spaces in the body that reach far back, and others; none where the scan is clipped above -150 HU."""
    hu = ct.hu
    wall = max(1, round(CHEST_WALL_MM / ct.spacing[1]))
    inside = np.stack([_inside(picture > AIR_HU, wall) for picture in hu])
    pieces, count = ndimage.label((hu < AIR_HU) & inside)
    size_ml = np.bincount(pieces.ravel(), minlength=count + 1) * ct.voxel_volume_ml
    rows = np.flatnonzero(inside.any(axis=(0, 2)))
    lung_row = rows[int(LUNG_DEPTH * len(rows))] if len(rows) else 0
    reaches_back = np.zeros(count + 1, bool)
    reaches_back[pieces[:, lung_row:]] = True
    is_lung = reaches_back & (size_ml > LUNG_ML)
    is_bowel = ~is_lung & (size_ml > BOWEL_ML)
    is_lung[0] = is_bowel[0] = False
    lungs, bowel = (grow(kind[pieces], ct, SOFT_EDGE_MM) & (hu < FAT_HU) for kind in (is_lung, is_bowel))
    return Air(lungs, bowel & ~lungs)


def find_lungs(ct: CTVolume) -> np.ndarray:
    """The lungs alone of :func:`find_air`."""
    return find_air(ct).lungs


def bowel_contents(ct: CTVolume, bowel: np.ndarray, distended_mm: float = 0.0) -> np.ndarray:
    """What a full bowel would hold: its gas, what lies between the bubbles, and ``distended_mm`` of the fat around."""
    # A closing by a box, since its filters are many times as fast as distances.
    window = [2 * round(BUBBLES_MM / 2 / mm) + 1 for mm in ct.spacing]
    full = ndimage.minimum_filter(ndimage.maximum_filter(bowel.astype(np.uint8), window), window) > 0
    return full | (grow(full, ct, distended_mm) & (ct.hu < FAT_HU)) if distended_mm else full


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


def draw_regions(ct: CTVolume, labels: np.ndarray, air: Air, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Where fluid and airless lung shall be in a copy of the scan, and the labels that are then right.

    Parameters
    ----------
    ct
        Axial stack: slices from feet to head, rows from front to back.
    labels
        0 background, 1 liver, 2 tumour; uint8 (k, j, i).
    air
        What :func:`find_air` says of it: one answer for all copies.
    rng
        Whence all that is random.

    Returns
    -------
    Regions, uint8 (k, j, i): 0 nothing, 1 fluid, 2 airless lung, 3 what fills the bowel; and labels without the liver
    that fluid replaced.
    """
    regions, left = np.zeros(labels.shape, np.uint8), labels.copy()
    liver, (lungs, bowel) = labels > 0, air
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
    if bowel.any() and rng.random() < FULL_BOWEL_SHARE:
        contents = bowel_contents(ct, bowel, rng.uniform(0, DISTENDED_MM))
        regions[contents & ~liver & ~lungs & (regions == 0)] = CONTENTS
    return regions, left


def fill_regions(hu: Tensor, regions: Tensor, rng: np.random.Generator) -> Tensor:
    """Draw fluid, airless lung and what fills the bowel, each with a brightness and a noise of its own.

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
