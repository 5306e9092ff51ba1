"""What a program filled in around a scan with one value: 0 HU, the default of many, is water to the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .. import messages
from ..data.volume import CTVolume

# Of the volume; 0.001 is the most that tissue of one value, in a corner, had in a scan, 0.01 in a picture with JPEG.
_LEAST_SHARE = 0.02


def without_filling(ct: CTVolume, air_hu: float) -> tuple[CTVolume, list[str]]:
    """Put air where a single value fills a large region that reaches the corners of axial slices.

    Resampling and masking leave such regions outside of the scan. Scanners fill what they cannot see with values below
    air, and pictures are black there: the lowest value of a volume is never a filling.

    Parameters
    ----------
    ct
        The volume; its voxels are not changed.
    air_hu
        What lies at or below is air to the network anyway.

    Returns
    -------
    The volume, with its lowest value in the place of the filling, and a sentence about it; the same volume and none
    where there is nothing to be done.
    """
    lowest = int(ct.hu.min())
    value = _value_in_corners(ct.canonical_view().hu, max(air_hu, lowest))
    if value is None:
        return ct, []
    hu = ct.hu.copy()
    filled = sum(_fill_corners(axial, value, lowest) for axial in ct.to_canonical(hu))
    if filled < _LEAST_SHARE * hu.size:
        return ct, []
    warning = messages.FILLED.format(name=ct.name, hu=value, share=filled / hu.size)
    return replace(ct, hu=hu), [warning]


def _corners(array: np.ndarray) -> np.ndarray:
    return array[..., [0, 0, -1, -1], [0, -1, 0, -1]]


def _value_in_corners(stack: np.ndarray, above: float) -> int | None:
    """The most frequent of the values in the corners of slices that lie above a limit."""
    values, counts = np.unique(_corners(stack), return_counts=True)
    counts = np.where(values > above, counts, 0)
    return int(values[counts.argmax()]) if counts.any() else None


def _fill_corners(axial: np.ndarray, value: int, air: int) -> int:
    """Replace a value where it hangs together with a corner of a slice; returns how many pixels those are."""
    rooms, _ = ndimage.label(axial == value)
    at_corners = np.unique(_corners(rooms))
    outside = np.isin(rooms, at_corners[at_corners > 0])
    axial[outside] = air
    return int(np.count_nonzero(outside))
