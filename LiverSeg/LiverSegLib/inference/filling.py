"""What a program filled in around a scan with one value: 0 HU, the default of many, is water to the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from .. import messages
from ..data.volume import CTVolume

# Of the volume, around the corners of its slices; tissue of one value has a thousandth there, a hundredth in pictures.
_LEAST_SHARE = 0.02
# Noise lets no tissue have one value in all of such a square.
_SQUARE = np.ones((3, 3), dtype=bool)


def without_filling(ct: CTVolume, air_hu: float) -> tuple[CTVolume, list[str]]:
    """Put air where a single value fills areas, if it also fills those around the corners of axial slices.

    Resampling and masking leave such areas outside of the scan or the body, and in lungs. Scanners fill what they
    cannot see with values below air, and pictures are black there: the lowest value of a volume is never a filling.

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
    if value is None or np.count_nonzero(ct.hu == value) < _LEAST_SHARE * ct.hu.size:
        return ct, []
    hu = ct.hu.copy()
    around = 0
    for axial in ct.geometry.to_canonical(hu):
        filled = ndimage.binary_opening(axial == value, _SQUARE)
        around += _count_around_corners(filled)
        axial[filled] = lowest
    if around < _LEAST_SHARE * hu.size:
        return ct, []
    share = np.count_nonzero(hu != ct.hu) / hu.size
    return replace(ct, hu=hu), [messages.FILLED.format(name=ct.name, hu=value, share=share)]


def _corners(slices: np.ndarray) -> np.ndarray:
    return slices[..., [0, 0, -1, -1], [0, -1, 0, -1]]


def _value_in_corners(stack: np.ndarray, above: float) -> int | None:
    """The most frequent of the values in the corners of slices that lie above a limit."""
    values, counts = np.unique(_corners(stack), return_counts=True)
    counts = np.where(values > above, counts, 0)
    return int(values[counts.argmax()]) if counts.any() else None


def _count_around_corners(filled: np.ndarray) -> int:
    """How many pixels of one slice hang together with its corners."""
    areas, _ = ndimage.label(filled)
    at_corners = np.unique(_corners(areas))
    return int(np.bincount(areas.ravel())[at_corners[at_corners > 0]].sum())
