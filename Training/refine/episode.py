"""One block and its reader: a result with mistakes, and a click after the other until it is nearly right."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.inference.preprocess import window
from LiverSegLib.inference.stroke_maps import REACH_MM, Marks, distance_mm, network_input

from ..data.augmentation import Augmentation, augment
from ..data.augmentation.blur import Blur
from ..data.augmentation.clip import Clip
from ..data.augmentation.enhancement import Enhancement
from ..data.augmentation.intensity import Intensity
from ..data.augmentation.noise import Noise
from ..data.augmentation.streaks import Streaks
from ..data.catalogue import person_of
from ..data.classes import Classes
from ..data.sample import Batch
from ..data.stored import PreparedScan
from .blocks import Block, cut_block
from .clicks import next_click
from .mistakes import MistakeMaker, between_slices
from .settings import OFFSETS_MM, SPACING_MM, WINDOW_HU, Settings

# Clicks are made in the inner part of a block, so that what they change lies in it.
INNER = 0.3
# A smaller organ is none to add, a smaller tumour none to leave out.
SMALLEST_ML = 2.0
LIVER, TUMOUR = 1, 2
# Share of the blocks with less contrast than any scan: what the CT does not show, result and clicks have to tell.
FAINT = 0.25
AUGMENTATIONS: Sequence[Augmentation] = (Enhancement(), Intensity(), Streaks(0.1), Blur(), Noise(), Clip())


@dataclass
class Episode:
    """A block as the network sees it, what is wanted there, what was found, and the clicks so far."""

    ct: Tensor
    target: Tensor
    result: Tensor
    slice_mm: float
    is_stray: bool
    clicks: list[tuple[tuple[int, int, int], bool]] = field(default_factory=list)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """In mm along (k, j, i)."""
        return self.slice_mm, SPACING_MM, SPACING_MM

    def click(self, rng: np.random.Generator) -> bool:
        """Let the reader click once more; False if there is nothing to click on."""
        inner = np.zeros(self.target.shape, bool)
        inner[tuple(slice(int(INNER * n), n - int(INNER * n)) for n in inner.shape)] = True
        wrong = (self.result != self.target).numpy()
        if self.is_stray and not self.clicks:
            right = np.argwhere(~wrong & inner)
            place = tuple(int(at) for at in right[rng.integers(len(right))]) if len(right) else None
        else:
            place = next_click(wrong & inner, self.spacing, rng)
        if place is not None:
            self.clicks.append((place, bool(self.target[place])))
            self._mark()
        return place is not None

    @property
    def marks(self) -> Marks:
        """The clicks, in mm."""
        spacing = torch.tensor(self.spacing)
        both = {
            wanted: [torch.tensor(place) * spacing for place, is_liver in self.clicks if is_liver == wanted]
            for wanted in (True, False)
        }
        liver, other = (torch.stack(points) if points else torch.empty(0, 3) for points in (both[True], both[False]))
        return Marks(liver, other, (torch.tensor(self.clicks[-1][0]) * spacing)[None])

    def input(self, positions: Tensor) -> Tensor:
        """What the network sees of some slices."""
        result = self.result.float()
        return network_input(self.ct, result, self.marks, positions, self.slice_mm, SPACING_MM, OFFSETS_MM)

    def weight(self, positions: Tensor) -> Tensor:
        """What each pixel of these slices counts: little where the click changes nothing anyhow."""
        distance = distance_mm(self.marks.last, positions, self.ct.shape, self.spacing)
        return ((REACH_MM + 10 - distance) / 20).clamp(0.05, 1)

    def take(self, logits: Tensor, positions: Tensor) -> None:
        """Go on with what the network found on some slices, and what lies between them."""
        found = between_slices(logits.float(), positions, len(self.ct)) > 0
        everywhere = torch.arange(len(self.ct))
        near = distance_mm(self.marks.last, everywhere, self.ct.shape, self.spacing) < REACH_MM - 10
        self.result = torch.where(near, found, self.result)
        self._mark()

    def _mark(self) -> None:
        """What was clicked stays as clicked."""
        grid = Geometry(tuple(self.ct.shape), np.diag((*self.spacing[::-1], 1.0)))
        for place, is_liver in self.clicks:
            point = np.array(place[::-1]) * self.spacing[::-1]
            box, covered = Stroke(point[None], is_liver).mask(grid)
            self.result[box][torch.from_numpy(covered)] = is_liver


class EpisodeMaker:
    """Draws episodes; each person as often as any other, whoever has more scans.

    Parameters
    ----------
    scans
        Prepared scans.
    classes
        What their labels mean.
    maker
        Of mistakes.
    settings
        How often what is wanted.
    """

    def __init__(
        self, scans: Sequence[PreparedScan], classes: Classes, maker: MistakeMaker, settings: Settings
    ) -> None:
        self._classes, self._maker, self._settings = classes, maker, settings
        persons: dict[str, list[PreparedScan]] = {}
        for scan in scans:
            persons.setdefault(person_of(scan.name), []).append(scan)
        self._persons = list(persons.values())

    def draw(self, rng: np.random.Generator) -> Episode:
        """An episode whose first click is made."""
        while True:
            scans = self._persons[rng.integers(len(self._persons))]
            block = cut_block(scans[rng.integers(len(scans))], (LIVER, TUMOUR), rng)
            episode = self._of(block, rng)
            if episode.click(rng):
                return episode

    def _of(self, block: Block, rng: np.random.Generator) -> Episode:
        liver = (block.labels == LIVER) | (block.labels == TUMOUR)
        is_stray = bool(rng.random() < self._settings.stray)
        target = liver
        if rng.random() < self._settings.other_target:
            target = self._other_target(block, liver, rng)
        result = liver if is_stray and rng.random() < 0.5 else self._maker.draw(block, liver, rng)
        batch = Batch(block.hu[None], block.labels[:1], torch.empty(0), self._classes)
        hu = augment(batch, AUGMENTATIONS).hu[0]
        if rng.random() < FAINT and liver.any():
            hu = hu[liver].mean() + (hu - hu[liver].mean()) * rng.uniform(0.3, 1)
        return Episode(window(hu, WINDOW_HU), target, result.clone(), block.slice_mm, is_stray)

    def _other_target(self, block: Block, liver: Tensor, rng: np.random.Generator) -> Tensor:
        """The liver and one of the organs beside it, or the liver without its tumours."""
        volumes = torch.bincount(block.labels.flatten().long()) * float(np.prod(block.spacing)) / 1000
        large = [value for value, ml in enumerate(volumes.tolist()) if value > LIVER and ml >= SMALLEST_ML]
        if not large:
            return liver
        value = int(rng.choice(large))
        return liver & (block.labels != value) if value == TUMOUR else liver | (block.labels == value)


def loss_of(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy, heavier near the outline, + soft Dice (Milletari et al., 3DV 2016); each (n, rows, columns)."""
    logits, wanted = logits.float(), target.float()
    side = 5
    spread = functional.avg_pool2d(wanted[:, None], side, stride=1, padding=side // 2)[:, 0]
    weight_here = weight * torch.where((spread > 0.01) & (spread < 0.99), 3.0, 1.0)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    probability = logits.sigmoid()
    common, total = (weight * probability * wanted).sum(), (weight * (probability + wanted)).sum()
    return (weight_here * entropy).sum() / weight_here.sum() + 1 - (2 * common + 1) / (total + 1)
