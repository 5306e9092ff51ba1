"""Random livers with their segments, each turned, bent, cut and found badly in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.inference.liver_grid import CoarseScan, grid_round

from ..data.catalogue import person_of
from .settings import FINEST_MM, SHAPE, Settings

AIR_HU = -1000.0
# What may lie where a part of a liver was taken out.
FAT_HU = -100.0
# How much of a liver's height may lie outside a scan.
LARGEST_CUT = 0.3
# What surgeons take out.
RESECTIONS = ((5, 6, 7, 8), (2, 3), (2, 3, 4), (6, 7), (5, 8), (4, 5, 6, 7, 8), (6,), (7,))
# Share of samples seen only to a few voxels from the liver; of those whose contrast is changed.
NARROW_PROBABILITY, CONTRAST_PROBABILITY = 0.3, 0.4


@dataclass(frozen=True)
class Batch:
    """HU, the liver as found, 0 to 1, and the segments; each (n, k, j, i) on grids of :data:`SHAPE`."""

    hu: Tensor
    liver: Tensor
    segments: Tensor


class LiverSampler:
    """Draws batches; each person as often as any other, whoever has more scans.

    Parameters
    ----------
    scans
        Prepared scans by name.
    settings
        How they are changed.
    seed
        Of all that is random.
    """

    def __init__(self, scans: dict[str, CoarseScan], settings: Settings, seed: int) -> None:
        self._settings = settings
        self._rng = np.random.default_rng(seed)
        self._persons = of_each_person(scans)

    def draw(self) -> Batch:
        """The next batch."""
        samples = [self._sample() for _ in range(self._settings.batch)]
        return Batch(*(torch.stack(parts) for parts in zip(*samples, strict=True)))

    def _sample(self) -> tuple[Tensor, Tensor, Tensor]:
        rng, settings = self._rng, self._settings
        scan = one_of(rng, self._persons)
        hu, labels = scan.hu.copy(), scan.labels.copy()
        if rng.random() < settings.cut_probability:
            self._cut(hu, labels)
        if rng.random() < settings.resection_probability:
            resect(rng, hu, labels)
        if rng.random() < NARROW_PROBABILITY:
            self._narrow(hu, labels)
        places = self._places(CoarseScan(hu, labels, scan.geometry))
        seen = at(places, hu - AIR_HU, "bilinear") + AIR_HU
        segments = at(places, labels.astype(np.float32), "nearest").round().long()
        liver = at(places, (labels > 0).astype(np.float32), "bilinear")
        if rng.random() < settings.rough_probability:
            liver = rough(rng, liver)
        return other_contrast(rng, seen), liver, segments

    def _cut(self, hu: np.ndarray, labels: np.ndarray) -> None:
        """Let the scan end within the liver."""
        slices = box_of(labels)[0]
        depth = int(self._rng.uniform(0.03, LARGEST_CUT) * (slices.stop - slices.start))
        outside = slice(0, slices.start + depth) if self._rng.random() < 0.5 else slice(slices.stop - depth, None)
        hu[outside], labels[outside] = AIR_HU, 0

    def _narrow(self, hu: np.ndarray, labels: np.ndarray) -> None:
        """Leave little of the scan round the liver, as in scans of the liver alone."""
        kept = np.zeros(hu.shape, bool)
        around = zip(box_of(labels), self._rng.integers(0, 10, size=(3, 2)), strict=True)
        kept[tuple(slice(max(0, side.start - below), side.stop + above) for side, (below, above) in around)] = True
        hu[~kept] = AIR_HU

    def _places(self, scan: CoarseScan) -> Tensor:
        """Where in the scan the voxels of a grid round the warped liver lie, as ``grid_sample`` wants it."""
        settings, rng = self._settings, self._rng
        points = scan.liver_mm()[::7]
        centre = points.mean(axis=0)
        warp = rotation(np.radians(rng.uniform(-1, 1, 3) * settings.rotation_degrees))
        warp = warp @ np.diag(1 + rng.uniform(-1, 1, 3) * settings.stretch)
        grid = grid_round((points - centre) @ warp.T, SHAPE, FINEST_MM)
        grid.affine[:3, 3] += rng.uniform(-1, 1, 3) * settings.shift_mm
        grid.affine[:3, :3] *= rng.uniform(0.95, 1.1)
        back, into = np.eye(4), np.eye(4)
        back[:3, :3], into[:3, 3] = np.linalg.inv(warp), centre
        matrix = torch.from_numpy(np.linalg.solve(scan.geometry.affine, into @ back @ grid.affine)).float()
        k, j, i = torch.meshgrid(*(torch.arange(size, dtype=torch.float32) for size in SHAPE), indexing="ij")
        places = torch.stack((i, j, k), dim=-1) @ matrix[:3, :3].T + matrix[:3, 3]
        places += self._bends() / torch.tensor(scan.geometry.spacing[::-1], dtype=torch.float32)
        last = torch.tensor(scan.hu.shape[::-1], dtype=torch.float32) - 1
        return 2 * places / last - 1

    def _bends(self) -> Tensor:
        """A smooth random field in mm, (k, j, i, 3)."""
        strength = self._rng.uniform(0, self._settings.elastic_mm)
        coarse = torch.from_numpy(self._rng.normal(0, strength, (1, 3, 5, 5, 6)).astype(np.float32))
        return functional.interpolate(coarse, size=SHAPE, mode="trilinear", align_corners=True)[0].permute(1, 2, 3, 0)


def of_each_person(scans: Mapping[str, CoarseScan]) -> list[list[CoarseScan]]:
    """The scans of one person after the other."""
    persons: dict[str, list[CoarseScan]] = {}
    for name, scan in scans.items():
        persons.setdefault(person_of(name), []).append(scan)
    return list(persons.values())


def one_of(rng: np.random.Generator, persons: Sequence[Sequence[CoarseScan]]) -> CoarseScan:
    """A scan of any person, whoever has more of them."""
    scans = persons[rng.integers(len(persons))]
    return scans[rng.integers(len(scans))]


def resect(rng: np.random.Generator, hu: np.ndarray, labels: np.ndarray) -> None:
    """Take segments out; what lies there then is fat, or liver that was not found."""
    gone = np.isin(labels, RESECTIONS[rng.integers(len(RESECTIONS))])
    if gone.sum() < 0.8 * np.count_nonzero(labels):
        labels[gone] = 0
        if rng.random() < 0.6:
            hu[gone] = FAT_HU + rng.normal(0, 20)


def rough(rng: np.random.Generator, liver: Tensor) -> Tensor:
    """The liver (k, j, i), k may be 1, as it is found with an outline too wide, too narrow, or rough."""
    noise = torch.from_numpy(rng.normal(0, 1, (1, 1, 12, 12, 14)).astype(np.float32))
    noise = functional.interpolate(noise, size=liver.shape, mode="trilinear")[0, 0]
    side = [min(3, size) for size in liver.shape]
    smooth = functional.avg_pool3d(liver[None, None], side, stride=1, padding=[size // 2 for size in side])[0, 0]
    found = smooth + 0.25 * noise > rng.uniform(0.3, 0.7)
    return (found & (smooth > 0.05)).float()


def other_contrast(rng: np.random.Generator, hu: Tensor) -> Tensor:
    """Brighter or darker, with more noise, and vessels that are clearer, fainter or not to be seen."""
    if rng.random() < CONTRAST_PROBABILITY:
        soft = (hu > -50) & (hu < 250)
        middle = hu[soft].mean() if soft.any() else 0.0
        hu = torch.where(soft, middle + (hu - middle) * rng.uniform(0.2, 1.5), hu)
    noise = torch.from_numpy(rng.normal(0, rng.uniform(0, 15), hu.shape).astype(np.float32))
    return hu + noise + rng.normal(0, 15)


def at(places: Tensor, values: np.ndarray, mode: str) -> Tensor:
    """Values (k, j, i) at some places of their grid; 0 outside."""
    source = torch.from_numpy(values)[None, None]
    return functional.grid_sample(source, places[None], mode=mode, align_corners=True)[0, 0]


def rotation(angles: np.ndarray) -> np.ndarray:
    """Matrix (3, 3) that turns by some radians about each axis in turn."""
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        turn = np.eye(3)
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn[[first, first, second, second], [first, second, first, second]] = (
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        )
        rotation = turn @ rotation
    return rotation
