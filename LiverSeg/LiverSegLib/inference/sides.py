"""What the great vessels beside a liver tell: whether a scan is a mirror image, and whether there is a liver at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from ..data.volume import CTVolume
from ..model.liver_model import ModelCard
from .body_crop import WHOLE
from .predictor import Predictor
from .preprocess import aligned
from .slice_cache import SliceCache, size_of
from .slice_search import even_batches

# Whether a vessel lies left or right of the patient's middle. What the network calls spleen or stomach tells nothing:
# in a mirror image it takes the liver for a spleen. Of six patients that training never saw, the vessels' volumes on
# their sides were 112 to 203 ml, and 31 to 70 ml in the mirror image; of a seventh 101 and 87 ml, which tells nothing.
LEFT, RIGHT = "aorta", "vena cava"
# Slices looked at are that far apart.
LOOK_MM = 10.0
# What has to lie on its side in a scan or in its mirror image, and how many times as much as in the other.
LEAST_ML, RATIO = 30.0, 1.3
# Beside a liver, slices that far apart are looked at for vessels of that area in half of them. Of twelve scans and
# phantoms the vessels measured 112 to 245 ml; of a head, legs and a bottle of water that were taken for livers, none.
BESIDE_MM, LEAST_MM2 = 50.0, 100.0


class Sides(Enum):
    """On which sides of a scan the vessels lie."""

    KEPT = "kept"
    EXCHANGED = "exchanged"
    UNTOLD = "untold"


def knows_sides(card: ModelCard) -> bool:
    """Whether a network can tell."""
    return LEFT in card.classes and RIGHT in card.classes


def sides_of(predictor: Predictor, ct: CTVolume, batch_size: int) -> Sides:
    """What a network that knows them says of a scan and of its mirror image."""
    image, mirrored = (ml_on_their_sides(predictor, one, batch_size) for one in (ct, ct.mirrored()))
    if image >= max(LEAST_ML, RATIO * mirrored):
        return Sides.KEPT
    if mirrored >= max(LEAST_ML, RATIO * image):
        return Sides.EXCHANGED
    return Sides.UNTOLD


@torch.inference_mode()
def are_beside(predictor: Predictor, ct: CTVolume, liver: np.ndarray, batch_size: int) -> bool:
    """Whether aorta or vena cava are seen beside a liver: uint8 labels (k, j, i) of the axial stack, not 0 in it."""
    card, stack = predictor.card, ct.canonical_view()
    with_liver = np.flatnonzero(liver.any(axis=(1, 2)))[:: stack.slices_within(BESIDE_MM)]
    vessels = torch.tensor([card.classes.index(LEFT), card.classes.index(RIGHT)], device=predictor.device)
    seen = 0
    for _, classes in _looks(predictor, stack, with_liver.tolist(), batch_size):
        pixels = torch.isin(classes, vessels).sum(dim=(1, 2))
        seen += int((pixels * card.spacing_mm**2 >= LEAST_MM2).sum())
    return 2 * seen >= len(with_liver)


@torch.inference_mode()
def ml_on_their_sides(predictor: Predictor, ct: CTVolume, batch_size: int) -> float:
    """Volume of aorta and vena cava on their own sides of the body's middle, less that on the others, in ml."""
    card, stack = predictor.card, ct.canonical_view()
    step = stack.slices_within(LOOK_MM)
    left, right = card.classes.index(LEFT), card.classes.index(RIGHT)
    columns = aligned(WHOLE, size_of(stack, card.spacing_mm))[1].stop
    vessels, body = torch.zeros(2, columns, dtype=torch.float64)
    for images, classes in _looks(predictor, stack, range(0, len(stack.hu), step), batch_size):
        vessels += ((classes == left).sum(dim=(0, 1)) - (classes == right).sum(dim=(0, 1))).cpu()
        # All that is warmer than the window's lower end.
        body += (images[:, 0] > -1).sum(dim=(0, 1)).cpu()
    # Columns run to the patient's left.
    column = torch.arange(len(vessels), dtype=torch.float64)
    middle = (body * column).sum() / body.sum().clamp(min=1)
    pixels = float((vessels * (column - middle).sign()).sum())
    return pixels * card.spacing_mm**2 * stack.spacing[0] * step / 1000


def _looks(
    predictor: Predictor, stack: CTVolume, positions: Sequence[int], batch_size: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of some whole slices of an axial stack, batch by batch, what the network sees and the likeliest classes."""
    card = predictor.card
    whole = aligned(WHOLE, size_of(stack, card.spacing_mm))
    cache = SliceCache(stack, card.spacing_mm, whole, card.window_hu, card.offsets_mm, predictor.device)
    for batch in even_batches(positions, batch_size):
        images = cache.stacks(batch)
        yield images, predictor.classes(images)
