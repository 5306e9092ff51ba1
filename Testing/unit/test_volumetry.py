"""Volumes of segments, tumours and where they lie, attenuation: on shapes whose measures are known exactly."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.labels import LabelVolume
from LiverSegLib.data.patient_space import PatientSpace, cell_edges
from LiverSegLib.data.volumetry import Volumetry, find_tumours, measure_attenuation, rounded_parts
from LiverSegLib.evaluation.anatomy_measures import measure

SPACING = (2.5, 1.0, 1.0)
AFFINE = np.diag([-1.0, -1.0, 2.5, 1.0])
VOXEL_ML = 0.0025


@pytest.fixture
def labels() -> np.ndarray:
    """A liver of 8 × 24 × 32 voxels with a tumour of 2 × 4 × 6 in the columns 10 to 15, and one of a single voxel."""
    labels = np.zeros((12, 40, 48), np.uint8)
    labels[2:10, 4:28, 2:34] = 1
    labels[4:6, 8:12, 10:16] = 2
    labels[8, 20, 30] = 2
    return labels


@pytest.fixture
def anatomy(labels: np.ndarray) -> Anatomy:
    """Segments 1 to 8 as slabs of four columns, and a spleen of 4 × 8 × 8 voxels."""
    columns = np.clip((np.arange(48) - 2) // 4 + 1, 1, 8)
    spleen = np.zeros(labels.shape, bool)
    spleen[3:7, 30:38, 36:44] = True
    return Anatomy(np.where(labels > 0, columns, 0).astype(np.uint8), spleen)


def test_segments_add_up_to_the_liver_and_their_tumours_to_the_tumours(labels, anatomy) -> None:
    found = Volumetry.of(labels, anatomy, LabelVolume(labels, AFFINE))
    assert list(found.segments_ml) == list(range(1, 9))
    assert sum(found.segments_ml.values()) == pytest.approx(found.liver_ml) == pytest.approx(8 * 24 * 32 * VOXEL_ML)
    assert sum(found.segments_tumour_ml.values()) == pytest.approx(found.tumour_ml) == pytest.approx(49 * VOXEL_ML)
    assert found.segments_ml[3] == pytest.approx(8 * 24 * 4 * VOXEL_ML)
    assert found.segments_percent == pytest.approx(dict.fromkeys(range(1, 9), 12.5))
    assert found.spleen_ml == pytest.approx(256 * VOXEL_ML)


def test_each_tumour_has_its_volume_its_longest_diameter_and_the_segments_it_lies_in(labels, anatomy) -> None:
    large, small = Volumetry.of(labels, anatomy, LabelVolume(labels, AFFINE)).tumours
    assert (large.volume_ml, small.volume_ml) == pytest.approx((48 * VOXEL_ML, VOXEL_ML))
    # From the middle of an upper face to that of the lower one farthest away.
    assert large.diameter_mm == pytest.approx(np.sqrt(5**2 + 3**2 + 5**2))
    assert small.diameter_mm == pytest.approx(2.5)
    # Columns 10 to 13 are segment 3, 14 and 15 are segment 4.
    assert large.segments == (3, 4) and small.segments == (8,)


def test_a_segment_that_a_tumour_hardly_touches_is_not_named() -> None:
    tumour = np.zeros((3, 10, 10), bool)
    tumour[1] = True
    segments = np.where(tumour, 5, 0).astype(np.uint8)
    segments[1, 0, :4] = 8
    space = LabelVolume(segments, AFFINE)
    assert find_tumours(tumour, segments, space)[0].segments == (5,)
    segments[1, 0, :5] = 8
    assert find_tumours(tumour, segments, space)[0].segments == (5, 8)


def test_without_segments_tumours_lie_nowhere_in_particular(labels) -> None:
    found = Volumetry.of(labels, Anatomy(), LabelVolume(labels, AFFINE))
    assert found.segments_ml == {} and found.spleen_ml is None
    assert [tumour.segments for tumour in found.tumours] == [(), ()]


def test_where_there_is_no_tumour_none_is_found(labels, anatomy) -> None:
    found = Volumetry.of(np.minimum(labels, 1), anatomy, LabelVolume(labels, AFFINE))
    assert found.tumours == () and found.tumour_ml == 0


def test_the_longest_diameter_of_a_ball_is_its_diameter_to_a_slice() -> None:
    k, j, i = np.indices((17, 41, 41)) - np.array([8, 20, 20])[:, None, None, None]
    ball = (2.5 * k) ** 2 + j**2 + i**2 <= 15**2
    [found] = find_tumours(ball, None, LabelVolume(ball.astype(np.uint8), AFFINE))
    assert found.diameter_mm == pytest.approx(30, abs=2.5)


def test_under_a_transform_that_doubles_lengths_everything_is_that_of_the_patient(labels, anatomy) -> None:
    edges = cell_edges((slice(0, 12), slice(0, 40), slice(0, 48)), SPACING, linear=True)
    corners = np.stack(np.meshgrid(*edges, indexing="ij"), axis=-1) * np.array(SPACING) * 2
    plain = Volumetry.of(labels, anatomy, LabelVolume(labels, AFFINE))
    moved = Volumetry.of(labels, anatomy, PatientSpace(edges, corners))
    assert moved.segments_ml == pytest.approx({n: 8 * volume for n, volume in plain.segments_ml.items()})
    assert moved.spleen_ml == pytest.approx(8 * plain.spleen_ml)
    assert [t.diameter_mm for t in moved.tumours] == pytest.approx([2 * t.diameter_mm for t in plain.tumours])


def test_attenuation_is_that_of_the_inside_without_tumours(labels) -> None:
    spleen = np.zeros(labels.shape, bool)
    spleen[1:11, 28:40, 34:48] = True
    hu = np.where(labels == 1, 55, 0) + np.where(labels == 2, 20, 0) + np.where(spleen, 48, 0)
    hu[:, 4:28, [2, 33]] = -100  # the rim has a part of the fat beside it
    found = measure_attenuation(hu.astype(np.int16), labels, spleen, SPACING)
    assert (found.liver, found.spleen, found.difference) == pytest.approx((55, 48, 7))
    assert not found.has_contrast


def test_vessels_do_not_count_in_the_attenuation_of_the_liver(labels) -> None:
    spleen, vessels = np.zeros((2, *labels.shape), bool)
    vessels[:, ::4] = True
    hu = np.where(vessels, 150, 60).astype(np.int16)
    assert measure_attenuation(hu, labels, spleen, SPACING, vessels).liver == pytest.approx(60)
    assert measure_attenuation(hu, labels, spleen, SPACING).liver > 70


def test_a_bright_spleen_tells_of_contrast_medium(labels) -> None:
    spleen = np.zeros(labels.shape, bool)
    spleen[1:11, 28:40, 34:48] = True
    assert measure_attenuation(np.where(spleen, 110, 100), labels, spleen, SPACING).has_contrast


def test_of_what_is_too_thin_to_measure_nothing_is_said(labels) -> None:
    spleen = np.zeros(labels.shape, bool)
    spleen[3, 30:38, 36:44] = True
    found = measure_attenuation(np.full(labels.shape, 50, np.int16), labels, spleen, SPACING)
    assert found.liver == 50 and found.spleen is None and found.difference is None


def test_a_report_says_why_it_has_no_difference_and_its_figures_add_up(labels, anatomy) -> None:
    hu = np.where(labels > 0, 100, np.where(anatomy.spleen, 80, 0)).astype(np.int16)
    hu[4], hu[5, 33] = hu[4] + 1, hu[5, 33] + 1
    space = LabelVolume(labels, AFFINE)
    thin = measure(labels, anatomy, space, hu, SPACING)
    assert thin["attenuation_hu"]["spleen"] is None and thin["attenuation_remark"] == messages.TOO_THIN_REMARK
    spleen = np.zeros(labels.shape, bool)
    spleen[1:11, 28:40, 34:48] = True
    thick = measure(labels, Anatomy(spleen=spleen), space, np.where(spleen, hu + 80, hu), SPACING)
    found = thick["attenuation_hu"]
    assert found["difference"] == pytest.approx(found["liver"] - found["spleen"], abs=1e-9)
    assert thick["attenuation_remark"] == messages.CONTRAST_REMARK


def test_rounded_parts_add_up_to_the_rounded_whole() -> None:
    parts = {number: 100 / 3 + number * 0.0049 for number in range(1, 9)}
    rounded = rounded_parts(parts, 2)
    assert round(sum(rounded.values()), 2) == round(sum(parts.values()), 2)
    assert all(abs(rounded[number] - part) <= 0.01 for number, part in parts.items())
    assert rounded_parts({}, 2) == {}
