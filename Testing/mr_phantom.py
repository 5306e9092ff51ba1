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
