"""Where a reader should look: regions that the network doubts, named by slice, side and volume."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LiverSegLib.data.places import Place
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.confidence import ConfidenceMap
from LiverSegLib.inference.label_writer import LabelWriter
from LiverSegLib.inference.places import LEAST_ML, MOST_PLACES, places_to_check

SHAPE = (40, 90, 90)
AFFINE = np.array(((-1.5, 0, 0, 70.0), (0, -1.5, 0, 60.0), (0, 0, 3.0, -500.0), (0, 0, 0, 1.0)))


@pytest.fixture
def a_liver() -> torch.Tensor:
    """Log-odds of a block of 20 slices with a sharp outline."""
    log_odds = torch.full(SHAPE, -8.0)
    log_odds[10:30, 20:70, 10:70] = 8.0
    return log_odds


def places_of(log_odds: torch.Tensor, ct: CTVolume | None = None, affine: np.ndarray = AFFINE) -> tuple[Place, ...]:
    """Of a result with these log-odds on the CT's canonical grid."""
    writer = LabelWriter(ct or CTVolume(np.zeros(SHAPE, np.int16), AFFINE), None)
    writer.confidence = ConfidenceMap(writer.canonical.geometry)
    writer.confidence.add(range(len(log_odds)), log_odds)
    writer.write(range(len(log_odds)), log_odds[:, None], (slice(None), slice(None)))
    writer.clean_up()
    return places_to_check(writer, affine)


def test_a_sharp_outline_is_no_place_to_check(a_liver: torch.Tensor) -> None:
    assert places_of(a_liver) == ()
    assert places_of(torch.full(SHAPE, -8.0)) == ()


def test_a_doubtful_region_is_told_with_its_slice_side_and_volume(a_liver: torch.Tensor) -> None:
    a_liver[12:18, 20:35, 52:70] = 0.5  # 11 ml, wrong with 38 %
    [place] = places_of(a_liver)
    assert 12 <= place.slice < 18
    assert place.position_mm[2] == pytest.approx(-500 + 3 * place.slice)
    assert 52 <= (70 - place.position_mm[0]) / 1.5 < 70
    assert (place.side, place.height, place.inside) == ("left", "lower", True)
    assert place.ml == pytest.approx(10.9 * 0.38, rel=0.1)


def test_what_is_left_out_in_doubt_is_a_place_too(a_liver: torch.Tensor) -> None:
    a_liver[24:30, 30:45, 0:9] = -0.5
    [place] = places_of(a_liver)
    assert (place.side, place.height, place.inside) == ("right", "upper", False)


def test_a_piece_that_clean_up_takes_away_is_a_place_however_sure_the_network_is(a_liver: torch.Tensor) -> None:
    a_liver[15:20, 30:45, 72:81] = 8.0
    [place] = places_of(a_liver)
    assert not place.inside and place.side == "left"
    assert place.ml == pytest.approx(5 * 15 * 9 * 0.00675, rel=0.3)


def test_the_most_doubtful_come_first_and_only_a_few(a_liver: torch.Tensor) -> None:
    for n in range(7):
        a_liver[10:30, 20 + 7 * n : 24 + 7 * n, 58 - 2 * n : 70] = 0.2
        a_liver[10:30, 24 + 7 * n : 27 + 7 * n, 50:70] = 9.0
    for n in range(3):
        a_liver[10:30, 20 + 20 * n : 28 + 20 * n, 10 : 20 + n] = -0.2
    found = places_of(a_liver)
    assert 3 <= len(found) <= MOST_PLACES
    assert [place.ml for place in found] == sorted((place.ml for place in found), reverse=True)
    assert all(place.ml >= LEAST_ML for place in found)


def test_the_slice_is_the_inputs_own_whatever_its_axes(a_liver: torch.Tensor) -> None:
    a_liver[12:18, 20:35, 52:70] = 0.5
    [expected] = places_of(a_liver)
    flip = AFFINE.copy()
    flip[:, 2], flip[:, 3] = -AFFINE[:, 2], AFFINE[:, 3] + (len(a_liver) - 1) * AFFINE[:, 2]
    [place] = places_of(a_liver, CTVolume(np.zeros(SHAPE, np.int16), flip), flip)
    assert place.slice == len(a_liver) - 1 - expected.slice
    assert place.position_mm == pytest.approx(expected.position_mm)


def test_of_a_mirror_image_it_is_told_where_the_input_has_it(a_liver: torch.Tensor) -> None:
    a_liver[12:18, 20:35, 52:70] = 0.5
    [expected] = places_of(a_liver)
    mirrored = CTVolume(np.zeros(SHAPE, np.int16), np.diag((-1.0, 1.0, 1.0, 1.0)) @ AFFINE)
    [place] = places_of(a_liver.flip(2), mirrored)
    assert place.slice == expected.slice
    assert place.position_mm == pytest.approx(expected.position_mm, abs=10)  # anywhere in an even doubt
