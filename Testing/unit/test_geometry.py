"""Geometry: a voxel grid in the patient."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.labels import LabelVolume

AFFINE = np.array([[-2.0, 0, 0, 100], [0, 3, 0, -50], [0, 0, 4, 7], [0, 0, 0, 1]])
GRID = Geometry((2, 3, 5), AFFINE)


def moved(*ras_mm: float) -> Geometry:
    affine = AFFINE.copy()
    affine[:3, 3] += ras_mm
    return Geometry(GRID.shape, affine)


def test_spacing_and_volume_of_a_voxel() -> None:
    assert GRID.spacing == (4, 3, 2)
    assert GRID.voxel_volume_ml == pytest.approx(0.024)


def test_the_outline_reaches_to_the_faces_of_the_outer_voxels() -> None:
    outline = GRID.outline()
    assert outline.min(axis=1).tolist() == [91, -51.5, 5]
    assert outline.max(axis=1).tolist() == [101, -42.5, 13]


def test_a_part_begins_where_its_first_voxel_lies() -> None:
    part = GRID.part((1, 2, 3), (1, 1, 2))
    assert part.affine[:3, 3].tolist() == [94, -44, 11]
    assert part.shape == (1, 1, 2)


def test_a_hundredth_of_a_voxel_makes_no_other_grid_but_more_does() -> None:
    assert GRID.is_same_as(moved(0.019, 0, 0))
    assert not GRID.is_same_as(moved(0.021, 0, 0))
    assert not GRID.is_same_as(Geometry((2, 3, 4), AFFINE))


def test_grids_overlap_until_their_faces_touch() -> None:
    assert GRID.overlaps(moved(9.9, 0, 0)) and not GRID.overlaps(moved(10, 0, 0))
    assert GRID.distance_mm(moved(3, 0, 4)) == pytest.approx(5)


def test_indices_go_from_one_grid_to_another_and_into_the_canonical_stack() -> None:
    matrix, offset = GRID.part((1, 0, 2), (1, 1, 1)).index_map(GRID)
    assert np.allclose(matrix, np.eye(3)) and np.allclose(offset, (1, 0, 2))
    array = np.arange(30).reshape(GRID.shape)
    canonical = GRID.canonical()
    assert canonical.axes == "LPS" and canonical.shape == GRID.shape
    assert np.array_equal(GRID.from_canonical(GRID.to_canonical(array)), array)
    turned = Geometry((5, 2, 3), AFFINE[:, [1, 2, 0, 3]])
    assert turned.canonical().shape == (2, 3, 5)


def test_labels_unpack_as_array_and_affine_and_know_liver_and_tumour() -> None:
    found = LabelVolume(np.array([[[0, 1, 2, 2]]], np.uint8), AFFINE)
    labels, affine = found
    assert labels is found.labels is found[0] and affine is AFFINE
    assert found.liver.tolist() == [[[False, True, True, True]]]
    assert found.volume_ml(found.tumour) == pytest.approx(0.048)
