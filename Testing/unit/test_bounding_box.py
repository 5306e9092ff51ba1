"""The box round what was found."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib.data.bounding_box import box_of


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_the_box_is_the_smallest_that_holds_everything(dtype: type) -> None:
    labels = np.zeros((20, 30, 40), dtype=dtype)
    labels[3, 29, 5] = labels[9, 4, 17] = labels[5, 8, 39] = 1
    assert box_of(labels) == (slice(3, 10), slice(4, 30), slice(5, 40))


def test_one_voxel_has_a_box_of_one_voxel() -> None:
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[0, 4, 3] = 2
    assert box_of(labels) == (slice(0, 1), slice(4, 5), slice(3, 4))


@pytest.mark.parametrize("shape", [(4, 5, 6), (0, 5, 6), (4, 5, 0)])
def test_where_there_is_nothing_the_box_has_no_size(shape: tuple[int, int, int]) -> None:
    labels = np.zeros(shape, dtype=np.uint8)
    assert labels[box_of(labels)].size == 0


def test_the_order_of_the_axes_in_memory_makes_no_difference() -> None:
    labels = np.zeros((7, 8, 9), dtype=np.uint8)
    labels[2:4, 1:6, 3:5] = 1
    assert box_of(labels.transpose(2, 1, 0)) == tuple(reversed(box_of(labels)))
