"""Random slices of livers with their neighbours, in some of which the vessels are made fainter, brighter or dark."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.preprocess import neighbour_stacks

from ..data.augmentation import Augmentation, augment
from ..data.augmentation.blur import Blur
from ..data.augmentation.intensity import Intensity
from ..data.augmentation.noise import Noise
from ..data.augmentation.warp import Warp
from ..data.catalogue import person_of
from ..data.classes import BACKGROUND, Classes
from ..data.sample import AIR_HU, Batch, random_offsets
from .prepare import LIVER, VESSEL, PreparedLiver
from .settings import OFFSETS_MM, Settings

CLASSES = Classes((BACKGROUND, "liver", "vessel"), {}, ())
# By what the difference between vessels and liver is multiplied: fainter or brighter, or dark as without contrast
# medium. Between the two nothing can be seen, and there is nothing to learn.
FACTORS, DARK_FACTORS, DARK_SHARE = (0.3, 1.6), (-0.7, -0.25), 0.3


def augmentations_of(settings: Settings) -> list[Augmentation]:
    """What a run draws. A vessel looks like its mirror image, unlike the body."""
    return [Warp(settings.size, mirror_probability=0.5, elastic_pixels=4.0), Intensity(), Blur(), Noise()]


class VesselSampler:
    """Draws batches of labels 0 outside the liver, 1 liver, 2 vessel, with HU counted from the liver's median.

    Each person is drawn as often as any other, each slice of the liver as often as any other of the scan.

    Parameters
    ----------
    scans
        Prepared scans by name.
    settings
        How they are changed.
    seed
        Of what is drawn here; the augmentations follow PyTorch's.
    """

    def __init__(self, scans: dict[str, PreparedLiver], settings: Settings, seed: int) -> None:
        self._settings, self._augmentations = settings, augmentations_of(settings)
        self._rng = np.random.default_rng(seed)
        persons: dict[str, list[PreparedLiver]] = {}
        for name, scan in scans.items():
            persons.setdefault(person_of(name), []).append(scan)
        self._persons = list(persons.values())

    def draw(self) -> Batch:
        """The next batch."""
        hu, labels = zip(*(self._sample() for _ in range(self._settings.batch)), strict=True)
        return augment(Batch(torch.stack(hu), torch.stack(labels), torch.empty(0), CLASSES), self._augmentations)

    def _sample(self) -> tuple[Tensor, Tensor]:
        rng, settings = self._rng, self._settings
        scans = self._persons[rng.integers(len(self._persons))]
        scan = scans[rng.integers(len(scans))]
        position = int(rng.choice(scan.liver_slices))
        offsets = random_offsets(OFFSETS_MM, settings.missing_neighbours, rng)
        if rng.random() < 0.5:
            offsets = -offsets
        reach = int(np.ceil(np.abs(offsets).max() / scan.slice_spacing)) + 1
        low, high = max(0, position - reach), min(len(scan.hu), position + reach + 1)
        part = (slice(low, high), *self._square(scan.labels[position]))
        hu, labels = (torch.from_numpy(values[part]) for values in (scan.hu, scan.labels))
        hu = hu.float() - scan.liver_hu
        if rng.random() < settings.contrast_probability:
            hu = self._other_contrast(hu, labels)
        middle = torch.tensor([position - low])
        stack = neighbour_stacks(hu, middle, scan.slice_spacing, offsets.tolist())[0]
        return self._filled(stack, AIR_HU), self._filled(labels[position - low], 0)

    def _square(self, liver: np.ndarray) -> tuple[slice, slice]:
        """Rows and columns round a random pixel of the liver, as far as there are any."""
        half = self._settings.sampled_size // 2
        places = np.argwhere(liver)
        place = places[self._rng.integers(len(places))]
        # Often near the middle, so that a liver that is hardly larger than the square is seen whole.
        centre = (place + self._rng.uniform() * (places.mean(axis=0) - place)).astype(int)
        first, second = (
            slice(max(0, min(middle - half, length - 2 * half)), min(length, max(middle - half, 0) + 2 * half))
            for middle, length in zip(centre.tolist(), liver.shape, strict=True)
        )
        return first, second

    def _filled(self, image: Tensor, fill: float) -> Tensor:
        rows, columns = image.shape[-2:]
        side = self._settings.sampled_size
        below, right = (side - rows) // 2, (side - columns) // 2
        return functional.pad(image, (right, side - columns - right, below, side - rows - below), value=fill)

    def _other_contrast(self, hu: Tensor, labels: Tensor) -> Tensor:
        """Vessels that differ from the liver by a multiple of what they do; their outlines stay soft."""
        vessel = labels == VESSEL
        if not vessel.any():
            return hu
        dark = self._rng.random() < DARK_SHARE
        factor = self._rng.uniform(*(DARK_FACTORS if dark else FACTORS))
        difference = hu[vessel].mean() - hu[labels == LIVER].median()
        soft = functional.avg_pool2d(vessel[:, None].float(), 3, stride=1, padding=1)[:, 0]
        return hu + soft * (factor - 1) * difference
