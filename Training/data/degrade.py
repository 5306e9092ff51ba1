"""What other scanners, protocols and patients do to a CT, as functions of a scan and its reference.

Each degradation takes an axial stack (a canonical :class:`~LiverSegLib.volume.CTVolume`), its labels, uint8 (k, j, i)
on the same grid, and a random generator; it returns a new scan and the labels that are exact for it. The input is
never changed, and the same generator's seed gives the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from zlib import crc32

import numpy as np
from scipy import ndimage

from LiverSegLib.boxes import box_of
from LiverSegLib.volume import CTVolume

from .fluid import FAT_HU, bowel_contents, find_air, find_lungs, grow, low_part, rim

Degraded = tuple[CTVolume, np.ndarray]
Degradation = Callable[[CTVolume, np.ndarray, np.random.Generator], Degraded]

# Grain of the added noise: about what a soft-tissue reconstruction kernel leaves of white noise.
GRAIN_MM = 0.6
# Window of the noise estimate in voxels: wide enough for its mean, narrow enough to miss most vessels.
NOISE_WINDOW = 5
SOFT_TISSUE_HU = (0, 200)
FIELD_MARGIN_MM = (5.0, 25.0)

METAL_HU, METAL_RADIUS_MM = 3000, 4.0
STREAKS, STREAK_HU, STREAK_DEGREES = 36, 120.0, (1.0, 4.0)
STREAK_REACH_MM, STREAK_HALF_HEIGHT_MM, METAL_TO_LIVER_MM = 120.0, 15.0, 40.0

# Without contrast medium; the liver's own vessels are then darker than it.
NATIVE_LIVER_HU, NATIVE_VESSEL_HU, NATIVE_OTHER_HU = 55.0, 40.0, 45.0
BONE_HU, BONE_GAP_MM, BONE_MARGIN_MM = 250, 16.0, 2.0

# A liver a third of which is fat: so much darker, with or without contrast medium; its vessels are then brighter.
FATTY_SHIFT_HU, FATTY_NATIVE_LIVER_HU = -50.0, 15.0
VESSEL_ABOVE_LIVER_HU = 20.0

FILLED_NOISE_HU = 12.0
EFFUSION_HU, EFFUSION_SHARE = 10.0, 0.5
AIRLESS_SHARE, AIRLESS_TOWARDS_FEET = 0.3, 0.7
CONTENTS_HU, ORAL_CONTRAST_HU = 40.0, 200.0
ASCITES_HU, ASCITES_MM, ASCITES_REACH_MM = 10.0, 8.0, 15.0
LESIONS, LESION_RADIUS_MM, LESION_HU, LESION_BELOW_LIVER_HU = 8, (6.0, 25.0), 25.0, 40.0
BRIGHT_LESIONS, BRIGHT_RADIUS_MM, BRIGHT_ABOVE_LIVER_HU = 4, (10.0, 30.0), 70.0
OIL_DEPOSITS, OIL_RADIUS_MM, OIL_HU = 3, (15.0, 30.0), 500.0
CYSTS, CYST_RADIUS_MM, CYST_HU = 80, (5.0, 20.0), 8.0
LARGE_CYST_RADIUS_MM = (45.0, 60.0)
# About as a small child is to an adult; no measured child stands behind the number.
CHILD_SCALE = 0.65


def noise_doubled(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Add Gaussian noise so that the noise's standard deviation doubles (variances add: √3 times what is there)."""
    added = np.sqrt(3.0) * estimate_noise(ct, labels)
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        hu[k] = _whole(picture + _noise(ct, added, rng))
    return replace(ct, hu=hu), labels


def _noise(ct: CTVolume, deviation_hu: float, rng: np.random.Generator) -> np.ndarray:
    """Noise for one slice, with the grain of a soft-tissue kernel; float32 (rows, columns)."""
    sigma = [GRAIN_MM / mm for mm in ct.spacing[1:]]
    grain = ndimage.gaussian_filter(rng.standard_normal(ct.hu.shape[1:], dtype=np.float32), sigma)
    return grain * (deviation_hu / grain.std())


