"""Fluid, airless lung and full bowel beside the liver."""

from __future__ import annotations

import numpy as np

from LiverSegLib.data.volume import CTVolume

from ..fluid import FAT_HU, bowel_contents, find_air, find_lungs, grow, low_part, rim
from .contrast import no_contrast
from .painting import filled, parenchyma_hu
from .types import Degraded

EFFUSION_HU, EFFUSION_SHARE = 10.0, 0.5
AIRLESS_SHARE, AIRLESS_TOWARDS_FEET = 0.3, 0.7
CONTENTS_HU, ORAL_CONTRAST_HU = 40.0, 200.0
ASCITES_HU, ASCITES_MM, ASCITES_REACH_MM = 10.0, 8.0, 15.0


def pleural_effusion(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The half of the lungs in view that lies towards the back holds water. Without lungs in view the scan stays."""
    low = low_part(find_lungs(ct), ct, EFFUSION_SHARE, towards_feet=0.0)
    return filled(ct, low & (labels == 0), EFFUSION_HU, rng), labels


def airless_lung(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The lowest third of the lungs in view has no air and the liver's own HU, the hardest that it can have.

    Nothing but the shape tells then where the liver ends. Without lungs in view the scan stays.
    """
    low = low_part(find_lungs(ct), ct, AIRLESS_SHARE, AIRLESS_TOWARDS_FEET)
    return filled(ct, low & (labels == 0), parenchyma_hu(ct, labels), rng), labels


def ascites(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """A shrunken liver in water: its outermost 8 mm, and the fat within 15 mm of it, become water.

    In a scan without lungs in view, which may be clipped so that fat cannot be told from air, the 8 mm alone. As in
    :mod:`Training.data.fluid`, which training draws from, but for the shares, the reach, the brightness and the grain.
    """
    liver = labels > 0
    water, lungs = rim(liver, ct, ASCITES_MM), find_lungs(ct)
    left = np.where(water, 0, labels).astype(labels.dtype)
    if lungs.any():
        water = water | (grow(liver, ct, ASCITES_REACH_MM) & (ct.hu < FAT_HU) & ~lungs)
    return filled(ct, water, ASCITES_HU, rng), left


def full_bowel(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Without contrast medium, and 40 HU where gas and what lies between its bubbles was in stomach and bowel.

    In a scan that shows no gas, as it may be clipped, only the contrast medium goes.
    """
    native, _ = no_contrast(ct, labels, rng)
    return filled(native, _bowel(ct, labels), CONTENTS_HU, rng), labels


def oral_contrast(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """200 HU where gas and what lies between its bubbles was in stomach and bowel: contrast medium that was drunk."""
    return filled(ct, _bowel(ct, labels), ORAL_CONTRAST_HU, rng), labels


def _bowel(ct: CTVolume, labels: np.ndarray) -> np.ndarray:
    """What a full bowel would hold, outside of the liver."""
    return bowel_contents(ct, find_air(ct).bowel) & (labels == 0)
