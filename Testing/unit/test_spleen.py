"""The spleen: found where the network sees it, also beyond the liver's slices, and only when asked for.

In the place of the network there is one that knows organs by their HU.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.model.liver_model import LiverModel

LIVER_HU, SPLEEN_HU = 120, 170
PIXEL_MM, SLICE_MM = 3.0, 3.0
CLASSES = ("background", "liver", "tumour", "left kidney", "spleen")
SPLEEN = SegmentOptions(spleen=True)


def knows_by_hu(images: torch.Tensor) -> torch.Tensor:
    """Logits of :data:`CLASSES`, ±6 by the HU of the middle slice."""
    hu = images[:, images.shape[1] // 2] * 200 + 40
    liver, spleen = (hu - LIVER_HU).abs() < 25, (hu - SPLEEN_HU).abs() < 25
    nothing = torch.zeros_like(liver)
    return torch.stack((~(liver | spleen), liver, nothing, nothing, spleen), dim=1) * 12.0 - 6.0


@pytest.fixture
def ct() -> CTVolume:
    """A trunk of 600 mm with a liver from 300 to 450 mm on the right, a spleen from 180 to 345 mm on the left."""
    k, j, i = np.ogrid[:200, :110, :140]
    radius = np.hypot((j - 55) / 36, (i - 70) / 55)
    hu = np.broadcast_to(np.select([radius < 0.9, radius < 1], [0, -100], -1000), (200, 110, 140)).astype(np.int16)
    hu[((k - 125) / 25) ** 2 + ((j - 50) / 22) ** 2 + ((i - 45) / 22) ** 2 < 1] = LIVER_HU
    hu[((k - 87) / 27) ** 2 + ((j - 62) / 12) ** 2 + ((i - 105) / 10) ** 2 < 1] = SPLEEN_HU
    return CTVolume(hu, np.diag((-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0)), "trunk")


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel) -> Segmenter:
    card = replace(an_untrained_model.card, spacing_mm=PIXEL_MM, classes=CLASSES)
    segmenter = Segmenter(replace(an_untrained_model, card=card), "cpu")
    segmenter.predictor.network = knows_by_hu
    return segmenter


def spleen_of(segmenter: Segmenter, ct: CTVolume) -> np.ndarray:
    found = segmenter.segment(ct, SPLEEN).anatomy.spleen
    assert found is not None and found.dtype == np.bool_
    return found


def test_the_spleen_is_found_beyond_the_slices_and_the_box_of_the_liver(a_segmenter: Segmenter, ct: CTVolume) -> None:
    assert dice(spleen_of(a_segmenter, ct), ct.hu == SPLEEN_HU) > 0.97


def test_the_liver_is_the_same_with_and_without_the_spleen(a_segmenter: Segmenter, ct: CTVolume) -> None:
    with_spleen, without = a_segmenter.segment(ct, SPLEEN), a_segmenter.segment(ct)
    assert np.array_equal(with_spleen.labels, without.labels) and without.labels.any()
    assert without.anatomy.spleen is None


def test_the_spleen_does_not_overlap_the_liver(a_segmenter: Segmenter, ct: CTVolume) -> None:
    """Also where the clean-up fills a hole of the liver in which the network sees spleen."""
    ct.hu[122:128, 47:53, 42:48] = SPLEEN_HU
    found = a_segmenter.segment(ct, SPLEEN)
    assert (found.labels[122:128, 47:53, 42:48] > 0).all()
    assert not (found.anatomy.spleen & (found.labels > 0)).any()


def test_the_spleen_is_one_piece(a_segmenter: Segmenter, ct: CTVolume) -> None:
    ct.hu[120:128, 30:36, 88:94] = SPLEEN_HU
    found = spleen_of(a_segmenter, ct)
    assert not found[116:].any() and found[:116].any()


def test_the_spleen_lies_on_the_scans_own_axes(a_segmenter: Segmenter, ct: CTVolume) -> None:
    expected = spleen_of(a_segmenter, ct)
    affine = ct.affine[:, [2, 0, 1, 3]]
    turned = spleen_of(a_segmenter, CTVolume(ct.hu.transpose(1, 2, 0).copy(), affine))
    assert np.array_equal(turned, expected.transpose(1, 2, 0))


def test_the_spleen_is_found_in_an_oblique_scan(a_segmenter: Segmenter, ct: CTVolume) -> None:
    tilt = np.eye(4)
    tilt[:3, :3] = Rotation.from_euler("x", 8, degrees=True).as_matrix()
    oblique = replace(ct, affine=tilt @ ct.affine)
    assert dice(spleen_of(a_segmenter, oblique), ct.hu == SPLEEN_HU) > 0.9


def test_tumours_and_probabilities_stay_beside_it(a_segmenter: Segmenter, ct: CTVolume) -> None:
    found = a_segmenter.segment(ct, SegmentOptions(spleen=True, tumour=True), probabilities=True)
    assert found.probabilities.shape == (3, *ct.hu.shape)
    assert found.anatomy.spleen.any() and (found.labels == 1).any()


def test_a_network_that_does_not_know_the_spleen_says_so(an_untrained_model: LiverModel, ct: CTVolume) -> None:
    found = Segmenter(an_untrained_model, "cpu").segment(ct, SPLEEN)
    assert found.anatomy.spleen is None
    assert messages.NETWORK_WITHOUT_SPLEEN.format(name="untrained") in found.warnings


def test_a_patient_without_spleen_has_none_and_is_told(a_segmenter: Segmenter, ct: CTVolume) -> None:
    ct.hu[ct.hu == SPLEEN_HU] = 0
    ct.hu[80:82, 60:63, 100:103] = SPLEEN_HU
    found = a_segmenter.segment(ct, SPLEEN)
    assert found.anatomy.spleen is None
    assert messages.NO_SPLEEN in found.warnings


def test_a_spleen_that_the_scan_cuts_off_is_told(a_segmenter: Segmenter, ct: CTVolume) -> None:
    for part in (slice(80, None), slice(105)):
        assert messages.SPLEEN_CUT in a_segmenter.segment(replace(ct, hu=ct.hu[part]), SPLEEN).warnings
    columns = np.flatnonzero((ct.hu == SPLEEN_HU).any(axis=(0, 1)))
    at_side = replace(ct, hu=ct.hu[:, :, columns[len(columns) // 2] :])
    assert messages.SPLEEN_CUT in a_segmenter.segment(at_side, SPLEEN).warnings
    assert messages.SPLEEN_CUT not in a_segmenter.segment(ct, SPLEEN).warnings


def test_a_slice_of_a_spleen_is_told_from_none(a_segmenter: Segmenter, ct: CTVolume) -> None:
    slices = np.flatnonzero((ct.hu == SPLEEN_HU).any(axis=(1, 2)))
    found = a_segmenter.segment(replace(ct, hu=ct.hu[slices[-1] :]), SPLEEN)
    assert found.anatomy.spleen is None
    assert messages.NO_SPLEEN_OF_SO_LITTLE in found.warnings and messages.NO_SPLEEN not in found.warnings
