"""Livers darker or brighter than the data set's, as fat, iron and drugs make them: rare in it, common in clinics."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

# Vessels stand out from the parenchyma by this much, and stay as they are by twice as much.
VESSEL_HU = 20.0
# From what severe fat takes away to what iron, amiodarone or a tube voltage of 80 kV adds.
SHIFT_HU = (-80.0, 70.0)


def change_density(hu: Tensor, parenchyma: Tensor, shift_hu: float) -> Tensor:
    """Shift the parenchyma's HU and leave the vessels, which are brighter, as they are.

    Parameters
    ----------
    hu
        Slices in HU, float (n, rows, columns).
    parenchyma
        How much of each pixel is liver without tumour, 0 to 1, the same shape.
    shift_hu
        What is added.

    Returns
    -------
    New HU; the edge of the change is as soft as one of 3 pixels.
    """
    inside = parenchyma > 0.5
    if not inside.any():
        return hu
    # Of smoothed values, or noise would be cut off on one side.
    above = smooth(hu) - hu[inside].median()
    vessel = ((above - VESSEL_HU) / VESSEL_HU).clamp(0, 1)
    return hu + shift_hu * smooth(parenchyma) * (1 - vessel)


def smooth(slices: Tensor) -> Tensor:
    """The mean of 3×3 pixels in each slice (n, rows, columns)."""
    padded = functional.pad(slices[:, None], (1, 1, 1, 1), mode="replicate")
    return functional.avg_pool2d(padded, 3, stride=1)[:, 0]
