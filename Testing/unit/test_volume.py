"""CTVolume: whatever the axes, the same patient."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from nibabel import aff2axcodes
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import apply_orientation, inv_ornt_aff

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError

SHAPE = (4, 5, 6)
SPACING = (2.5, 0.7, 0.9)  # k, j, i in mm
LPS = np.array(
    [
        [-SPACING[2], 0.0, 0.0, 110.0],
        [0.0, -SPACING[1], 0.0, 95.5],
        [0.0, 0.0, SPACING[0], -300.25],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
AXIS_ORDERS = [
    np.column_stack([order, flips])
    for order in itertools.permutations(range(3))
    for flips in itertools.product((1, -1), repeat=3)
]


def a_volume(affine: np.ndarray = LPS) -> CTVolume:
    """Every voxel has its own value, so that a swapped axis cannot go unseen."""
    return CTVolume(np.arange(math.prod(SHAPE), dtype=np.int16).reshape(SHAPE), affine)


def reordered(volume: CTVolume, orientation: np.ndarray) -> CTVolume:
    """The same voxels at the same places, stored with other axes."""
    ijk = volume.hu.transpose(2, 1, 0)
    turned = apply_orientation(ijk, orientation).transpose(2, 1, 0)
    return CTVolume(turned, volume.affine @ inv_ornt_aff(orientation, ijk.shape))


def rotation(axis: int, degrees: float) -> np.ndarray:
    """4×4 rotation about a patient axis through the origin."""
    cosine, sine = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = [other for other in range(3) if other != axis]
    matrix = np.eye(4)
    matrix[first, first] = matrix[second, second] = cosine
    matrix[first, second], matrix[second, first] = -sine, sine
    return matrix


def axes(orientation: np.ndarray) -> str:
    """Letters of the axes (i, j, k), such as LPS: the name of a test case."""
    return "".join(aff2axcodes(reordered(a_volume(), orientation).affine))


def position(volume: CTVolume, value: int) -> np.ndarray:
    """RAS position in mm of the voxel that holds ``value``."""
    k, j, i = np.argwhere(volume.hu == value)[0]
    return (volume.affine @ (i, j, k, 1.0))[:3]


def test_there_are_48_different_axis_orders() -> None:
    assert len({axes(orientation) for orientation in AXIS_ORDERS}) == 48


@pytest.mark.parametrize("orientation", AXIS_ORDERS, ids=axes)
def test_every_axis_order_is_the_same_volume(orientation: np.ndarray) -> None:
    """In its canonical form, on the way back, mirrored, with slices left out, and in its measures."""
    for affine in (LPS, rotation(0, 20.0) @ LPS):
        volume = reordered(a_volume(affine), orientation)
        canonical = volume.canonical()
        np.testing.assert_array_equal(canonical.hu, a_volume().hu)
        np.testing.assert_allclose(canonical.affine, affine, atol=1e-9)
        np.testing.assert_array_equal(volume.geometry.from_canonical(canonical.hu), volume.hu)
        mirrored, few = volume.mirrored(), volume.every_few_slices(5.0)
        np.testing.assert_allclose(position(mirrored, 77), position(volume, 77) * (-1, 1, 1), atol=1e-9)
        np.testing.assert_array_equal(few.hu, a_volume().hu[::2])
        last = int(few.hu[-1, 0, 0])
        np.testing.assert_allclose(position(few, last), position(volume, last), atol=1e-9)
        zooms = Nifti1Image(volume.hu.transpose(2, 1, 0), volume.affine).header.get_zooms()
        assert volume.spacing[::-1] == pytest.approx(zooms, rel=1e-6)
        assert volume.voxel_volume_ml == pytest.approx(2.5 * 0.7 * 0.9 / 1000)
        assert volume.geometry.obliquity_degrees == pytest.approx(0.0 if affine is LPS else 20.0, abs=1e-5)


class TestCanonical:
    @given(
        orientation=st.sampled_from(AXIS_ORDERS),
        angles=st.tuples(*[st.floats(-20.0, 20.0)] * 3),
        value=st.integers(0, math.prod(SHAPE) - 1),
    )
    def test_leaves_every_voxel_at_its_place_in_the_patient(
        self, orientation: np.ndarray, angles: tuple[float, float, float], value: int
    ) -> None:
        oblique = LPS
        for axis, degrees in enumerate(angles):
            oblique = rotation(axis, degrees) @ oblique
        volume = reordered(a_volume(oblique), orientation)
        np.testing.assert_allclose(position(volume.canonical(), value), position(volume, value), atol=1e-9)

    def test_turns_back_labels_of_another_dtype(self) -> None:
        volume = reordered(a_volume(), np.array([[2, 1], [1, -1], [0, -1]]))
        labels = (volume.canonical().hu > 60).astype(np.uint8)
        back = volume.geometry.from_canonical(labels)
        assert back.dtype == np.uint8
        np.testing.assert_array_equal(back, volume.hu > 60)


def test_thick_slices_are_all_kept() -> None:
    np.testing.assert_array_equal(a_volume().every_few_slices(2.0).hu, a_volume().hu)


class TestGeometry:
    def test_spacing_is_given_slices_first(self) -> None:
        assert a_volume().spacing == pytest.approx(SPACING)

    def test_voxel_volume_of_a_sheared_box_is_base_times_height(self) -> None:
        gantry_tilt = LPS.copy()
        gantry_tilt[1, 2] = 0.8  # each slice 0.8 mm further to anterior: same base, same height
        assert a_volume(gantry_tilt).voxel_volume_ml == pytest.approx(2.5 * 0.7 * 0.9 / 1000)

    @given(axis=st.integers(0, 2), degrees=st.floats(-44.0, 44.0))
    def test_obliquity_is_the_angle_of_the_rotation(self, axis: int, degrees: float) -> None:
        oblique = a_volume(rotation(axis, degrees) @ LPS)
        assert oblique.geometry.obliquity_degrees == pytest.approx(abs(degrees), abs=1e-5)

    def test_obliquity_is_taken_to_the_nearest_patient_axis(self) -> None:
        assert a_volume(rotation(2, 80.0) @ LPS).geometry.obliquity_degrees == pytest.approx(10.0)


class TestVoxelsThatAreAccepted:
    @pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.float32, np.float64, ">i2", ">f4"])
    def test_keep_their_hu_in_any_signed_dtype(self, dtype: np.typing.DTypeLike) -> None:
        hu = np.array([[[-1024, 0, 3071]]])
        volume = CTVolume.from_array(hu.astype(dtype), LPS)
        assert volume.hu.dtype == np.int16
        np.testing.assert_array_equal(volume.hu, hu)

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
    def test_keep_their_values_in_any_unsigned_dtype(self, dtype: np.typing.DTypeLike) -> None:
        values = np.array([[[0, 100, 255]]])
        volume = CTVolume.from_array(values.astype(dtype), LPS)
        assert volume.hu.dtype == np.int16
        np.testing.assert_array_equal(volume.hu, values)

    @given(values=hnp.arrays(np.float32, (1, 2, 3), elements=st.floats(-32768, 32767, width=32), unique=True))
    def test_are_off_by_half_a_hu_at_most_after_rounding(self, values: np.ndarray) -> None:
        volume = CTVolume.from_array(values, LPS)
        assert np.abs(volume.hu - values.astype(np.float64)).max() <= 0.5

    @pytest.mark.parametrize("dtype", [np.int32, np.uint16, np.float32, np.float64, np.uint64])
    def test_saturate_beyond_the_range_of_int16(self, dtype: np.typing.DTypeLike) -> None:
        volume = CTVolume.from_array(np.array([[[0, 40000]]], dtype=dtype), LPS)
        assert volume.hu.tolist() == [[[0, 32767]]]

    def test_may_come_as_nested_lists(self) -> None:
        assert CTVolume.from_array([[[1, 2], [3, 4]]], LPS.tolist()).hu.shape == (1, 2, 2)

    def test_do_not_tie_the_volume_to_the_affine_they_came_with(self) -> None:
        affine = LPS.copy()
        volume = CTVolume.from_array(a_volume().hu, affine)
        affine[:] = 0
        np.testing.assert_array_equal(volume.affine, LPS)


class TestVoxelsThatAreRefused:
    @pytest.mark.parametrize("shape", [(5,), (5, 6), (2, 4, 5, 6), (4, 5, 6, 3)])
    def test_without_three_dimensions(self, shape: tuple[int, ...]) -> None:
        with pytest.raises(InputError, match=f"has {len(shape)} dimensions; give one 3D CT volume"):
            CTVolume.from_array(np.arange(math.prod(shape)).reshape(shape), LPS)

    def test_when_there_are_none(self) -> None:
        with pytest.raises(InputError, match="has no voxels"):
            CTVolume.from_array(np.empty((0, 5, 6)), LPS)

    @pytest.mark.parametrize("dtype", [np.complex64, object, "U3", [("r", "u1"), ("g", "u1"), ("b", "u1")]])
    def test_that_are_not_real_numbers(self, dtype: np.typing.DTypeLike) -> None:
        with pytest.raises(InputError, match="not numbers; give a CT in Hounsfield units"):
            CTVolume.from_array(np.zeros((4, 5, 6), dtype=dtype), LPS)

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
    def test_that_are_not_finite(self, bad: float, dtype: np.typing.DTypeLike) -> None:
        values = a_volume().hu.astype(dtype)
        values[1, 2, 3] = bad
        with pytest.raises(InputError, match="NaN or infinite voxels"):
            CTVolume.from_array(values, LPS)

    @pytest.mark.parametrize("value", [-1024, 0, 1000])
    def test_that_are_all_the_same(self, value: int) -> None:
        with pytest.raises(InputError, match=rf"is constant \({value} HU\)"):
            CTVolume.from_array(np.full(SHAPE, value), LPS)

    def test_that_are_all_the_same_once_rounded_to_whole_hu(self) -> None:
        picture = np.random.default_rng(0).uniform(0, 0.4, (3, 4, 5))
        with pytest.raises(InputError, match=r"is constant \(0 HU\)"):
            CTVolume.from_array(picture, np.eye(4))

    def test_in_a_sentence_that_names_the_volume(self) -> None:
        with pytest.raises(InputError, match=r"^scan\.nii\.gz "):
            CTVolume.from_array(np.zeros(SHAPE), LPS, "scan.nii.gz")


class TestAffinesThatAreRefused:
    @pytest.mark.parametrize(
        "affine",
        [
            pytest.param(np.eye(3), id="3×3"),
            pytest.param(np.zeros((4, 4)), id="zero"),
            pytest.param(np.diag([1.0, 1.0, 0.0, 1.0]), id="flat"),
            pytest.param(np.diag([1.0, 1.0, 1.0, 2.0]), id="last row"),
            pytest.param(np.diag([1.0, np.nan, 1.0, 1.0]), id="NaN"),
            pytest.param(np.diag([1.0, np.inf, 1.0, 1.0]), id="infinite"),
            pytest.param(np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), id="parallel axes"),
            pytest.param(np.array([[1, 1, 0, 0], [0, 1e-6, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]), id="nearly parallel"),
        ],
    )
    def test_with_a_way_out(self, affine: np.ndarray) -> None:
        with pytest.raises(InputError, match="convert it again from DICOM"):
            CTVolume.from_array(a_volume().hu, affine)

    @given(spacing=st.floats(0.01, 10000.0))
    def test_but_never_for_the_size_of_their_voxels(self, spacing: float) -> None:
        volume = CTVolume.from_array(a_volume().hu, np.diag([spacing, spacing, spacing, 1.0]))
        assert volume.spacing == pytest.approx((spacing,) * 3)
