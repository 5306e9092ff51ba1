"""Can these voxels be a CT in Hounsfield units, or MR, and is the liver that was found a plausible one?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from nibabel import orientations
from scipy import ndimage

from .. import messages
from ..data.bounding_box import Box, box_of
from ..data.modality import CT, MR
from ..data.volume import CTVolume
from ..errors import InputError
from .mr_signal import BACKGROUND, signal_range

# What scanners add to HU when they store unsigned numbers.
STORED_OFFSET_HU = 1024

# Voxels looked at when values are judged: enough for shares of a percent, and quick.
_SAMPLED_VOXELS = 1_000_000
_SMALLEST_SPAN_HU = 50
_THICKEST_SLICE_MM = 10.0
_FEWEST_PIXELS = 64
_FIELD_OF_VIEW_MM = (100.0, 1000.0)
# Beyond these, a header lies: slices would be resampled to gigabytes, or to nothing. No scanner's bore is so wide, no
# patient so tall, and no voxel of a clinical CT so small.
_WIDEST_MM, _TALLEST_MM, _SMALLEST_VOXEL_MM = 2000.0, 3000.0, 1e-3
# Where an image has lungs, bowel gas or the air around a patient; a window of soft tissue has clipped all of them.
_LOWEST_TISSUE_HU = -300
# The smallest part of a view that a patient can fill: an infant in the widest fills a fiftieth.
_SMALLEST_BODY = 0.002
# What lies within this share of an image's range above its lowest value is background, if it makes up so much of it.
# Of the background of windowed CTs, 0.62 and more had exactly the lowest value; of 13 in 14 MR images, 0.59 and less.
_DARK, _BACKGROUND, _CLIPPED = 0.05, 0.3, 0.6
# Of the pixels of a CT, even of one in 8 bits, a fifth have neighbours of exactly their own value.
_FLAT, _FEWEST_VALUES = 0.5, 16
# Of MR, nothing lies farther below zero than ringing brings it, as a share of the highest value; there is a body that
# does not lie in a few bright spots, as in PET, and so much of the corners of axial slices is background.
_RINGING, _SMALLEST_MR_BODY, _DARK_CORNERS = 0.1, 0.15, 0.6
# Resected livers and the largest of the reference data (3.2 l, with tumours) lie inside.
_LIVER_VOLUME_ML = (500.0, 4000.0)
# Smaller pieces beside the largest one are nothing that a user need look at.
_PIECE_SHARE = 0.05


def check_input(ct: CTVolume, force: bool = False) -> list[str]:
    """Judge whether a volume can be segmented.

    Parameters
    ----------
    ct
        The volume. What part of the body it shows is not judged; :func:`check_result` tells if there is no liver.
    force
        Return what would be an error as a warning.

    Returns
    -------
    Warnings, each a sentence for the user: an 8-bit picture, a single slice, thick slices, few or odd pixels.

    Raises
    ------
    InputError
        If the values cannot be HU, for example those of an MR image or of a CT stored without its offset; with
        ``force`` as well, if the image is larger than any patient or its voxels are too small for any scanner.
    """
    _check_size(ct)
    lowest, highest = int(ct.hu.min()), int(ct.hu.max())
    error = _why_not_hu(ct, lowest, highest)
    if error and not force:
        raise InputError(error)
    return [error] * bool(error) + _warn_of_picture(ct, lowest, highest) + _warn_of_geometry(ct)


def check_mr(mr: CTVolume, force: bool = False) -> list[str]:
    """Judge whether a volume that is taken for MR can be segmented; parameter and errors of :func:`check_input`."""
    _check_size(mr)
    lowest, highest = int(mr.hu.min()), int(mr.hu.max())
    values = {"name": mr.name, "lowest": lowest, "highest": highest}
    error = ""
    if _is_flat(mr, lowest):
        error = messages.LABEL_MAP.format(**values)
    elif highest - lowest < _SMALLEST_SPAN_HU:
        error = messages.SPAN_TOO_SMALL.format(**values)
    if error and not force:
        raise InputError(error)
    return [error] * bool(error) + _warn_of_geometry(mr)


def looks_like_mr(ct: CTVolume) -> bool:
    """Whether the values cannot be HU, and are such as MR has: a body before a dark background.

    So are those of a picture from 0 to 255 whose corners, dark as they are, were not clipped.
    """
    lowest, highest = int(ct.hu.min()), int(ct.hu.max())
    if lowest < -_RINGING * highest or highest - lowest < _SMALLEST_SPAN_HU:
        return False
    sample = _sample(ct.canonical_view().hu)
    corners = _corners(sample)
    refusal = _why_not_hu(ct, lowest, highest)
    if not refusal and not (_is_8_bit(lowest, highest) and _is_noise(corners, lowest, highest)):
        return False
    if refusal and refusal != messages.NOT_HU.format(name=ct.name, lowest=lowest, highest=highest):
        return False
    nothing, full = signal_range(sample)
    body = nothing + BACKGROUND * (full - nothing)
    return bool(np.mean(sample > body) > _SMALLEST_MR_BODY and np.mean(corners <= body) > _DARK_CORNERS)


def _corners(stack: np.ndarray) -> np.ndarray:
    """What lies in the corners of axial slices, an eighth of each side, in one row."""
    rows, columns = (max(1, n // 8) for n in stack.shape[1:])
    sides = [(j, i) for j in (slice(rows), slice(-rows, None)) for i in (slice(columns), slice(-columns, None))]
    return np.concatenate([stack[:, j, i].ravel() for j, i in sides])


def _is_noise(values: np.ndarray, lowest: int, highest: int) -> bool:
    """Whether values are dark and were not clipped, in an image of that range."""
    dark = values[values <= lowest + _DARK * (highest - lowest)]
    return bool(dark.size > _DARK_CORNERS * values.size and np.mean(dark == lowest) < _CLIPPED)


def check_no_picture(ct: CTVolume) -> None:
    """Raise InputError if a volume holds values as a picture does: for a result that speaks against a CT, too."""
    lowest, highest = int(ct.hu.min()), int(ct.hu.max())
    if _is_8_bit(lowest, highest):
        raise InputError(messages.NOT_HU.format(name=ct.name, lowest=lowest, highest=highest))


def check_result(ct: CTVolume, labels: np.ndarray, modality: str = CT) -> list[str]:
    """Judge whether the liver that was found is whole and plausible.

    Parameters
    ----------
    ct
        The volume that was segmented.
    labels
        uint8 on its grid, (k, j, i); liver where not 0.
    modality
        What it was segmented as.

    Returns
    -------
    Warnings, each a sentence for the user.
    """
    # On the box of the liver: a whole-body scan is a hundred times as large.
    box = box_of(labels)
    liver = labels[box] > 0
    if not liver.size:
        return [messages.NO_LIVER_IN_MR if modality == MR else messages.NO_LIVER]
    cut = _warn_of_cut_liver(ct, box)
    return cut + _warn_of_volume(ct, liver, bool(cut)) + _warn_of_pieces(liver)


def _check_size(ct: CTVolume) -> None:
    outline = ct.geometry.outline()
    size = outline.max(axis=1) - outline.min(axis=1)
    if np.any(size > (_WIDEST_MM, _WIDEST_MM, _TALLEST_MM)) or min(ct.spacing) < _SMALLEST_VOXEL_MM:
        raise InputError(
            messages.NO_PATIENTS_SIZE.format(
                name=ct.name,
                size=" × ".join(f"{mm:.3g}" for mm in size),
                spacing=" × ".join(f"{mm:.3g}" for mm in ct.spacing[::-1]),
            )
        )


def _why_not_hu(ct: CTVolume, lowest: int, highest: int) -> str:
    """One sentence if the values cannot be HU, else an empty one."""
    values = {"name": ct.name, "lowest": lowest, "highest": highest}
    if highest - lowest < _SMALLEST_SPAN_HU:
        return messages.SPAN_TOO_SMALL.format(**values)
    sample = _sample(ct.hu)
    if lowest >= 0 and _is_flat(ct, lowest):
        return messages.LABEL_MAP.format(**values)
    if (_can_be_hu(sample) or _is_8_bit(lowest, highest)) and not _has_noise_below_its_window(sample):
        return ""
    if _can_be_hu_stored_with_offset(sample):
        return messages.STORED_WITH_OFFSET.format(**values, offset=STORED_OFFSET_HU)
    return messages.NOT_HU.format(**values)


def _is_flat(ct: CTVolume, lowest: int) -> bool:
    """Whether there are hardly any values, or pixels equal those beside and below, which noise prevents in a CT."""
    stack = ct.canonical_view().hu
    some = stack[:: max(1, len(stack) // 8)]
    if len(np.unique(some)) < _FEWEST_VALUES:
        return True
    pixels = some[:, :-1, :-1]
    flat = (pixels == some[:, 1:, :-1]) & (pixels == some[:, :-1, 1:])
    shown = pixels > lowest
    return bool(np.count_nonzero(flat & shown) > _FLAT * np.count_nonzero(shown))


def _can_be_hu(sample: np.ndarray) -> bool:
    """Whether there is something between air and water (fat, and edges of the body), and soft tissue above water.

    Windows that are clipped to as little as [-20, 140] HU still pass. Images that start at zero, as MR does, have
    nothing below water; where filtering gave them some, their tissues spread over more than those of CT.
    """
    # How much air is around says nothing.
    body = sample[sample > _LOWEST_TISSUE_HU]
    if body.size < _SMALLEST_BODY * sample.size:
        return False
    below_water = np.mean(body < -10)
    tissue = np.mean((body >= 0) & (body < 300))
    above_water = np.mean(body >= 0)
    return bool(below_water > 0.01 and tissue > 0.01 and tissue > 0.5 * above_water)


def _has_noise_below_its_window(sample: np.ndarray) -> bool:
    """Whether the values begin above air, as in a window of a CT, but its background was not clipped there.

    MR has noise in it, whatever its values were scaled to.
    """
    lowest, highest = int(sample.min()), int(sample.max())
    if lowest <= _LOWEST_TISSUE_HU:
        return False
    background = sample[sample <= lowest + _DARK * (highest - lowest)]
    return bool(background.size > _BACKGROUND * sample.size and np.mean(background == lowest) < _CLIPPED)


def _can_be_hu_stored_with_offset(sample: np.ndarray) -> bool:
    """Whether less the offset it is HU, with hardly anything between lung and fat, where an MR has its tissues."""
    hu = sample - STORED_OFFSET_HU
    tissue = np.mean((hu >= 0) & (hu < 300))
    between_lung_and_fat = np.mean((hu > -750) & (hu < -200))
    return _can_be_hu(hu) and bool(tissue > between_lung_and_fat)


def _is_8_bit(lowest: int, highest: int) -> bool:
    return lowest >= 0 and highest <= 255


def _sample(hu: np.ndarray) -> np.ndarray:
    """About a million voxels, evenly spread; int32, so that offsets do not overflow."""
    step = max(1, int(np.cbrt(hu.size / _SAMPLED_VOXELS)))
    # Thin stacks keep all their slices.
    return hu[tuple(slice(None, None, min(step, max(1, n // 8))) for n in hu.shape)].astype(np.int32)


def _warn_of_picture(ct: CTVolume, lowest: int, highest: int) -> list[str]:
    if not _is_8_bit(lowest, highest) or highest - lowest < _SMALLEST_SPAN_HU:
        return []
    return [messages.EIGHT_BIT.format(name=ct.name)]


@dataclass(frozen=True)
class _AxialStack:
    """Size of a volume as an axial stack, and which axis of its (k, j, i) array runs along the patient."""

    axis: int
    slices: int
    slice_spacing: float
    pixels: tuple[int, int]
    field_of_view: tuple[float, float]

    @classmethod
    def of(cls, ct: CTVolume) -> _AxialStack:
        patient_axes = orientations.io_orientation(ct.affine)[::-1, 0]
        axis = int(np.flatnonzero(patient_axes == 2)[0])
        first, second = (n for n in range(3) if n != axis)
        pixels = (ct.hu.shape[first], ct.hu.shape[second])
        field_of_view = (pixels[0] * ct.spacing[first], pixels[1] * ct.spacing[second])
        return cls(axis, ct.hu.shape[axis], ct.spacing[axis], pixels, field_of_view)


def _warn_of_geometry(ct: CTVolume) -> list[str]:
    stack = _AxialStack.of(ct)
    warnings = []
    if stack.slices == 1:
        warnings.append(messages.SINGLE_SLICE.format(name=ct.name))
    elif stack.slice_spacing > _THICKEST_SLICE_MM:
        warnings.append(messages.THICK_SLICES.format(spacing=stack.slice_spacing, largest=_THICKEST_SLICE_MM))
    if min(stack.pixels) < _FEWEST_PIXELS:
        warnings.append(messages.FEW_PIXELS.format(rows=stack.pixels[0], columns=stack.pixels[1]))
    smallest, largest = _FIELD_OF_VIEW_MM
    if min(stack.field_of_view) < smallest or max(stack.field_of_view) > largest:
        rows, columns = stack.field_of_view
        warnings.append(messages.UNUSUAL_FIELD_OF_VIEW.format(rows=rows, columns=columns, name=ct.name))
    return warnings


def _warn_of_cut_liver(ct: CTVolume, box: Box) -> list[str]:
    stack = _AxialStack.of(ct)
    touching = [edges.start == 0 or edges.stop == size for edges, size in zip(box, ct.hu.shape, strict=True)]
    at_ends = stack.slices > 1 and touching[stack.axis]
    at_side = any(touches for axis, touches in enumerate(touching) if axis != stack.axis)
    if at_ends and at_side:
        return [messages.LIVER_CUT_AT_ENDS_AND_SIDE]
    return [messages.LIVER_CUT_AT_ENDS] * at_ends + [messages.LIVER_CUT_AT_SIDE] * at_side


def _warn_of_volume(ct: CTVolume, liver: np.ndarray, cut: bool) -> list[str]:
    volume = np.count_nonzero(liver) * ct.voxel_volume_ml
    smallest, largest = _LIVER_VOLUME_ML
    incomplete = cut or _AxialStack.of(ct).slices == 1
    if volume > largest or (volume < smallest and not incomplete):
        return [messages.UNUSUAL_VOLUME.format(volume=volume, smallest=smallest, largest=largest)]
    return []


def _warn_of_pieces(liver: np.ndarray) -> list[str]:
    pieces, _ = ndimage.label(liver)
    sizes = np.bincount(pieces[liver])
    count = np.count_nonzero(sizes >= _PIECE_SHARE * sizes.max())
    return [messages.SEPARATE_PIECES.format(count=count)] if count > 1 else []
