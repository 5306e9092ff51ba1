"""From the network's labels to a clean liver."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from LiverSegLib.inference.postprocess import clean

SPACING = (3.0, 1.5, 1.5)
SHAPE = (16, 48, 48)


@pytest.fixture
def a_liver() -> np.ndarray:
    """A block of 8 × 24 × 24 voxels, solid."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[4:12, 12:36, 12:36] = 1
    return labels


def test_a_solid_liver_stays_as_it_is(a_liver: np.ndarray) -> None:
    result = clean(a_liver, SPACING)
    np.testing.assert_array_equal(result, a_liver)
    assert result.dtype == np.uint8
    assert result is not a_liver


def test_small_pieces_elsewhere_are_removed(a_liver: np.ndarray) -> None:
    labels = a_liver.copy()
    labels[1:4, 2:8, 2:8] = 1
    labels[14, 40, 40] = 2
    np.testing.assert_array_equal(clean(labels, SPACING), a_liver)


@pytest.mark.parametrize("sure", [True, False])
def test_a_small_piece_is_kept_if_the_network_is_sure_of_it(a_liver: np.ndarray, sure: bool) -> None:
    """It has 6 % of the largest one, and 13 ml."""
    a_liver[4:12, 12:36, 12:36] = 1
    labels = np.repeat(a_liver, 2, axis=0)
    labels[10:18, 14:30, 39:46] = 1
    asked = []

    def is_sure(box: tuple[slice, slice, slice], piece: np.ndarray) -> bool:
        asked.append(labels[box][piece].all() and piece.sum() == 8 * 16 * 7)
        return sure

    kept = clean(labels, (6.0, 1.5, 1.5), is_sure)[10:18, 14:30, 39:46]
    assert asked == [True] and kept.all() == kept.any() == sure


def test_a_speck_of_tumour_is_liver_and_a_tumour_stays(a_liver: np.ndarray) -> None:
    """Voxels of 6.75 mm³: a ball of 5 mm has 65 mm³, nearly ten of them."""
    labels = a_liver.copy()
    labels[6, 20, 15:25] = 2
    tumour = labels.copy()
    labels[9, 30, 15:24] = 2
    np.testing.assert_array_equal(clean(labels, SPACING), tumour)


def test_the_size_of_a_tumour_is_counted_in_millimetres(a_liver: np.ndarray) -> None:
    a_liver[6, 20, 15:20] = 2
    assert (clean(a_liver, (6.0, 1.5, 1.5)) == 2).sum() == 5
    assert not (clean(a_liver, (3.0, 1.5, 1.5)) == 2).any()


def test_voxels_of_a_tumour_hang_together_by_their_corners(a_liver: np.ndarray) -> None:
    a_liver[range(5, 11), range(15, 21), range(15, 21)] = 2
    assert (clean(a_liver, (6.0, 1.5, 1.5)) == 2).sum() == 6


def test_a_piece_that_touches_by_a_corner_only_is_a_piece_of_its_own(a_liver: np.ndarray) -> None:
    labels = a_liver.copy()
    labels[12:14, 36:38, 36:38] = 1
    np.testing.assert_array_equal(clean(labels, SPACING), a_liver)


def test_a_large_left_lobe_beside_a_gap_is_kept(a_liver: np.ndarray) -> None:
    a_liver[4:12, 12:36, 38:44] = 1
    np.testing.assert_array_equal(clean(a_liver, SPACING), a_liver)


@pytest.mark.parametrize(("gap_mm", "kept"), ((24.0, True), (36.0, False)))
def test_a_large_piece_is_kept_only_near_the_rest(a_liver: np.ndarray, gap_mm: float, kept: bool) -> None:
    tall = np.concatenate([a_liver, np.zeros((20, 48, 48), np.uint8)])
    first = 12 + round(gap_mm / SPACING[0])
    far = tall.copy()
    far[first : first + 4, 12:36, 12:36] = 1
    np.testing.assert_array_equal(clean(far, SPACING), far if kept else tall)


@pytest.mark.parametrize(("gap_mm", "kept"), ((24.0, True), (45.0, False)))
def test_a_large_piece_is_as_far_as_its_nearest_voxel(gap_mm: float, kept: bool) -> None:
    """A liver of the shape of an L, and a huge spleen that its box would hold."""
    liver = np.zeros((16, 96, 96), np.uint8)
    liver[2:14, 4:16, 4:92] = liver[2:14, 4:92, 4:16] = 1
    both = liver.copy()
    start = 16 + round(gap_mm / SPACING[1])
    both[3:13, start:92, start:92] = 1
    np.testing.assert_array_equal(clean(both, SPACING), both if kept else liver)


