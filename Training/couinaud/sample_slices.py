"""Random slices of livers with their segments, of whole scans and single ones, each turned and bent in its own way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.liver_grid import CoarseScan, heights_in

from .sample import AIR_HU, at, of_each_person, one_of, other_contrast, resect, rotation, rough
from .settings import FINEST_MM, SHAPE, SliceSettings

# Pixels (j, i) of a slice, as LiverSegLib.inference.liver_grid.finer_slices has them, and their sides in mm unless the
# liver needs larger ones.
SLICE_SHAPE = (1, 2 * SHAPE[1], 2 * SHAPE[2])
SIDES_MM = (FINEST_MM / 2, FINEST_MM / 2 + 0.6)
# How far the slice's liver may lie from the middle.
LARGEST_SHIFT_MM = 25.0
# Fewer voxels of liver in a slice are no place to learn from.
FEWEST_VOXELS = 15
# Share of samples whose height is not told, of those whose fat reads 0 HU, and how wrong a height may be.
UNTOLD_PROBABILITY, CLIPPED_PROBABILITY, HEIGHT_ERROR = 0.5, 0.5, 0.08


@dataclass(frozen=True)
class SliceBatch:
    """HU, the liver as found, 0 to 1, and the segments, each (n, j, i); the heights, (n,), nan where not told."""

    hu: Tensor
    liver: Tensor
    segments: Tensor
    heights: Tensor


class SliceSampler:
    """Draws batches; each person of a kind as often as any other.

    Parameters
    ----------
    whole, single
        Prepared scans, and single slices of others, by name.
    settings
        How they are changed.
    seed
        Of all that is random.
    """

    def __init__(
        self, whole: Mapping[str, CoarseScan], single: Mapping[str, CoarseScan], settings: SliceSettings, seed: int
    ) -> None:
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._whole, self._single = of_each_person(whole), of_each_person(single)

    def draw(self) -> SliceBatch:
        """The next batch."""
        samples = [self._sample() for _ in range(self._settings.batch)]
        return SliceBatch(*(torch.stack(parts) for parts in zip(*samples, strict=True)))

    def _sample(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        rng, settings = self._rng, self._settings
        single = bool(self._single) and rng.random() < settings.single_share
        scan = one_of(rng, self._single if single else self._whole)
        sizes = np.count_nonzero(scan.labels, axis=(1, 2))
        k = rng.choice(np.flatnonzero(sizes >= min(FEWEST_VOXELS, sizes.max())))
        height = torch.tensor(float("nan"))
        if not single and rng.random() >= UNTOLD_PROBABILITY:
            height = heights_in(torch.from_numpy((scan.labels > 0).astype(np.float32)))[k]
        hu, labels = scan.hu[k : k + 1].copy(), scan.labels[k : k + 1].copy()
        if rng.random() < settings.resection_probability:
            resect(rng, hu, labels)
        places = self._places(labels[0], scan.geometry.spacing[1:])
        seen = at(places, hu - AIR_HU, "bilinear") + AIR_HU
        segments = at(places, labels.astype(np.float32), "nearest").round().long()
        liver = at(places, (labels > 0).astype(np.float32), "bilinear")
        if rng.random() < settings.rough_probability:
            liver = rough(rng, liver)
        if rng.random() < CLIPPED_PROBABILITY:
            seen = seen.clamp(min=0.0)
        return other_contrast(rng, seen)[0], liver[0], segments[0], height + HEIGHT_ERROR * rng.normal()

    def _places(self, labels: np.ndarray, spacing: tuple[float, float]) -> Tensor:
        """Where in a slice (j, i) the pixels round its warped liver lie, as ``grid_sample`` wants it of volumes."""
        settings, rng = self._settings, self._rng
        liver = np.argwhere(labels)[:, ::-1]
        low, high = liver.min(axis=0), liver.max(axis=0)
        mm = np.array(spacing[::-1])
        _, rows, columns = SLICE_SHAPE
        side = max(rng.uniform(*SIDES_MM), float(((high - low + 3) * mm / (columns, rows)).max()))
        j, i = np.indices((rows, columns))
        grid = side * (np.stack((i, j), axis=-1) - np.array((columns - 1, rows - 1)) / 2)
        grid += rng.uniform(-LARGEST_SHIFT_MM, LARGEST_SHIFT_MM, 2) + self._bends()
        turn = rotation(np.radians((0.0, 0.0, rng.uniform(-1, 1) * settings.rotation_degrees)))[:2, :2]
        warp = turn @ np.diag(1 + rng.uniform(-1, 1, 2) * settings.stretch)
        places = (grid @ np.linalg.inv(warp).T / mm + (low + high) / 2) * 2 / (np.array(labels.shape[::-1]) - 1) - 1
        return torch.from_numpy(np.dstack((places, np.zeros((rows, columns)))).astype(np.float32))[None]

    def _bends(self) -> np.ndarray:
        """A smooth random field in mm, (j, i, 2)."""
        strength = self._rng.uniform(0, self._settings.elastic_mm)
        coarse = torch.from_numpy(self._rng.normal(0, strength, (1, 2, 5, 6)))
        fine = functional.interpolate(coarse, size=SLICE_SHAPE[1:], mode="bicubic", align_corners=True)
        return fine[0].permute(1, 2, 0).numpy()
