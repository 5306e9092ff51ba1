"""A liver on the left, because a header is wrong or the organs are mirrored, is found and reported as such."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.segmenter import Segmenter
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
    expected = the_segmenter.segment(a_phantom.ct, tumour=tumour)
    found = the_segmenter.segment(flipped(a_phantom.ct, I), tumour=tumour)
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
