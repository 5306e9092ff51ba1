"""Whether what the library read from a file, or wrote, is what other readers find in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from LiverSegLib.data.reference import label_values
from LiverSegLib.data.structures import to_labels
from LiverSegLib.data.volume import CTVolume
from Testing.fuzz.expected import Image, Unsound, affine_in_itk, expected_image, expected_slices

# Read, and no other reader says what is right.
UNJUDGED = "read by nobody else"


def problem_of_ct(ct: CTVolume, path: Path) -> str:
    """What is wrong with a CT that was read from a file or folder; :data:`UNJUDGED`, or nothing if it is right."""
    if ct.hu.ndim != 3 or ct.hu.dtype != np.int16 or not ct.hu.size:
        return f"{ct.hu.shape} {ct.hu.dtype}"
    if not np.array_equal(ct.geometry.from_canonical(ct.canonical().hu), ct.hu):
        return "not the same voxels there and back"
    if path.is_dir():
        return _problem_of_series(ct, path)
    wanted = _expected(path)
    if not isinstance(wanted, Image):
        return wanted
    if not same_place(ct.affine, wanted.affine):
        return f"{ct.affine.tolist()} instead of {wanted.affine.tolist()}"
    return "" if same_hu(ct.hu, wanted.values) else f"other voxels, {ct.hu.shape}, than {wanted.values.shape}"


def problem_of_labels(labels: np.ndarray, affine: np.ndarray, path: Path) -> str:
    """What is wrong with a label map, or segments, that were read from a file; as :func:`problem_of_ct`."""
    if labels.ndim != 3 or labels.dtype != np.uint8 or labels.max(initial=0) > 2:
        return f"{labels.shape} {labels.dtype}"
    wanted = _expected(path)
    if not isinstance(wanted, Image):
        return wanted
    if not same_place(affine, wanted.affine):
        return f"{affine.tolist()} instead of {wanted.affine.tolist()}"
    if "Segment0_LabelValue" in wanted.fields:
        right = to_labels(wanted.layers, wanted.fields, path.name)
    else:
        right = label_values(wanted.values, path.name)
    return "" if np.array_equal(labels, right) else "other labels"


def problem_of_result(path: Path, labels: np.ndarray, ct: CTVolume) -> str:
    """What is wrong with a file to which the labels of a CT were written."""
    written = expected_image(path)
    if labels.shape != ct.hu.shape or written is None or not same_place(written.affine, ct.affine):
        return f"{path.name} lies elsewhere"
    masks = [labels > 0, labels == 2] if (labels == 2).any() else [labels > 0]
    right = np.stack(masks, -1) if path.name.endswith(".seg.nrrd") else labels[..., np.newaxis]
    return "" if np.array_equal(written.layers, right) else f"{path.name} holds other labels"


def problem_of_place_in_itk(ct_path: Path, path: Path) -> str:
    """Whether ITK, which takes other fields of a NIfTI header than nibabel, sees a result beside its CT."""
    here, wanted = affine_in_itk(path), affine_in_itk(ct_path)
    is_right = wanted is None or (here is not None and same_place(here, wanted))
    return "" if is_right else f"{path.name} lies beside its CT in ITK"


def _expected(path: Path) -> Image | str:
    try:
        return expected_image(path) or UNJUDGED
    except Unsound as error:
        return f"read although it is damaged: {error}"


def _problem_of_series(ct: CTVolume, folder: Path) -> str:
    """Every slice has to be one of the folder's in its place, and none of them may be missing without a warning."""
    slices = expected_slices(folder)
    unknown = 0
    for k, values in enumerate(ct.hu):
        place = (ct.affine @ (0, 0, k, 1))[:3]
        here = [one for one in slices if np.abs(one.affine[:3, 3] - place).max() < 0.01]
        unknown += not here
        if here and not any(same_hu(values, one.values) for one in here):
            return f"other voxels in slice {k}"
        if here and not np.allclose(ct.affine[:3, :2], here[0].affine[:3, :2], atol=0.01):
            return f"{ct.affine.tolist()} instead of {here[0].affine.tolist()}"
    if len(slices) > len(ct.hu) and not ct.warnings:
        return f"{len(ct.hu)} of {len(slices)} slices without a warning"
    return UNJUDGED if unknown else ""


def same_place(affine: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether two affines are the same, but for rounding of what the header gives."""
    return bool(np.allclose(affine, wanted, rtol=1e-4, atol=1e-6 * np.abs(wanted[:3]).max(initial=0.0)))


def same_hu(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether whole HU, int16, are the given numbers, rounded: half a number may go up or down."""
    if found.shape != wanted.shape:
        return False
    limited = np.clip(wanted.astype(np.float64), -32768, 32767)
    return bool((np.abs(found - limited) <= 0.5 + 1e-6 * np.abs(wanted)).all())
