"""A synthetic CT of a patient as a scanner would show it, with the exact labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .. import messages
from ..data.volume import CTVolume
from ..errors import InputError
from .anatomy import draw_anatomy
from .paint import FAT, paint
from .shapes import Anatomy


@dataclass(frozen=True)
class Phantom:
    """A synthetic CT and its labels: uint8 (k, j, i), 0 background, 1 liver, 2 lesion."""

    ct: CTVolume
    labels: np.ndarray


def make_phantom(
    seed: int = 0,
    shape: tuple[int, int, int] = (60, 192, 192),
    spacing: tuple[float, float, float] = (4.0, 1.9, 1.9),
) -> Phantom:
    """Draw a synthetic abdomen.

    Parameters
    ----------
    seed
        0 is a typical anatomy in the portal venous phase; any other seed draws its own anatomy, HU and noise.
    shape, spacing
        Voxels and mm per voxel along (k, j, i) = (superior, posterior, left). The grid is centred on the abdomen; the
        anatomy of a seed is the same at every shape and spacing, only the noise differs.

    Returns
    -------
    Phantom
        The CT, int16 HU with a diagonal affine, and labels of what is painted at each voxel's centre: blur and
        noise alone make the voxels at the liver's edge mixed.

    Raises
    ------
    InputError
        If a number of voxels or a spacing is not positive.
    """
    if min(shape) < 1 or not all(0 < step < np.inf for step in spacing):
        raise InputError(messages.BAD_PHANTOM_SIZE.format(shape=shape, spacing=spacing))
    anatomy = draw_anatomy(seed)
    z, y, x = (((np.arange(n) - (n - 1) / 2) * step).astype(np.float32) for n, step in zip(shape, spacing, strict=True))
    hu, labels = _painted(anatomy, x, y, z)
    crumbs = _crumbs(labels)
    hu[crumbs], labels[crumbs] = FAT, 0
    _scan(hu, spacing, anatomy, np.random.default_rng([seed, 1]))
    affine = np.diag([-spacing[2], -spacing[1], spacing[0], 1.0])
    affine[:3, 3] = -x[0], -y[0], z[0]
    return Phantom(CTVolume.from_array(hu, affine, f"synthetic CT {seed}"), labels)


def _painted(anatomy: Anatomy, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """HU and labels at these mm, a few slices at a time, which bounds the memory."""
    shape = len(z), len(y), len(x)
    hu, labels = np.empty(shape, np.float32), np.zeros(shape, np.uint8)
    slab = max(1, 400_000 // (len(y) * len(x)))
    for first in range(0, len(z), slab):
        part = slice(first, first + slab)
        hu[part], labels[part] = paint(anatomy, x, y, z[part])
    return hu, labels


def _crumbs(labels: np.ndarray) -> np.ndarray:
    """Mask of what the neighbouring organs have cut off the liver, mostly single voxels."""
    pieces, count = ndimage.label(labels)
    if count < 2:
        return np.zeros(labels.shape, bool)
    sizes = np.bincount(pieces.ravel())
    return (pieces > 0) & (pieces != 1 + np.argmax(sizes[1:]))


def _scan(hu: np.ndarray, spacing: tuple[float, float, float], anatomy: Anatomy, rng: np.random.Generator) -> None:
    """Blur and add spatially correlated noise, in place, as a scanner's kernel does."""
    pixels = [0.4 / spacing[0], anatomy.blur_mm / spacing[1], anatomy.blur_mm / spacing[2]]
    ndimage.gaussian_filter(hu, pixels, output=hu, truncate=3)
    noise = rng.standard_normal(hu.shape, dtype=np.float32)
    ndimage.gaussian_filter(noise, pixels, output=noise, truncate=3)
    noise *= anatomy.noise_hu / max(float(noise.std()), 1e-6)
    hu += noise
    np.clip(hu, -1024, 3071, out=hu)
