"""A mirror image is believed when aorta and vena cava lie on their sides in it, and not because it looks better."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverSegLib import messages
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.inference.sides import ml_on_their_sides
from LiverSegLib.model.liver_model import LiverModel

LIVER_HU, CAVA_HU, AORTA_HU = 100, 160, 220
CLASSES = ("background", "liver", "tumour", "aorta", "vena cava")


class Reader(torch.nn.Module):
    """Knows liver and vessels by their HU, and is sure of a liver on the right of the image only, as a network is."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hu = images[:, 1] * 200 + 40
        logits = torch.full((len(images), len(CLASSES), *hu.shape[1:]), -9.0)
        logits[:, 0] = 0.0
        column = torch.arange(hu.shape[2])
        sure = torch.where(column < 64, 9.0, 1.0).expand_as(hu)
        logits[:, 1] = torch.where((hu - LIVER_HU).abs() < 20, sure, -9.0)
        logits[:, 3] = torch.where((hu - AORTA_HU).abs() < 20, 9.0, -9.0)
        logits[:, 4] = torch.where((hu - CAVA_HU).abs() < 20, 9.0, -9.0)
        return logits


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel) -> Segmenter:
    calibration = {"intercept": 0.0, "slope": 1.0, "check_below": 0.9}
    card = replace(an_untrained_model.card, classes=CLASSES, calibration=calibration)
    segmenter = Segmenter(replace(an_untrained_model, card=card), "cpu")
    segmenter.predictor.network = Reader()
    return segmenter


def a_patient(liver: slice, aorta: slice, cava: slice) -> CTVolume:
    """Of 128 columns of 1.5 mm, which run to the left."""
    hu = np.full((30, 96, 128), -1000, np.int16)
    hu[:, 8:88, 8:120] = 0
    hu[5:25, 20:68, liver] = LIVER_HU
    hu[:, 71:83, aorta] = AORTA_HU
    hu[:, 71:83, cava] = CAVA_HU
    return CTVolume(hu, np.diag((-1.5, -1.5, 5.0, 1.0)), "patient")


RIGHT, LEFT = slice(12, 60), slice(68, 116)
# Of a vessel.
RIGHT_OF_MIDDLE, LEFT_OF_MIDDLE = slice(44, 58), slice(70, 84)
VESSEL_ML = 30 * 12 * 14 * 1.5**2 * 5 / 1000


def test_a_vessel_counts_on_its_side_and_against_on_the_other(a_segmenter: Segmenter) -> None:
    ct = a_patient(RIGHT, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE)
    assert ml_on_their_sides(a_segmenter.predictor, ct, 4) == pytest.approx(2 * VESSEL_ML, rel=0.1)
    assert ml_on_their_sides(a_segmenter.predictor, ct.mirrored(), 4) == pytest.approx(-2 * VESSEL_ML, rel=0.1)


@pytest.mark.parametrize(
    ("liver", "aorta", "cava", "mirrored"),
    [
        (RIGHT, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE, False),
        (LEFT, RIGHT_OF_MIDDLE, LEFT_OF_MIDDLE, True),
        (LEFT, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE, False),
    ],
)
def test_a_liver_on_the_left_is_a_mirror_image_only_if_the_vessels_say_so(
    a_segmenter: Segmenter, liver: slice, aorta: slice, cava: slice, mirrored: bool
) -> None:
    ct = a_patient(liver, aorta, cava)
    found = a_segmenter.segment(ct, SegmentOptions(force=True))
    assert (messages.MIRRORED.format(name=ct.name) in found.warnings) is mirrored
    assert found.labels.any()


def test_what_looks_the_same_in_the_mirror_and_has_no_vessels_is_no_liver(a_segmenter: Segmenter) -> None:
    found = a_segmenter.segment(a_patient(LEFT, slice(0), slice(0)), SegmentOptions(force=True))
    assert not found.labels.any() and messages.NO_LIVER in found.warnings


@pytest.mark.parametrize("upside_down", [False, True])
def test_a_large_piece_away_from_the_liver_is_left_out_and_told(a_segmenter: Segmenter, upside_down: bool) -> None:
    """Of two thirds of the liver's size, and 36 mm from it, as a huge spleen may lie; largest in slices 8 to 12."""
    ct = a_patient(RIGHT, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE)
    if upside_down:
        ct = CTVolume(ct.hu, np.diag((-1.5, -1.5, -5.0, 1.0)), ct.name)
    alone = a_segmenter.segment(ct, SegmentOptions(force=True))
    ct.hu[5:25, 20:68, 84:116] = LIVER_HU
    ct.hu[7:12, 20:68, 116:118] = LIVER_HU
    found = a_segmenter.segment(ct, SegmentOptions(force=True))
    assert np.array_equal(found.labels, alone.labels)
    (told,) = set(found.warnings) - set(alone.warnings)
    ml, number = map(int, re.findall(r"\d+", told))
    assert told == messages.LOOKED_LIKE_LIVER.format(ml=ml, number=number)
    assert 300 < ml < 350 and 8 <= number <= 12


def test_a_look_for_vessels_needs_no_more_memory_than_there_is(
    a_segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    predictor, classes, sizes = a_segmenter.predictor, a_segmenter.predictor.classes, []

    def with_room_for_one(images: torch.Tensor) -> torch.Tensor:
        sizes.append(len(images))
        if len(images) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return classes(images)

    ct = a_patient(RIGHT, LEFT_OF_MIDDLE, RIGHT_OF_MIDDLE)
    expected = a_segmenter.segment(ct, SegmentOptions(force=True)).labels
    monkeypatch.setattr(predictor, "classes", with_room_for_one)
    assert np.array_equal(a_segmenter.segment(ct, SegmentOptions(force=True)).labels, expected)
    assert max(sizes) > 1 and sizes[-1] == 1
