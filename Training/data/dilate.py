"""Dilation of batches of masks on their device, for augmentation and loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def dilate(mask: Tensor, pixels: int) -> Tensor:
    """Masks (n, 1, rows, columns) of 0 and 1, float, with all that is within a square of ``pixels`` to each side."""
    # The maximum over a square is that over columns of the one over rows, in far fewer steps.
    for kernel, padding in (((2 * pixels + 1, 1), (pixels, 0)), ((1, 2 * pixels + 1), (0, pixels))):
        mask = functional.max_pool2d(mask, kernel, stride=1, padding=padding)
    return mask
