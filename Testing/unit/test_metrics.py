"""Every measure against MONAI, as the published implementation, and against cases worked by hand."""

from __future__ import annotations

import math
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from LiverSegLib.data.metrics import compare, dice, iou, volume_difference_percent

if TYPE_CHECKING:
    import torch

EMPTY = np.zeros((4, 5, 6), bool)
SPACINGS = st.tuples(st.floats(0.5, 6), st.floats(0.5, 2), st.floats(0.5, 2))


@pytest.fixture(scope="module")
def monai() -> ModuleType:
    """Loaded before any example is drawn: that takes longer than all of them."""
    return pytest.importorskip("monai.metrics")


def blobs(seed: int, share: float, shape: tuple[int, ...] = (12, 20, 24)) -> np.ndarray:
    """Random smooth bodies that fill a share of the array and may touch its border."""
    noise = np.random.default_rng(seed).standard_normal(shape)
    field = ndimage.gaussian_filter(noise, (1.5, 2.5, 2.5))
    return field > np.quantile(field, 1 - share)


def box(*sides: slice) -> np.ndarray:
    mask = np.zeros((8, 10, 12), bool)
    mask[sides] = True
    return mask


def as_batch(mask: np.ndarray) -> torch.Tensor:
    """As MONAI wants it: (batch, class, k, j, i)."""
    return pytest.importorskip("torch").from_numpy(mask[None, None].astype(np.float32))


@given(seeds=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)), shares=st.tuples(*[st.floats(0.02, 0.6)] * 2))
@settings(max_examples=25)
def test_overlap_agrees_with_monai(monai: ModuleType, seeds: tuple[int, int], shares: tuple[float, float]) -> None:
    prediction, reference = (blobs(seed, share) for seed, share in zip(seeds, shares, strict=True))
    batches = as_batch(prediction), as_batch(reference)
    assert dice(prediction, reference) == pytest.approx(monai.compute_dice(*batches).item(), abs=1e-6)
    assert iou(prediction, reference) == pytest.approx(monai.compute_iou(*batches).item(), abs=1e-6)


@given(
    seeds=st.tuples(st.integers(0, 10_000), st.integers(0, 10_000)),
    shares=st.tuples(*[st.floats(0.02, 0.6)] * 2),
    spacing=SPACINGS,
)
@settings(max_examples=25)
def test_surface_distances_agree_with_monai(
    monai: ModuleType, seeds: tuple[int, int], shares: tuple[float, float], spacing: tuple[float, float, float]
) -> None:
    prediction, reference = (blobs(seed, share) for seed, share in zip(seeds, shares, strict=True))
    batches = as_batch(prediction), as_batch(reference)
    hd95 = monai.compute_hausdorff_distance(*batches, include_background=True, percentile=95, spacing=spacing).item()
    assd = monai.compute_average_surface_distance(
        *batches, include_background=True, symmetric=True, spacing=spacing
    ).item()
    found = compare(prediction, reference, spacing)
    assert (found["hd95_mm"], found["assd_mm"]) == pytest.approx((hd95, assd), rel=1e-4, abs=1e-5)


def test_two_voxels_are_as_far_apart_as_their_centres() -> None:
    here, there = box(slice(1, 2), slice(2, 3), slice(3, 4)), box(slice(3, 4), slice(5, 6), slice(9, 10))
    # 2 slices of 3 mm, 3 rows of 2 mm, 6 columns of 1 mm.
    distance = math.sqrt(6**2 + 6**2 + 6**2)
    found = compare(here, there, (3.0, 2.0, 1.0))
    assert (found["hd95_mm"], found["assd_mm"]) == pytest.approx((distance, distance))


def test_hd95_passes_over_one_outlier_in_a_hundred() -> None:
    plate = np.zeros((8, 20, 20), bool)
    plate[4] = True
    outlier = plate.copy()
    outlier[0, 10, 10] = True
    found = compare(outlier, plate, (1.0, 1.0, 1.0))
    # One of 401 + 400 surface voxels is 4 mm away.
    assert (found["hd95_mm"], found["assd_mm"]) == (0.0, pytest.approx(4 / 801))


def test_a_prediction_twice_as_large_differs_by_a_hundred_percent() -> None:
    small, large = box(slice(2, 4), slice(2, 6), slice(2, 6)), box(slice(2, 6), slice(2, 6), slice(2, 6))
    assert volume_difference_percent(large, small) == 100.0
    assert volume_difference_percent(small, large) == -50.0


@given(seed=st.integers(0, 10_000), share=st.floats(0.02, 0.6), spacing=SPACINGS)
@settings(max_examples=10)
def test_a_mask_agrees_perfectly_with_itself(seed: int, share: float, spacing: tuple[float, float, float]) -> None:
    mask = blobs(seed, share)
    assert list(compare(mask, mask, spacing).values()) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_labels_count_as_a_mask_wherever_they_are_not_zero() -> None:
    liver = box(slice(2, 6), slice(2, 6), slice(2, 6))
    labels = liver.astype(np.uint8)
    labels[3] *= 2
    assert compare(labels, liver, (1.0, 1.0, 1.0)) == compare(liver, liver, (1.0, 1.0, 1.0))


def test_two_empty_masks_agree_perfectly() -> None:
    assert list(compare(EMPTY, EMPTY, (1.0, 1.0, 1.0)).values()) == [1.0, 1.0, 0.0, 0.0, 0.0]


def test_an_empty_prediction_has_no_overlap_and_is_infinitely_far() -> None:
    comparison = compare(EMPTY, ~EMPTY, (1.0, 1.0, 1.0))
    assert list(comparison.values()) == [0.0, 0.0, math.inf, math.inf, -100.0]


def test_an_empty_reference_has_no_overlap_and_is_infinitely_far() -> None:
    comparison = compare(~EMPTY, EMPTY, (1.0, 1.0, 1.0))
    assert list(comparison.values()) == [0.0, 0.0, math.inf, math.inf, math.inf]


def test_numbers_are_plain_floats_that_json_can_write() -> None:
    assert {type(value) for value in compare(blobs(0, 0.3), blobs(1, 0.3), (1.0, 1.0, 1.0)).values()} == {float}


@pytest.mark.parametrize("measure", [dice, iou, volume_difference_percent])
def test_masks_of_different_shapes_are_refused(measure) -> None:
    with pytest.raises(ValueError, match="different shapes"):
        measure(EMPTY, EMPTY[1:])
