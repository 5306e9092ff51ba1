"""Resampling in physical space, and a reference brought to the image's grid."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nibabel import orientations

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.labels import LabelVolume
from LiverSegLib.data.resample import reference_on_grid, resample
from LiverSegLib.errors import InputError

AFFINE = np.array([[-0.8, 0, 0, 90], [0, -1.1, 0, 70], [0, 0, 2.5, -40], [0, 0, 0, 1.0]])
SHAPE = (5, 7, 9)
GRID = Geometry(SHAPE, AFFINE)
AXES = ["".join(codes) for order in permutations(["LR", "PA", "IS"]) for codes in product(*order)]


def labelled(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)


def turned(array: np.ndarray, affine: np.ndarray, axes: str) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels stored along other patient axes."""
    transform = orientations.ornt_transform(orientations.io_orientation(affine), orientations.axcodes2ornt(axes))
    ijk = array.transpose(2, 1, 0)
    moved = orientations.apply_orientation(ijk, transform).transpose(2, 1, 0)
    return np.ascontiguousarray(moved), affine @ orientations.inv_ornt_aff(transform, ijk.shape)


def rotated(affine: np.ndarray, degrees: float) -> np.ndarray:
    """The grid turned about the patient's left-right axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]]) @ affine


def ramp(shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """A function that is linear in the patient: each voxel holds 2 R - 3 A + 5 S of its centre."""
    k, j, i = np.indices(shape)
    ras = np.einsum("rc,c...->r...", affine[:3], np.stack((i, j, k, np.ones(shape))))
    return np.einsum("r,r...->...", (2.0, -3.0, 5.0), ras)


@pytest.mark.parametrize("order", [0, 1])
def test_the_same_grid_gives_the_same_values(order: int) -> None:
    hu = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    result = resample(hu, GRID, GRID, order=order)
    np.testing.assert_array_equal(result, hu)
    assert result.dtype == np.int16


@pytest.mark.parametrize("axes", AXES)
def test_other_axis_orders_give_the_same_voxels(axes: str) -> None:
    stored, affine = turned(labelled(), AFFINE, axes)
    np.testing.assert_array_equal(resample(stored, Geometry(stored.shape, affine), GRID, order=0), labelled())


@given(
    degrees=st.floats(-20, 20),
    spacing=st.tuples(*[st.floats(0.6, 1.5)] * 3),
    shift=st.tuples(*[st.floats(-0.4, 0.4)] * 3),
)
def test_linear_interpolation_is_exact_for_what_is_linear_in_the_patient(
    degrees: float, spacing: tuple[float, ...], shift: tuple[float, ...]
) -> None:
    shape = (12, 14, 16)
    inner = rotated(AFFINE, degrees) @ np.diag((*spacing, 1.0))
    # The small target grid lies around the centre of the large one.
    centre = AFFINE @ (*(np.array(shape[::-1]) / 2 + shift), 1.0)
    inner[:3, 3] = centre[:3] - inner[:3, :3] @ (1.0, 1.0, 1.0)
    result = resample(ramp(shape, AFFINE), Geometry(shape, AFFINE), Geometry((3, 3, 3), inner), fill=np.nan)
    np.testing.assert_allclose(result, ramp((3, 3, 3), inner), atol=1e-6)


def test_voxels_reach_to_their_faces_and_beyond_them_there_is_the_fill_value() -> None:
    affine = np.diag((1.0, 1.0, 4.0, 1.0))
    single_slice = np.full((1, 3, 3), 60, np.int16)
    finer = np.diag((1.0, 1.0, 1.0, 1.0))
    finer[2, 3] = -2.5
    grid = Geometry((6, 3, 3), finer)
    for order in (0, 1):
        column = resample(single_slice, Geometry(single_slice.shape, affine), grid, order=order, fill=-1000)[:, 1, 1]
        # Slice centres at S = -2.5, -1.5, -0.5, 0.5, 1.5 and 2.5 mm; the slice is 4 mm thick.
        np.testing.assert_array_equal(column, [-1000, 60, 60, 60, 60, -1000])


def test_integers_are_rounded_not_cut() -> None:
    halfway = np.diag((1.0, 1.0, 1.0, 1.0))
    halfway[0, 3] = 0.5
    values = np.array([[[0, 3, 6]]], np.int16)
    np.testing.assert_array_equal(
        resample(values, Geometry(values.shape, np.eye(4)), Geometry((1, 1, 2), halfway)), [[[2, 5]]]
    )


def test_a_reference_on_the_same_grid_stays_as_it_is() -> None:
    labels = labelled()
    rounded = AFFINE.astype(np.float32) * np.float32(1 + 1e-6)
    rounded[3, 3] = 1
    reference = LabelVolume(labels, rounded)
    assert reference_on_grid(reference, GRID) is reference


def test_a_reference_with_other_axes_is_turned_with_a_warning() -> None:
    stored, affine = turned(labelled(), AFFINE, "RAS")
    on_grid = reference_on_grid(LabelVolume(stored, affine, warnings=("Before.",)), GRID)
    np.testing.assert_array_equal(on_grid.labels, labelled())
    before, warning = on_grid.warnings
    assert before == "Before."
    assert "another voxel grid" in warning
    assert "axes RAS, its corners 0 mm away" in warning


@pytest.mark.parametrize(("shift", "told"), [(0.5, "0.866 mm"), (5.0, "8.66 mm")])
def test_a_reference_beside_the_image_is_told_by_how_much(shift, told) -> None:
    moved = AFFINE.copy()
    moved[:3, 3] += shift
    [warning, *_] = reference_on_grid(LabelVolume(labelled(), moved), GRID).warnings
    assert f"its corners {told} away at most" in warning


def test_a_reference_with_other_spacing_is_resampled_with_a_warning() -> None:
    fine = np.repeat(np.repeat(np.repeat(labelled(), 2, 0), 2, 1), 2, 2)
    fine_affine = AFFINE @ np.diag((0.5, 0.5, 0.5, 1.0))
    fine_affine[:3, 3] -= fine_affine[:3, :3] @ (0.5, 0.5, 0.5)
    on_grid = reference_on_grid(LabelVolume(labelled(), AFFINE), Geometry(fine.shape, fine_affine))
    np.testing.assert_array_equal(on_grid.labels, fine)
    assert len(on_grid.warnings) == 1
    assert on_grid.labels.dtype == np.uint8


def test_how_much_of_the_reference_lies_outside_the_image_is_told() -> None:
    everywhere = np.ones((10, 7, 9), np.uint8)
    on_grid = reference_on_grid(LabelVolume(everywhere, AFFINE), Geometry((6, 7, 9), AFFINE))
    assert on_grid.labels.all()
    assert any("40%" in warning for warning in on_grid.warnings)


def test_a_reference_elsewhere_is_refused() -> None:
    elsewhere = AFFINE.copy()
    elsewhere[0, 3] += 500
    for labels in (labelled(), np.zeros(SHAPE, np.uint8)):
        with pytest.raises(InputError, match="do not overlap"):
            reference_on_grid(LabelVolume(labels, elsewhere), GRID)


def test_an_empty_reference_on_another_grid_stays_empty() -> None:
    on_grid = reference_on_grid(LabelVolume(np.zeros((10, 7, 9), np.uint8), AFFINE), GRID)
    assert on_grid.labels.shape == SHAPE
    assert not on_grid.labels.any()
