"""Whether a patient's organs lie on their sides, told by the liver's neighbours."""

from __future__ import annotations

from enum import Enum

import torch

from ..data.volume import CTVolume
from ..model.liver_model import ModelCard
from .body_crop import WHOLE
from .predictor import Predictor
from .preprocess import aligned
from .slice_cache import SliceCache, size_of
from .slice_search import even_batches

# What lies on the left of the patient's middle.
LEFT_ORGANS = ("spleen", "stomach")
# Slices looked at are that far apart.
LOOK_MM = 10.0
# Of these organs, what has to lie on the left of a scan or of its mirror image, and how much more than in the other.
LEAST_ML = 30.0


class Sides(Enum):
    """On which sides of a scan the organs lie."""

    KEPT = "kept"
    EXCHANGED = "exchanged"
    UNTOLD = "untold"


def knows_sides(card: ModelCard) -> bool:
    """Whether a network can tell."""
    return all(organ in card.classes for organ in LEFT_ORGANS)


def sides_of(predictor: Predictor, ct: CTVolume, batch_size: int) -> Sides:
    """What a network that knows them says of a scan and of its mirror image."""
    image, mirrored = (left_ml(predictor, one, batch_size) for one in (ct, ct.mirrored()))
    if max(image, mirrored) < LEAST_ML or abs(image - mirrored) < LEAST_ML:
        return Sides.UNTOLD
    return Sides.KEPT if image > mirrored else Sides.EXCHANGED


@torch.inference_mode()
def left_ml(predictor: Predictor, ct: CTVolume, batch_size: int) -> float:
    """How much of :data:`LEFT_ORGANS` lies left of the middle of the body, less what lies right of it, in ml."""
    card, stack = predictor.card, ct.canonical_view()
    step = stack.slices_within(LOOK_MM)
    whole = aligned(WHOLE, size_of(stack, card.spacing_mm))
    cache = SliceCache(stack, card.spacing_mm, whole, card.window_hu, card.offsets_mm, predictor.device)
    organs = torch.tensor([card.classes.index(organ) for organ in LEFT_ORGANS], device=predictor.device)
    columns = whole[1].stop
    organ = torch.zeros(columns, dtype=torch.float64)
    body = torch.zeros(columns, dtype=torch.float64)
    for batch in even_batches(range(0, len(stack.hu), step), batch_size):
        images = cache.stacks(batch)
        organ += torch.isin(predictor.classes(images), organs).sum(dim=(0, 1)).cpu()
        # All that is warmer than the window's lower end.
        body += (images[:, 0] > -1).sum(dim=(0, 1)).cpu()
    # Columns run to the patient's left.
    column = torch.arange(columns, dtype=torch.float64)
    middle = (body * column).sum() / body.sum().clamp(min=1)
    pixels = float((organ * (column - middle).sign()).sum())
    return pixels * card.spacing_mm**2 * stack.spacing[0] * step / 1000