def estimate_noise(ct: CTVolume, labels: np.ndarray) -> float:
    """Standard deviation of the noise in HU: the median, over the liver, of the deviation in small windows.

    Windows of 5×5 voxels that lie wholly in label 1 of their slice; where there are fewer than 100, in soft tissue of
    0 to 200 HU; where there is none of that either, 0.
    """
    window = np.ones((NOISE_WINDOW, NOISE_WINDOW), bool)
    for region in (labels == 1, (ct.hu > SOFT_TISSUE_HU[0]) & (ct.hu < SOFT_TISSUE_HU[1])):
        deviations = np.concatenate(
            [
                _window_deviations(hu)[ndimage.binary_erosion(mask, window)]
                for hu, mask in zip(ct.hu, region, strict=True)
            ]
        )
        if len(deviations) >= 100:
            return float(np.median(deviations))
    return 0.0


def _window_deviations(picture: np.ndarray) -> np.ndarray:
    values = picture.astype(np.float64)
    mean = ndimage.uniform_filter(values, NOISE_WINDOW)
    variance = ndimage.uniform_filter(values**2, NOISE_WINDOW) - mean**2
    count = NOISE_WINDOW**2
    return np.sqrt(np.maximum(variance, 0) * count / (count - 1))


def slices_5mm(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Average slabs of 5 mm; a label goes where it fills half of the slab. Thicker slices stay as they are.

    The slabs fill the scan exactly, so their thickness is 5 mm up to rounding of their number.
    """
    count = max(1, round(len(ct.hu) * ct.spacing[0] / 5.0))
    if count >= len(ct.hu):
        return ct, labels
    hu, thick = np.empty((count, *ct.hu.shape[1:]), np.int16), np.zeros((count, *labels.shape[1:]), np.uint8)
    for n, (part, weights) in enumerate(_slabs(len(ct.hu), count)):
        hu[n] = _whole(np.tensordot(weights, ct.hu[part].astype(np.float32), axes=1))
        for mask in (labels[part] > 0, labels[part] == 2):
            # Liver first, and tumour on top of it: 1 + 1.
            thick[n] += np.tensordot(weights, mask.astype(np.float32), axes=1) >= 0.5
    return replace(ct, hu=hu, affine=_resliced(ct.affine, len(ct.hu) / count)), thick


def _slabs(slices: int, count: int) -> Iterator[tuple[slice, np.ndarray]]:
    """For each of ``count`` equal slabs the slices that it cuts and the share of each in it, float32, sum 1."""
    edges = np.arange(count + 1) * (slices / count)
    for low, high in pairwise(edges):
        part = slice(int(low + 1e-6), min(slices, int(np.ceil(high - 1e-6))))
        index = np.arange(part.start, part.stop)
        overlap = np.minimum(index + 1, high) - np.maximum(index, low)
        yield part, (overlap / overlap.sum()).astype(np.float32)


def slices_07mm(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Interpolate slices of 0.7 mm linearly; thinner ones stay as they are.

    Labels are those of the nearest slice: where the interpolated mask crosses one half, so nothing moves. Halfway
    between thick slices the picture is a blend of both and the border in it is a matter of taste.
    """
    slices = len(ct.hu)
    count = max(1, round(slices * ct.spacing[0] / 0.7))
    if count <= slices:
        return ct, labels
    # Beyond the centres of the outermost slices, up to their faces, their values go on.
    position = np.clip((np.arange(count) + 0.5) * (slices / count) - 0.5, 0, slices - 1)
    lower = np.minimum(position.astype(int), max(0, slices - 2))
    upper = np.minimum(lower + 1, slices - 1)
    hu = np.empty((count, *ct.hu.shape[1:]), np.int16)
    for n, share in enumerate((position - lower).astype(np.float32)):
        hu[n] = _whole(ct.hu[lower[n]] * (1 - share) + ct.hu[upper[n]] * share)
    thin = labels[np.floor(position + 0.5).astype(int)]
    return replace(ct, hu=hu, affine=_resliced(ct.affine, slices / count)), thin


def _resliced(affine: np.ndarray, ratio: float) -> np.ndarray:
    """The affine for slices ``ratio`` times as thick that begin at the same face."""
    resliced = affine.copy()
    resliced[:3, 2] *= ratio
    resliced[:3, 3] += affine[:3, 2] * (ratio / 2 - 0.5)
    return resliced


def cropped(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Cut the field of view, and the slices, to the liver and 5 to 25 mm at each of its sides.

    Spine, flanks and most of the spleen are gone, as in a scan for the liver alone. Without a liver the scan stays.
    """
    if not labels.any():
        return ct, labels
    box = []
    for side, mm, size in zip(box_of(labels), ct.spacing, labels.shape, strict=True):
        before, after = (int(margin / mm) for margin in rng.uniform(*FIELD_MARGIN_MM, size=2))
        box.append(slice(max(0, side.start - before), min(size, side.stop + after)))
    affine = ct.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in reversed(box)]
    part = tuple(box)
    return replace(ct, hu=ct.hu[part].copy(), affine=affine), labels[part].copy()


def shift_plus_30(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Every voxel 30 HU brighter: a scanner out of calibration."""
    return replace(ct, hu=_whole(ct.hu.astype(np.float32) + 30)), labels


def shift_minus_30(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Every voxel 30 HU darker."""
    return replace(ct, hu=_whole(ct.hu.astype(np.float32) - 30)), labels


def streaks(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """A piece of metal of 8 mm within 40 mm of the liver, and bright and dark streaks from it.

    Drawn, not simulated: wedges of random sign, width and strength that fade with the distance from the metal and with
    the slices above and below it. Real streaks come from projections and are longest along dense bone.
    """
    place = _place_of_metal(ct, labels, rng)
    if place is None:
        return ct, labels
    k0, j0, i0 = place
    down, left = np.ogrid[: ct.hu.shape[1], : ct.hu.shape[2]]
    y, x = (down - j0) * ct.spacing[1], (left - i0) * ct.spacing[2]
    radius = np.hypot(y, x)
    pattern = _star(np.degrees(np.arctan2(y, x)), rng) * np.exp(-radius / STREAK_REACH_MM)
    hu = ct.hu.copy()
    height = np.abs(np.arange(len(hu)) - k0) * ct.spacing[0]
    for k in np.flatnonzero(height < STREAK_HALF_HEIGHT_MM):
        # The slice of the metal itself has all of it, the farthest almost nothing.
        hu[k] = _whole(hu[k] + pattern * (1 - height[k] / STREAK_HALF_HEIGHT_MM))
        metal = np.hypot(radius, height[k]) <= METAL_RADIUS_MM
        hu[k][metal & (labels[k] == 0)] = METAL_HU
    return replace(ct, hu=hu), labels


def _place_of_metal(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> np.ndarray | None:
    """A voxel (k, j, i) of the body outside the liver, in a slice of its middle half; None if there is none."""
    with_liver = np.flatnonzero(labels.any(axis=(1, 2)))
    if not len(with_liver):
        return None
    k = int(rng.choice(with_liver[len(with_liver) // 4 : len(with_liver) * 3 // 4 + 1]))
    distance = ndimage.distance_transform_edt(labels[k] == 0, sampling=ct.spacing[1:])
    near = (distance > METAL_RADIUS_MM) & (distance < METAL_TO_LIVER_MM) & (ct.hu[k] > -50)
    places = np.argwhere(near)
    return np.array((k, *rng.choice(places))) if len(places) else None


def _star(degrees: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """HU of the streaks by direction, before they fade: float64, the directions' shape."""
    star = np.zeros(degrees.shape)
    directions, widths = rng.uniform(-180, 180, STREAKS), rng.uniform(*STREAK_DEGREES, STREAKS)
    for direction, width, strength in zip(directions, widths, rng.normal(0, STREAK_HU, STREAKS), strict=True):
        off = (degrees - direction + 180) % 360 - 180
        star += strength * np.exp(-0.5 * (off / width) ** 2)
    return star


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
    parenchyma = _parenchyma_hu(ct, labels)
    if parenchyma <= NATIVE_LIVER_HU + 5:
        return ct, labels
    return _without_contrast(ct, labels, parenchyma, NATIVE_LIVER_HU), labels


def fatty_liver(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The liver 50 HU darker, its tumours and the vessels that are brighter than it as they are: much fat.

    Drawn by other means than in :mod:`Training.data.density`, so that what is trained is not what measures it.
    """
    parenchyma = _parenchyma_hu(ct, labels)
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        above = ndimage.median_filter(picture, 5).astype(np.float32) - parenchyma - VESSEL_ABOVE_LIVER_HU
        share = _soft(labels[k] == 1, ct.spacing[1:]) * (1 - np.clip(above / VESSEL_ABOVE_LIVER_HU, 0, 1))
        hu[k] = _whole(picture + FATTY_SHIFT_HU * share)
    return replace(ct, hu=hu), labels


def fatty_no_contrast(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Without contrast medium and with much fat: liver at 15 HU, its vessels at 40, all else as in no_contrast.

    A scan that has no contrast medium, liver of 60 HU or less, only gets the fat.
    """
    parenchyma = _parenchyma_hu(ct, labels)
    if parenchyma <= NATIVE_LIVER_HU + 5:
        return fatty_liver(ct, labels, rng)
    return _without_contrast(ct, labels, parenchyma, FATTY_NATIVE_LIVER_HU), labels


def pleural_effusion(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The half of the lungs in view that lies towards the back holds water. Without lungs in view the scan stays."""
    low = low_part(find_lungs(ct), ct, EFFUSION_SHARE, towards_feet=0.0)
    return _filled(ct, low & (labels == 0), EFFUSION_HU, rng), labels


def airless_lung(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """The lowest third of the lungs in view has no air and the liver's own HU, the hardest that it can have.

    Nothing but the shape tells then where the liver ends. Without lungs in view the scan stays.
    """
    low = low_part(find_lungs(ct), ct, AIRLESS_SHARE, AIRLESS_TOWARDS_FEET)
    return _filled(ct, low & (labels == 0), _parenchyma_hu(ct, labels), rng), labels


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
    return _filled(ct, water, ASCITES_HU, rng), left


def full_bowel(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Without contrast medium, and 40 HU where gas and what lies between its bubbles was in stomach and bowel.

    In a scan that shows no gas, as it may be clipped, only the contrast medium goes.
    """
    native, _ = no_contrast(ct, labels, rng)
    return _filled(native, _bowel(ct, labels), CONTENTS_HU, rng), labels


def oral_contrast(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """200 HU where gas and what lies between its bubbles was in stomach and bowel: contrast medium that was drunk."""
    return _filled(ct, _bowel(ct, labels), ORAL_CONTRAST_HU, rng), labels


def _bowel(ct: CTVolume, labels: np.ndarray) -> np.ndarray:
    """What a full bowel would hold, outside of the liver."""
    return bowel_contents(ct, find_air(ct).bowel) & (labels == 0)


def dark_lesions(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Eight balls of 12 to 50 mm about places in the liver, cut off at its edge: metastases or cysts, labelled tumour.

    They have 25 HU, in a dark liver 40 HU less than it.
    """
    lesions = _balls(ct, labels, rng, LESIONS, LESION_RADIUS_MM)
    level = min(LESION_HU, _parenchyma_hu(ct, labels) - LESION_BELOW_LIVER_HU)
    return _filled(ct, lesions, level, rng), np.where(lesions, 2, labels).astype(labels.dtype)


def bright_lesions(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Four balls of 20 to 60 mm, 70 HU brighter than the liver: tumours in the arterial phase, labelled so."""
    lesions = _balls(ct, labels, rng, BRIGHT_LESIONS, BRIGHT_RADIUS_MM)
    level = _parenchyma_hu(ct, labels) + BRIGHT_ABOVE_LIVER_HU
    return _filled(ct, lesions, level, rng), np.where(lesions, 2, labels).astype(labels.dtype)


def iodised_oil(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Three balls of 30 to 60 mm in the liver with 500 HU, as iodised oil leaves after chemoembolisation."""
    return _filled(ct, _balls(ct, labels, rng, OIL_DEPOSITS, OIL_RADIUS_MM), OIL_HU, rng), labels


def many_cysts(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """Eighty balls of water of 10 to 40 mm in the liver: a polycystic one. They count as liver, not as tumours."""
    return _filled(ct, _balls(ct, labels, rng, CYSTS, CYST_RADIUS_MM), CYST_HU, rng), labels


def large_cyst(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """A ball of water of 90 to 120 mm in the liver, cut off at its edge, which counts as liver, not as a tumour."""
    return _filled(ct, _balls(ct, labels, rng, 1, LARGE_CYST_RADIUS_MM), CYST_HU, rng), labels


def child(ct: CTVolume, labels: np.ndarray, rng: np.random.Generator) -> Degraded:
    """All of the body, slices and pixels at 0.65 of their size. A true child has other proportions, too."""
    affine = ct.affine.copy()
    affine[:3] *= CHILD_SCALE
    return replace(ct, affine=affine), labels


def _balls(
    ct: CTVolume, labels: np.ndarray, rng: np.random.Generator, count: int, radius_mm: tuple[float, float]
) -> np.ndarray:
    """That many balls about random places in the liver, cut off at its edge; bool (k, j, i)."""
    places = np.argwhere(labels > 0)
    balls = np.zeros(labels.shape, bool)
    for place in rng.choice(places, count) if len(places) else ():
        radius = rng.uniform(*radius_mm)
        reach = [int(radius / mm) + 1 for mm in ct.spacing]
        box = tuple(
            slice(max(0, at - far), min(size, at + far + 1))
            for at, far, size in zip(place, reach, labels.shape, strict=True)
        )
        k, j, i = ((index - at) * mm for index, at, mm in zip(np.ogrid[box], place, ct.spacing, strict=True))
        balls[box] |= k**2 + j**2 + i**2 <= radius**2
    return balls & (labels > 0)


def _filled(ct: CTVolume, where: np.ndarray, level_hu: float, rng: np.random.Generator) -> CTVolume:
    hu = ct.hu.copy()
    for k in np.flatnonzero(where.any(axis=(1, 2))):
        wanted = level_hu + _noise(ct, FILLED_NOISE_HU, rng)
        share = _soft(where[k], ct.spacing[1:])
        hu[k] = _whole(hu[k] + share * (wanted - hu[k]))
    return replace(ct, hu=hu)


def _parenchyma_hu(ct: CTVolume, labels: np.ndarray) -> float:
    """Median HU of the liver without its tumours; 0 if there is none."""
    return float(np.median(ct.hu[labels == 1])) if (labels == 1).any() else 0.0


def _without_contrast(ct: CTVolume, labels: np.ndarray, parenchyma: float, native: float) -> CTVolume:
    """The scan with its parenchyma brought to ``native`` HU, vessels to 40, and all else above 45 nearly to 45."""
    liver = ([40.0, parenchyma, parenchyma + 50], [40.0, native, NATIVE_VESSEL_HU])
    other = ([NATIVE_OTHER_HU, 3000.0], [NATIVE_OTHER_HU, NATIVE_OTHER_HU + 0.05 * (3000 - NATIVE_OTHER_HU)])
    hu = np.empty_like(ct.hu)
    for k, picture in enumerate(ct.hu):
        smooth = ndimage.median_filter(picture, 5).astype(np.float32)
        share = _soft(labels[k] > 0, ct.spacing[1:])
        wanted = share * _curve(smooth, *liver) + (1 - share) * _curve(smooth, *other)
        wanted = np.where(_bone(picture, ct.spacing[1:]) & (labels[k] == 0), smooth, wanted)
        hu[k] = _whole(picture + (wanted - smooth))
    return replace(ct, hu=hu)


def _soft(mask: np.ndarray, spacing: tuple[float, float]) -> np.ndarray:
    """A mask of a slice as shares, blended over about 2 mm at its edge; float32."""
    return ndimage.gaussian_filter(mask.astype(np.float32), [1.0 / mm for mm in spacing])


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


def _whole(values: np.ndarray) -> np.ndarray:
    limits = np.iinfo(np.int16)
    return np.clip(np.rint(values), limits.min, limits.max).astype(np.int16)


DEGRADATIONS: dict[str, Degradation] = {
    function.__name__: function
    for function in (
        noise_doubled,
        slices_5mm,
        slices_07mm,
        cropped,
        shift_plus_30,
        shift_minus_30,
        streaks,
        no_contrast,
        fatty_liver,
        fatty_no_contrast,
        pleural_effusion,
        airless_lung,
        ascites,
        full_bowel,
        oral_contrast,
        dark_lesions,
        bright_lesions,
        iodised_oil,
        many_cysts,
        large_cyst,
        child,
    )
}


def degrade(name: str, ct: CTVolume, labels: np.ndarray, seed: int = 0) -> Degraded:
    """Apply one of :data:`DEGRADATIONS`; the random numbers depend on its name, the scan's name and the seed only.

    Raises
    ------
    KeyError
        If there is no degradation of that name.
    """
    rng = np.random.default_rng([seed, crc32(f"{name} {ct.name}".encode())])
    return DEGRADATIONS[name](ct, labels, rng)
