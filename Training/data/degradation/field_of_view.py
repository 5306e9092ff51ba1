"""Less in view, and a body of another size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.data.volume import CTVolume

from .types import Degraded

FIELD_MARGIN_MM = (5.0, 25.0)
# About as a small child is to an adult; no measured child stands behind the number.
CHILD_SCALE = 0.65


def cropped(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Cut the field of view, and the slices, to the liver and 5 to 25 mm at each of its sides.

    Spine, flanks and most of the spleen are gone, as in a scan for the liver alone. Without a liver the scan stays.
    """
    if not labels.any():
        return ct, labels
    box = []
    for side, mm, size in zip(box_of(labels), ct.spacing, labels.shape, strict=True):
        before, after = (int(margin / mm) for margin in rng.uniform(*FIELD_MARGIN_MM, size=2))
        box.append(slice(max(0, side.start - before), min(size, side.stop + after)))
    affine = ct.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in reversed(box)]
    part = tuple(box)
    return replace(ct, hu=ct.hu[part].copy(), affine=affine), labels[part].copy()


def child(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """All of the body, slices and pixels at 0.65 of their size. A true child has other proportions, too."""
    affine = ct.affine.copy()
    affine[:3] *= CHILD_SCALE
    return replace(ct, affine=affine), labels
