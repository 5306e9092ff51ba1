"""Strokes: which voxels a reader's mark covers, on grids of any spacing and direction."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.strokes import Stroke

# Axial voxels of 1 × 1 × 5 mm.
AXIAL = Geometry((10, 40, 40), np.diag((-1.0, -1.0, 5.0, 1.0)))


def covered(stroke: Stroke, grid: Geometry) -> np.ndarray:
    """All that a stroke covers, bool (k, j, i) of the whole grid."""
    mask = np.zeros(grid.shape, bool)
    box, inside = stroke.mask(grid)
    mask[box] = inside
    return mask


def middle_of(voxel: tuple[int, int, int], grid: Geometry) -> np.ndarray:
    """RAS mm of a voxel (k, j, i)."""
    return (grid.affine @ (*voxel[::-1], 1.0))[:3]


def test_a_point_covers_the_voxels_within_its_radius():
    mask = covered(Stroke(middle_of((4, 20, 20), AXIAL)[None], True, radius_mm=2.0), AXIAL)

    k, j, i = np.ogrid[:10, :40, :40]
    wanted = (5 * (k - 4)) ** 2 + (j - 20) ** 2 + (i - 20) ** 2 <= 4
    assert np.array_equal(mask, wanted)


def test_a_point_between_voxels_covers_the_nearest_one_at_least():
    place = middle_of((4, 20, 20), AXIAL) + np.array((0.3, 0.3, 2.2))

    mask = covered(Stroke(place[None], True, radius_mm=0.1), AXIAL)

    assert np.argwhere(mask).tolist() == [[4, 20, 20]]


def test_a_line_covers_all_between_its_points():
    ends = np.stack([middle_of((4, 20, 5), AXIAL), middle_of((4, 20, 35), AXIAL)])

    mask = covered(Stroke(ends, False, radius_mm=0.5), AXIAL)

    assert np.argwhere(mask).tolist() == [[4, 20, i] for i in range(5, 36)]


def test_a_line_across_slices_leaves_none_out():
    ends = np.stack([middle_of((1, 20, 20), AXIAL), middle_of((8, 24, 20), AXIAL)])

    mask = covered(Stroke(ends, True, radius_mm=0.5), AXIAL)

    assert np.flatnonzero(mask.any(axis=(1, 2))).tolist() == list(range(1, 9))


@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_the_same_place_in_the_patient_is_covered_however_the_grid_lies(degrees):
    angle = np.radians(degrees)
    turn = np.eye(4)
    turn[:2, :2] = ((np.cos(angle), -np.sin(angle)), (np.sin(angle), np.cos(angle)))
    turned = Geometry((10, 40, 40), turn @ AXIAL.affine @ np.diag((1.0, -1.0, 1.0, 1.0)))
    place = middle_of((4, 20, 20), turned)

    voxels = np.argwhere(covered(Stroke(place[None], True, radius_mm=3.1), turned))

    apart = voxels[:, ::-1] @ turned.affine[:3, :3].T + turned.affine[:3, 3] - place
    assert len(voxels) == np.count_nonzero(np.hypot(*np.ogrid[-3:4, -3:4]) <= 3.1)
    assert np.linalg.norm(apart, axis=1).max() <= 3.1


@pytest.mark.parametrize("place", [(100.0, 0.0, 0.0), (0.0, 0.0, -20.0), (-20.0, -20.0, 1e6)])
def test_what_lies_outside_of_the_grid_covers_nothing(place):
    assert not covered(Stroke(np.array([place]), True), AXIAL).any()


def test_a_line_that_leaves_the_grid_is_covered_as_far_as_it_goes():
    ends = np.stack([middle_of((4, 20, 35), AXIAL), middle_of((4, 20, 60), AXIAL)])

    mask = covered(Stroke(ends, True, radius_mm=0.5), AXIAL)

    assert np.argwhere(mask).tolist() == [[4, 20, i] for i in range(35, 40)]
