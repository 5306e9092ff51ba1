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
from LiverSegLib.inference.stroke_pieces import connected_change

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
from .mistakes import MistakeMaker, between_slices, other_outline, strange_looks
from .settings import OFFSETS_MM, SPACING_MM, WINDOW_HU, Settings

# Clicks are made in the inner part of a block, so that what they change lies in it.
INNER = 0.3
# A smaller organ is none to add, a smaller tumour none to leave out.
SMALLEST_ML = 2.0
LIVER, TUMOUR = 1, 2
# Share of the blocks whose outline the reader draws farther out or in than the scan's own labels.
OTHER_OUTLINE = 0.5
# Share of the blocks with less contrast than any scan: what the CT does not show, result and clicks have to tell.
FAINT = 0.25
# Pixels, so that what is hardly wrong counts little.
SMOOTH = 50.0
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
        place, is_liver = self.clicks[-1]
        return Marks(liver, other, (torch.tensor(place) * spacing)[None], is_liver)

    def input(self, positions: Tensor) -> Tensor:
        """What the network sees of some slices."""
        result = self.result.float()
        return network_input(self.ct, result, self.marks, positions, self.slice_mm, SPACING_MM, OFFSETS_MM)

    def weight(self, positions: Tensor) -> Tensor:
        """What each pixel of these slices counts: hardly anything where the click changes nothing anyhow.

        A click on liver only adds, any other only takes away; and nobody asks for other mistakes than the one that is
        clicked, which may be far off.
        """
        distance = distance_mm(self.marks.last, positions, self.ct.shape, self.spacing)
        place, is_liver = self.clicks[-1]
        covered = self._covered(place).numpy()
        mended = torch.from_numpy(connected_change(self.result.numpy(), self.target.numpy(), covered, is_liver))
        counts = (self.result != is_liver) & ((self.target != is_liver) | (mended == is_liver))
        return ((REACH_MM + 10 - distance) / 20).clamp(0, 1) * counts[positions] + 0.001

    def take(self, logits: Tensor, positions: Tensor) -> None:
        """Go on with what the network found on some slices, and what lies between them."""
        found = between_slices(logits.float(), positions, len(self.ct)) > 0
        everywhere = torch.arange(len(self.ct))
        near = distance_mm(self.marks.last, everywhere, self.ct.shape, self.spacing) < REACH_MM - 10
        found = torch.where(near, found, self.result)
        place, is_liver = self.clicks[-1]
        after = connected_change(self.result.numpy(), found.numpy(), self._covered(place).numpy(), is_liver)
        self.result = torch.from_numpy(after)
        self._mark()

    def _mark(self) -> None:
        """What was clicked stays as clicked."""
        for place, is_liver in self.clicks:
            self.result[self._covered(place)] = is_liver

    def _covered(self, place: tuple[int, int, int]) -> Tensor:
        grid = Geometry(tuple(self.ct.shape), np.diag((*self.spacing[::-1], 1.0)))
        box, covered = Stroke((np.array(place[::-1]) * self.spacing[::-1])[None], True).mask(grid)
        mask = torch.zeros(self.ct.shape, dtype=torch.bool)
        mask[box] = torch.from_numpy(covered)
        return mask


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
        if rng.random() < OTHER_OUTLINE:
            target = other_outline(target, block, rng)
        result = liver if is_stray and rng.random() < 0.5 else self._maker.draw(block, liver, rng)
        shown = strange_looks(block.hu, target, result, rng)
        batch = Batch(shown[None], block.labels[:1], torch.empty(0), self._classes)
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


def loss_of(logits: Tensor, target: Tensor, weight: Tensor, adds: bool) -> Tensor:
    """Cross-entropy, heavier near the outline, + soft Dice (Milletari et al., 3DV 2016) of what a click should change.

    Each is (n, rows, columns); ``adds`` says whether that is to become liver, or to be taken away.
    """
    logits, wanted = logits.float(), target.float()
    spread = functional.avg_pool2d(wanted[:, None], 5, stride=1, padding=2)[:, 0]
    weight_here = weight * torch.where((spread > 0.01) & (spread < 0.99), 3.0, 1.0)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    change, wanted = (logits.sigmoid(), wanted) if adds else ((-logits).sigmoid(), 1 - wanted)
    common, total = (weight * change * wanted).sum(), (weight * (change + wanted)).sum()
    return (weight_here * entropy).sum() / weight_here.sum() + 1 - (2 * common + SMOOTH) / (total + SMOOTH)
