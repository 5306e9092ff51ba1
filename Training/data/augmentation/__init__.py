"""Augmentation of whole batches on their device: every random number and every image operation is batched.

Each class, in a file of its own, is one augmentation: called with a batch of HU and labels, it returns a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from LiverSegLib.data.modality import MR

from ..sample import Batch
from .blur import Blur
from .clip import Clip
from .coil_profile import CoilProfile
from .contrast_curve import ContrastCurve
from .enhancement import Enhancement
from .field_of_view import FieldOfView
from .ghosting import Ghosting
from .intensity import Intensity
from .lesions import Lesions
from .masses import Masses
from .noise import Noise
from .rician_noise import RicianNoise
from .streaks import Streaks
from .warp import Warp

if TYPE_CHECKING:
    from ...settings import Settings

Augmentation = Callable[[Batch], Batch]


def augmentations_of(settings: Settings) -> list[Augmentation]:
    """What a run draws, in a scanner's order: anatomy, contrast, optics, noise, window."""
    anatomy: list[Augmentation] = [
        Warp(settings.size, scale=(settings.smallest_scale, 1.25)),
        Lesions(settings.lesion_probability, settings.lesion_hu, settings.heavy_lesion_share),
        Masses(settings.mass_probability),
    ]
    if settings.modality == MR:
        return [*anatomy, ContrastCurve(), CoilProfile(), Ghosting(), Blur(), RicianNoise(), FieldOfView()]
    return [
        *anatomy,
        Enhancement(),
        Intensity(),
        Streaks(settings.streak_probability),
        Blur(),
        Noise(),
        FieldOfView(),
        Clip(),
    ]


def augment(batch: Batch, augmentations: Sequence[Augmentation]) -> Batch:
    """Apply the augmentations one after the other."""
    for augmentation in augmentations:
        batch = augmentation(batch)
    return batch
