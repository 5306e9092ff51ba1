"""The four augmentations of the earlier project E: left-right flip, top-bottom flip, rotation, blur."""

from __future__ import annotations

from ..data.augmentation import Augmentation
from ..data.augmentation.blur import Blur
from ..data.augmentation.warp import Warp


def project_e_augmentations(size: int) -> list[Augmentation]:
    """How often and how much it does not say: each flip in half of the samples, up to 20 degrees, blur in half.

    The blur is a triangle of 1.15 pixels' deviation in place of a Gaussian.
    """
    still = {"prone_probability": 0.0, "scale": (1.0, 1.0), "stretch": 0.0, "shift_pixels": 0.0}
    flips = Warp(size, mirror_probability=0.5, elastic_probability=0.0, **still)
    return [flips, Blur(probability=0.5, strength=(1.0, 1.0))]
