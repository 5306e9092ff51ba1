"""Lesions are counted one by one, as a radiologist would."""

from __future__ import annotations

import numpy as np
import pytest

from Training.evaluation.lesions import LesionCounts, ball_diameter_mm, count_lesions

SHAPE = (12, 40, 40)
ML = 0.001  # voxels of 1 mm


def boxes(*corners: tuple[int, int, int, int]) -> np.ndarray:
    """A mask with cubes, each given by its first voxel (k, j, i) and its side."""
    mask = np.zeros(SHAPE, bool)
    for k, j, i, side in corners:
        mask[k : k + side, j : j + side, i : i + side] = True
    return mask


def test_found_missed_and_false_lesions_are_told_apart() -> None:
    reference = boxes((1, 2, 2, 5), (1, 20, 20, 5))
    prediction = boxes((2, 3, 3, 5), (1, 30, 2, 4), (6, 30, 30, 3))
    assert count_lesions(prediction, reference, ML) == LesionCounts(found=1, missed=1, false=2)


def test_a_touch_is_no_detection() -> None:
    reference, prediction = boxes((1, 2, 2, 6)), boxes((6, 7, 7, 6))
    assert (reference & prediction).sum() == 1
    assert count_lesions(prediction, reference, ML) == LesionCounts(found=0, missed=1, false=1)


def test_one_large_prediction_finds_every_lesion_in_it() -> None:
    reference = boxes((2, 2, 2, 5), (2, 2, 10, 5))
    prediction = np.zeros(SHAPE, bool)
    prediction[2:7, 2:7, 2:15] = True
    assert count_lesions(prediction, reference, ML) == LesionCounts(found=2, missed=0, false=0)


def test_voxels_that_touch_by_a_corner_are_one_lesion() -> None:
    assert count_lesions(boxes(), boxes((1, 1, 1, 2), (3, 3, 3, 2)), ML).total == 1


def test_only_large_lesions_count_when_asked() -> None:
    # Cubes of 10 and 7 voxels of 1 mm: balls of 12.4 and 8.7 mm.
    reference = boxes((1, 2, 2, 10), (1, 20, 20, 7))
    prediction = boxes((1, 20, 30, 7))
    assert count_lesions(prediction, reference, ML) == LesionCounts(found=0, missed=2, false=1)
    assert count_lesions(prediction, reference, ML, larger_than_mm=10) == LesionCounts(found=0, missed=1, false=0)


def test_a_small_prediction_can_find_a_large_lesion() -> None:
    counts = count_lesions(boxes((1, 2, 2, 5)), boxes((1, 2, 2, 10)), ML, larger_than_mm=10)
    assert counts == LesionCounts(found=1, missed=0, false=0)


def test_without_lesions_there_is_nothing_to_count() -> None:
    assert count_lesions(boxes(), boxes(), ML) == LesionCounts(0, 0, 0)


def test_the_diameter_is_that_of_a_ball() -> None:
    assert ball_diameter_mm(4 / 3 * np.pi * 5**3 / 1000) == pytest.approx(10)


def test_masks_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="different shapes"):
        count_lesions(boxes(), boxes()[1:], ML)