def test_what_begins_where_the_liver_has_tapered_off_is_no_liver() -> None:
    liver, bowel = np.zeros((24, 48, 48), np.uint8), np.zeros((24, 48, 48), np.uint8)
    for k in range(10, 24):
        liver[k, 10 : 10 + 2 * (k - 9), 10 : 10 + 2 * (k - 9)] = 1
    bowel[2:9, 8:24, 8:24] = 1
    np.testing.assert_array_equal(clean(liver | bowel, SPACING), liver)
    np.testing.assert_array_equal(clean((liver | bowel)[::-1], SPACING), liver[::-1])


@pytest.mark.parametrize(("columns", "kept"), [(10, True), (6, False)])
def test_pieces_whose_facing_ends_are_alike_by_half_are_one_liver(columns: int, kept: bool) -> None:
    liver = np.zeros((24, 48, 48), np.uint8)
    liver[12:, 10:30, 10:30] = 1
    below = liver.copy()
    below[4:10, 10:30, 10 : 10 + columns] = 1  # Dice of the ends: 2/3 or 0.46
    np.testing.assert_array_equal(clean(below, SPACING), below if kept else liver)


@pytest.mark.parametrize("upside_down", (False, True))
def test_a_liver_that_a_spoilt_slice_parts_is_kept_whole(a_liver: np.ndarray, upside_down: bool) -> None:
    a_liver[7:9] = 0
    a_liver[4:7, 12:18] = 0
    parted = a_liver[::-1] if upside_down else a_liver
    np.testing.assert_array_equal(clean(parted, SPACING), parted)


def test_tumours_keep_their_label_and_count_as_liver(a_liver: np.ndarray) -> None:
    a_liver[6:9, 16:30, 16:30] = 2
    a_liver[4:12, 12:36, 36:42] = 2
    np.testing.assert_array_equal(clean(a_liver, SPACING), a_liver)


def test_a_thin_vessel_through_the_liver_is_filled(a_liver: np.ndarray) -> None:
    labels = a_liver.copy()
    labels[:, 20:23, 20:23] = 0  # 4.5 mm × 4.5 mm, open above and below
    np.testing.assert_array_equal(clean(labels, SPACING), a_liver)


def test_a_missed_lesion_with_a_narrow_way_out_is_filled(a_liver: np.ndarray) -> None:
    labels = a_liver.copy()
    labels[6:9, 16:30, 16:30] = 0
    labels[9:12, 20:22, 20:22] = 0
    np.testing.assert_array_equal(clean(labels, SPACING), a_liver)


def test_a_great_vessel_through_the_liver_stays_outside(a_liver: np.ndarray) -> None:
    a_liver[:, 18:30, 18:30] = 0  # 18 mm × 18 mm, open above and below
    np.testing.assert_array_equal(clean(a_liver, SPACING), a_liver)


def test_a_fissure_that_is_open_to_the_side_stays_open(a_liver: np.ndarray) -> None:
    a_liver[:, 12:30, 22:24] = 0
    np.testing.assert_array_equal(clean(a_liver, SPACING), a_liver)


def test_the_size_of_a_vessel_is_judged_in_millimetres(a_liver: np.ndarray) -> None:
    a_liver[:, 20:23, 20:23] = 0
    wide_pixels = (3.0, 5.0, 5.0)  # now the vessel measures 15 mm × 15 mm
    np.testing.assert_array_equal(clean(a_liver, wide_pixels), a_liver)


def test_a_single_slice_is_cleaned() -> None:
    labels = np.zeros((1, 48, 48), np.uint8)
    labels[0, 10:30, 10:30] = 1
    expected = labels.copy()
    labels[0, 15:17, 15:17] = 0
    labels[0, 40, 40] = 1
    np.testing.assert_array_equal(clean(labels, SPACING), expected)


@given(seed=st.integers(0, 10_000), share=st.floats(0.01, 0.9))
@settings(max_examples=20)
def test_cleaning_only_drops_pieces_and_specks_and_fills_background(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(rng.standard_normal((12, 24, 24)), 1.5)
    labels = (field > np.quantile(field, 1 - share)).astype(np.uint8)
    labels[(labels > 0) & (rng.random(labels.shape) < 0.1)] = 2
    result = clean(labels, SPACING)
    changed = result != labels
    assert set(np.unique(result[changed & (labels == 0)])) <= {1}
    assert set(np.unique(result[changed & (labels == 1)])) <= {0}
    assert set(np.unique(result[changed & (labels == 2)])) <= {0, 1}
    np.testing.assert_array_equal(ndimage.binary_fill_holes(result > 0), result > 0)
