"""Thicker and thinner slices."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np

from LiverSegLib.data.volume import CTVolume

from .painting import whole
from .types import Degraded


def slices_5mm(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Average slabs of 5 mm; a label goes where it fills half of the slab. Thicker slices stay as they are.

    The slabs fill the scan exactly, so their thickness is 5 mm up to rounding of their number.
    """
    count = max(1, round(len(ct.hu) * ct.spacing[0] / 5.0))
    if count >= len(ct.hu):
        return ct, labels
    hu, thick = np.empty((count, *ct.hu.shape[1:]), np.int16), np.zeros((count, *labels.shape[1:]), np.uint8)
    for n, (part, weights) in enumerate(_slabs(len(ct.hu), count)):
        hu[n] = whole(np.tensordot(weights, ct.hu[part].astype(np.float32), axes=1))
        for mask in (labels[part] > 0, labels[part] == 2):
            # Liver first, and tumour on top of it: 1 + 1.
            thick[n] += np.tensordot(weights, mask.astype(np.float32), axes=1) >= 0.5
    return replace(ct, hu=hu, affine=_resliced(ct.affine, len(ct.hu) / count)), thick


def _slabs(slices: int, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """For each of ``count`` equal slabs the slices that it cuts and the share of each in it, float32, sum 1."""
    edges = np.arange(count + 1) * (slices / count)
    for low, high in pairwise(edges):
        part = slice(int(low + 1e-6), min(slices, int(np.ceil(high - 1e-6))))
        index = np.arange(part.start, part.stop)
        overlap = np.minimum(index + 1, high) - np.maximum(index, low)
        yield part, (overlap / overlap.sum()).astype(np.float32)


def slices_07mm(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Interpolate slices of 0.7 mm linearly; thinner ones stay as they are.

    Labels are those of the nearest slice: where the interpolated mask crosses one half, so nothing moves. Halfway
    between thick slices the picture is a blend of both and the border in it is a matter of taste.
    """
    slices = len(ct.hu)
    count = max(1, round(slices * ct.spacing[0] / 0.7))
    if count <= slices:
        return ct, labels
    # Beyond the centres of the outermost slices, up to their faces, their values go on.
    position = np.clip((np.arange(count) + 0.5) * (slices / count) - 0.5, 0, slices - 1)
    lower = np.minimum(position.astype(int), max(0, slices - 2))
    upper = np.minimum(lower + 1, slices - 1)
    hu = np.empty((count, *ct.hu.shape[1:]), np.int16)
    for n, share in enumerate((position - lower).astype(np.float32)):
        hu[n] = whole(ct.hu[lower[n]] * (1 - share) + ct.hu[upper[n]] * share)
    thin = labels[np.floor(position + 0.5).astype(int)]
    return replace(ct, hu=hu, affine=_resliced(ct.affine, slices / count)), thin


def _resliced(affine: np.ndarray, ratio: float) -> np.ndarray:
    """The affine for slices ``ratio`` times as thick that begin at the same face."""
    resliced = affine.copy()
    resliced[:3, 2] *= ratio
    resliced[:3, 3] += affine[:3, 2] * (ratio / 2 - 0.5)
    return resliced
