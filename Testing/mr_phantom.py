"""A synthetic abdomen as MR shows it: each tissue at a level of its own, whatever the contrast."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.phantom import Phantom, make_phantom

# Signal by HU of the phantom: air, fat, fluid, organs, vessels, bone.
TISSUE_HU = (-250.0, -100.0, 5.0, 60.0, 110.0, 170.0, 260.0)
CONTRASTS = {
    "T1": (0.0, 0.9, 0.2, 0.4, 0.55, 0.5, 0.1),
    "T2, fat suppressed": (0.0, 0.1, 1.0, 0.25, 0.35, 0.8, 0.1),
    "hepatobiliary": (0.0, 0.15, 0.15, 0.35, 0.9, 0.4, 0.1),
}


def mr_phantom(contrast: str = "T1", seed: int = 0, scale: float = 1000.0, noise: float = 0.02) -> Phantom:
    """The phantom of that seed in slices of 6 mm; signal up to about ``scale``, rounded, with a coil's shading."""
    phantom = make_phantom(seed, shape=(40, 128, 128), spacing=(6.0, 2.85, 2.85))
    calm = ndimage.gaussian_filter(phantom.ct.hu.astype(np.float32).clip(-250, 260), (0, 0.7, 0.7))
    signal = np.interp(calm, TISSUE_HU, CONTRASTS[contrast]) * np.linspace(1.3, 0.7, 128)[:, None]
    both = np.random.default_rng(seed).normal(0, noise, (2, *signal.shape))
    values = np.rint(scale * np.hypot(signal + both[0], both[1])).astype(np.int16)
    return Phantom(CTVolume(values, phantom.ct.affine, "mr"), phantom.labels)


def mr_head(seed: int = 0) -> CTVolume:
    """A T1-weighted head in slices of 5 mm: bright scalp, dark skull, brain with folds, ventricles, and air."""
    z, y, x = _millimetres((32, 150, 130), (5.0, 1.5, 1.5))
    radius = np.sqrt((x / 70) ** 2 + (y / 88) ** 2 + (np.maximum(z, 0) / 75) ** 2)
    folds = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=radius.shape), (1, 2.5, 2.5))
    brain = np.where(folds > 0, 0.6, 0.42)
    ventricle = np.hypot((np.abs(x) - 12) / 9, (y + 5) / 28) + np.abs(z / 25) < 1
    signal = np.select([ventricle, radius < 0.86, radius < 0.93, radius < 1], [0.12, brain, 0.05, 0.95], 0.0)
    return _acquired(signal, (5.0, 1.5, 1.5), seed, "head")


def mr_knee(seed: int = 0) -> CTVolume:
    """A knee in proton density: marrow and fat bright, cortex dark, muscle behind, and air."""
    z, y, x = _millimetres((30, 110, 110), (4.0, 1.5, 1.5))
    leg = np.hypot(x / 62, y / 68)
    width = 1 - 0.3 * np.exp(-((z / 20) ** 2))
    bone = np.hypot(x / 36, (y + 12) / 30) / width
    patella = np.hypot(x / 20, (y + 55) / 9)
    cartilage = (np.abs(z) < 3) & (bone < 1)
    muscle = (np.hypot(np.abs(x) - 22, y - 35) < 20) & (np.abs(z) > 12)
    values = [0.35, 0.75, 0.05, 0.75, 0.3, 0.95]
    signal = np.select([cartilage, bone < 0.93, bone < 1, patella < 1, muscle, leg < 1], values, 0.0)
    return _acquired(signal, (4.0, 1.5, 1.5), seed, "knee")


def mr_spine(seed: int = 0) -> CTVolume:
    """Sagittal T2 of the lumbar spine: vertebrae and discs, bright canal, muscle and fat behind, bands before."""
    z, y, x = _millimetres((180, 120, 16), (1.6, 1.6, 5.0))
    bend = 8 * np.sin(z / 60)
    place = (z + 160) % 34
    front = np.abs(x) < 25
    vertebra = front & (np.abs(y - bend) < 17) & (place < 25)
    disc = front & (np.abs(y - bend) < 17) & (place >= 25)
    canal = (np.abs(x) < 11) & (np.abs(y - bend - 27) < 8)
    back = np.where(y > bend + 60, 0.9, 0.25)
    before = 0.3 + 0.3 * (ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=z.shape), 4) > 0)
    values = [0.55, 0.3, 1.0, np.broadcast_to(back, z.shape), before]
    signal = np.select([vertebra, disc, canal, y > bend + 17, y > -80], values, 0.0)
    return _acquired(signal, (1.6, 1.6, 5.0), seed, "spine")


def _millimetres(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> list[np.ndarray]:
    """Coordinates (superior, posterior, left) in mm from the middle, each of the whole shape."""
    axes = [(np.arange(n) - (n - 1) / 2) * mm for n, mm in zip(shape, spacing, strict=True)]
    return np.meshgrid(*axes, indexing="ij")


def _acquired(signal: np.ndarray, spacing: tuple[float, float, float], seed: int, name: str) -> CTVolume:
    both = np.random.default_rng(seed).normal(0, 0.02, (2, *signal.shape))
    calm = ndimage.gaussian_filter(signal.astype(np.float32), (0, 0.7, 0.7))
    values = np.rint(1000 * np.hypot(calm + both[0], both[1])).astype(np.int16)
    return CTVolume(values, np.diag([-spacing[2], -spacing[1], spacing[0], 1.0]), name)


OTHER_PARTS = {"head": mr_head, "knee": mr_knee, "spine": mr_spine}
