"""Measures of one liver beyond those of the report: surface Dice, and Dice averaged over slices in both ways."""

from __future__ import annotations

import warnings

import numpy as np
import torch
from monai.metrics import compute_surface_dice

from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.data.metrics import Spacing, dice

# Near the distance between two readers' outlines, and what LiTS' organisers used later.
TOLERANCE_MM = 2.0


def surface_dice(found: np.ndarray, truth: np.ndarray, spacing: Spacing, tolerance_mm: float = TOLERANCE_MM) -> float:
    """Normalised surface Dice, 0 to 1: the share of both surfaces' area that lies within the tolerance of the other.

    Nikolov et al., J Med Internet Res 23, 2021, with the surface elements of DeepMind's implementation as MONAI has
    them. Area counts, not surface voxels: in slices of 5 mm with pixels of 1 mm, top and bottom of a liver have five
    times as many voxels an area as its sides, and a share of voxels is mostly about the two ends.

    Masks are (k, j, i), bool, spacing in mm along (k, j, i). Two empty masks agree perfectly; one empty mask gives 0.
    """
    if not found.any() or not truth.any():
        return float(found.any() == truth.any())
    box = box_of(found | truth)
    classes = [torch.from_numpy(np.stack((~mask[box], mask[box]))[None]).float() for mask in (found, truth)]
    with warnings.catch_warnings():
        # MONAI warns of an argument that it passes itself.
        warnings.simplefilter("ignore", FutureWarning)
        return float(compute_surface_dice(*classes, [tolerance_mm], spacing=list(spacing), use_subvoxels=True))


def slice_dice(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice over the slices (masks are (k, j, i)) where either mask has a voxel, as earlier projects averaged."""
    scores = [dice(f, t) for f, t in zip(found, truth, strict=True) if f.any() or t.any()]
    return float(np.mean(scores)) if scores else 1.0


def slice_dice_all(found: np.ndarray, truth: np.ndarray) -> float:
    """Mean Dice over all slices; one where both masks are empty counts 1, which flatters scans that show much else."""
    return float(np.mean([dice(f, t) for f, t in zip(found, truth, strict=True)]))
