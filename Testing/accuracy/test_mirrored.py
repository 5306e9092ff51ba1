"""A liver on the left, because a header is wrong or the organs are mirrored, is found and reported as such.

What looks the same on both sides, as a head does, is no liver; and MR is no picture of a CT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import Phantom, make_phantom

J, I = 1, 2  # noqa: E741  # as Slicer calls the axes of a (k, j, i) array


@pytest.fixture(scope="module")
def a_phantom() -> Phantom:
    return make_phantom(shape=(32, 128, 128), spacing=(7.5, 2.85, 2.85))


def flipped(ct: CTVolume, *axes: int) -> CTVolume:
    """The voxels turned round, with the header as it was."""
    return CTVolume(np.ascontiguousarray(np.flip(ct.hu, axes)), ct.affine, ct.name)


def says_so(warnings: tuple[str, ...], ct: CTVolume) -> bool:
    return messages.MIRRORED.format(name=ct.name) in warnings


@pytest.mark.parametrize("tumour", [False, True])
def test_left_and_right_exchanged(the_segmenter: Segmenter, a_phantom: Phantom, tumour: bool) -> None:
    expected = the_segmenter.segment(a_phantom.ct, SegmentOptions(tumour=tumour))
    found = the_segmenter.segment(flipped(a_phantom.ct, I), SegmentOptions(tumour=tumour))
    assert np.array_equal(found.labels, np.flip(expected.labels, I))
    assert found.quality == pytest.approx(expected.quality)
    assert says_so(found.warnings, a_phantom.ct) and not says_so(expected.warnings, a_phantom.ct)


def test_front_and_back_exchanged(the_segmenter: Segmenter, a_phantom: Phantom) -> None:
    found = the_segmenter.segment(flipped(a_phantom.ct, J))
    assert dice(found.labels > 0, np.flip(a_phantom.labels, J) > 0) > 0.9
    assert says_so(found.warnings, a_phantom.ct)


def test_turned_round_is_not_mirrored(the_segmenter: Segmenter, a_phantom: Phantom) -> None:
    found = the_segmenter.segment(flipped(a_phantom.ct, J, I))
    assert dice(found.labels > 0, np.flip(a_phantom.labels, (J, I)) > 0) > 0.9
    assert not says_so(found.warnings, a_phantom.ct)


@pytest.mark.slow
def test_a_real_patient_mirrored_has_the_same_liver(the_segmenter: Segmenter, a_test_patient: CTVolume) -> None:
    expected = the_segmenter.segment(a_test_patient)
    found = the_segmenter.segment(flipped(a_test_patient, I))
    assert np.array_equal(found.labels, np.flip(expected.labels, I))
    assert says_so(found.warnings, a_test_patient)


def test_who_is_unsure_of_the_mirror_image_too_keeps_to_the_image(a_phantom: Phantom) -> None:
    model = LiverModel.load()
    always_unsure = {**(model.card.calibration or {}), "check_below": 1.0}
    unsure = Segmenter(replace(model, card=replace(model.card, calibration=always_unsure)), "cpu")
    found, expected = unsure.segment(a_phantom.ct), Segmenter(model, "cpu").segment(a_phantom.ct)
    assert np.array_equal(found.labels, expected.labels)
    assert found.quality == expected.quality
    assert not says_so(found.warnings, a_phantom.ct)


def noisy(hu: np.ndarray, name: str) -> CTVolume:
    """A volume of 5 mm slices with 3 mm pixels."""
    noise = np.random.default_rng(0).normal(0, 8, hu.shape)
    return CTVolume(
        np.rint(gaussian_filter(hu.astype(float), (0.0, 0.4, 0.4)) + noise).astype(np.int16),
        np.diag((-3.0, -3.0, 5.0, 1.0)),
        name,
    )


def head() -> CTVolume:
    """A brain in its skull under a scalp."""
    z, y, x = (np.indices((36, 80, 80)).T - (17.5, 39.5, 39.5)).T * np.reshape((5.0, 3.0, 3.0), (3, 1, 1, 1))
    radius = np.sqrt((x / 72) ** 2 + (y / 90) ** 2 + (z / 95) ** 2)
    return noisy(np.select([radius < 0.86, radius < 0.93, radius < 1], [38, 1000, 20], -1000), "head")


def legs() -> CTVolume:
    """Two round thighs with a bone in each."""
    _, y, x = (np.indices((30, 70, 130)).T - (14.5, 34.5, 64.5)).T * 3.0
    radius = np.hypot(np.abs(x) - 95, y)
    return noisy(np.select([radius < 14, radius < 65, radius < 80], [1000, 55, -100], -1000), "legs")


def bottle() -> CTVolume:
    """Water in a shell, as phantoms for calibration have it."""
    _, y, x = (np.indices((30, 80, 80)).T - (14.5, 39.5, 39.5)).T * 3.0
    radius = np.hypot(y, x)
    return noisy(np.select([radius < 94, radius < 100], [0, 120], -1000), "bottle")


@pytest.mark.parametrize("draw", [head, legs, bottle])
def test_what_has_no_side_has_no_liver(the_segmenter: Segmenter, draw: Callable[[], CTVolume]) -> None:
    found = the_segmenter.segment(draw())
    assert not found.labels.any() and found.quality is None and found.self_agreement == 0
    assert found.warnings == (messages.NO_LIVER,)


def test_a_small_find_in_the_mirror_image_is_not_believed(the_segmenter: Segmenter, a_phantom: Phantom) -> None:
    tip = CTVolume(a_phantom.ct.hu[:8], a_phantom.ct.affine, "tip")
    assert not says_so(the_segmenter.segment(flipped(tip, I)).warnings, tip)


@pytest.mark.parametrize("patient", [15])
def test_mr_that_passes_for_a_picture_of_ct_is_refused_for_its_doubtful_liver(
    the_segmenter: Segmenter, shared_data: Path, patient: int
) -> None:
    ct = read_ct(shared_data / "mr" / f"chaos_t2_{patient}_mr.nii.gz").every_few_slices(10.0)
    with pytest.raises(InputError, match="MR"):
        the_segmenter.segment(ct)


@pytest.mark.parametrize("patient", [32, 33])
def test_mr_in_8_bits_whose_background_was_not_clipped_goes_to_its_own_network(
    the_segmenter: Segmenter, shared_data: Path, patient: int
) -> None:
    mr = read_ct(shared_data / "mr" / f"chaos_t2_{patient}_mr.nii.gz").every_few_slices(10.0)
    found = the_segmenter.segment(mr)
    assert found.model.modality == "MR" and messages.SEGMENTED_AS_MR.format(name=mr.name) in found.warnings
