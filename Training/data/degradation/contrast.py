"""Without contrast medium, with much fat."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume

from .painting import parenchyma_hu, soft, whole
from .types import Degraded

# Without contrast medium; the liver's own vessels are then darker than it.
NATIVE_LIVER_HU, NATIVE_VESSEL_HU, NATIVE_OTHER_HU = 55.0, 40.0, 45.0
BONE_HU, BONE_GAP_MM, BONE_MARGIN_MM = 250, 16.0, 2.0
# A liver a third of which is fat: so much darker, with or without contrast medium; its vessels are then brighter.
FATTY_SHIFT_HU, FATTY_NATIVE_LIVER_HU = -50.0, 15.0
VESSEL_ABOVE_LIVER_HU = 20.0


def no_contrast(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Take the contrast medium out, crudely: liver to 55 HU, its vessels to 40, all else above 45 nearly to 45.

    A voxel's new value follows from the median of 5×5 around it in its slice, so that noise and borders stay; inside
    the reference by one curve, outside by another, blended over about 2 mm at its edge. No organ but the liver is
    known: spleen, kidneys, vessels, muscle and opacified bowel all end at 45 to 55 HU (true kidneys are near 30,
    muscle near 55). Bone is what exceeds 250 HU, with 2 mm round it and what it encloses: it stays, as do arteries
    brighter than that; in scans clipped below 250 HU it darkens, too. The liver keeps a step of a few HU to its
    neighbours just where the reference has its edge; in a real scan there can be none. A liver of 60 HU or less is
    taken for one without contrast, and the scan stays as it is.
    """
    parenchyma = parenchyma_hu(ct, labels)
    if parenchyma <= NATIVE_LIVER_HU + 5:
        return ct, labels
    return _without_contrast(ct, labels, parenchyma, NATIVE_LIVER_HU), labels


def fatty_liver(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The liver 50 HU darker, its tumours and the vessels that are brighter than it as they are: much fat.

    Drawn by other means than in :mod:`Training.data.density`, so that what is trained is not what measures it.
    """
    parenchyma = parenchyma_hu(ct, labels)
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        above = ndimage.median_filter(picture, 5).astype(np.float32) - parenchyma - VESSEL_ABOVE_LIVER_HU
        share = soft(labels[k] == 1, ct.spacing[1:]) * (1 - np.clip(above / VESSEL_ABOVE_LIVER_HU, 0, 1))
        hu[k] = whole(picture + FATTY_SHIFT_HU * share)
    return replace(ct, hu=hu), labels


def fatty_no_contrast(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Without contrast medium and with much fat: liver at 15 HU, its vessels at 40, all else as in no_contrast.

    A scan that has no contrast medium, liver of 60 HU or less, only gets the fat.
    """
    parenchyma = parenchyma_hu(ct, labels)
    if parenchyma <= NATIVE_LIVER_HU + 5:
        return fatty_liver(ct, labels, rng)
    return _without_contrast(ct, labels, parenchyma, FATTY_NATIVE_LIVER_HU), labels


def _without_contrast(ct: CTVolume, labels: np.ndarray, parenchyma: float, native: float) -> CTVolume:
    """The scan with its parenchyma brought to ``native`` HU, vessels to 40, and all else above 45 nearly to 45."""
    liver = ([40.0, parenchyma, parenchyma + 50], [40.0, native, NATIVE_VESSEL_HU])
    other = ([NATIVE_OTHER_HU, 3000.0], [NATIVE_OTHER_HU, NATIVE_OTHER_HU + 0.05 * (3000 - NATIVE_OTHER_HU)])
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        smooth = ndimage.median_filter(picture, 5).astype(np.float32)
        share = soft(labels[k] > 0, ct.spacing[1:])
        wanted = share * _curve(smooth, *liver) + (1 - share) * _curve(smooth, *other)
        wanted = np.where(_bone(picture, ct.spacing[1:]) & (labels[k] == 0), smooth, wanted)
        hu[k] = whole(picture + (wanted - smooth))
    return replace(ct, hu=hu)


def _curve(values: np.ndarray, nodes: list[float], levels: list[float]) -> np.ndarray:
    """Piecewise linear; below the first node the values stay, above the last its level goes on."""
    return np.where(values <= nodes[0], values, np.interp(values, nodes, levels)).astype(np.float32)


def _bone(picture: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    bright = picture > BONE_HU
    if not bright.any():
        return bright
    # Marrow is darker than the bone round it, and thin bone has gaps: grow until they close, fill, and shrink again.
    grown = ndimage.binary_fill_holes(ndimage.distance_transform_edt(~bright, sampling=spacing) < BONE_GAP_MM / 2)
    return ndimage.distance_transform_edt(grown, sampling=spacing) > BONE_GAP_MM / 2 - BONE_MARGIN_MM
