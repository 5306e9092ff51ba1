"""The synthetic abdomen: repeatable, varied, plausible, and labelled exactly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from LiverSegLib.data.metrics import dice
from LiverSegLib.errors import InputError
from LiverSegLib.phantom import LESION, LIVER, Phantom, make_phantom

SHAPE, SPACING = (24, 64, 64), (10.0, 5.7, 5.7)
SEEDS = range(8)


@pytest.fixture(scope="module")
def phantoms() -> list[Phantom]:
    return [make_phantom(seed, SHAPE, SPACING) for seed in SEEDS]


def liver_ml(phantom: Phantom) -> float:
    return np.count_nonzero(phantom.labels) * phantom.ct.voxel_volume_ml


def test_the_same_seed_draws_the_same_phantom() -> None:
    one, other = (make_phantom(5, SHAPE, SPACING) for _ in range(2))
    np.testing.assert_array_equal(one.ct.hu, other.ct.hu)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_array_equal(one.ct.affine, other.ct.affine)


def test_the_grid_is_the_one_asked_for_with_axes_to_left_posterior_and_superior(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        assert phantom.ct.hu.shape == phantom.labels.shape == SHAPE
        assert (phantom.ct.hu.dtype, phantom.labels.dtype) == (np.int16, np.uint8)
        np.testing.assert_allclose(phantom.ct.affine[:3, :3], np.diag([-5.7, -5.7, 10.0]))
        centre = phantom.ct.affine @ [(SHAPE[2] - 1) / 2, (SHAPE[1] - 1) / 2, (SHAPE[0] - 1) / 2, 1]
        np.testing.assert_allclose(centre[:3], 0, atol=1e-4)


def test_the_typical_patient_has_a_liver_of_one_and_a_half_litres_with_lesions(phantoms: list[Phantom]) -> None:
    assert liver_ml(phantoms[0]) == pytest.approx(1500, abs=150)
    assert set(np.unique(phantoms[0].labels)) == {0, LIVER, LESION}


def test_livers_have_the_volume_of_livers_and_differ_in_it(phantoms: list[Phantom]) -> None:
    volumes = [liver_ml(phantom) for phantom in phantoms]
    assert all(800 < volume < 2700 for volume in volumes)
    assert max(volumes) - min(volumes) > 300


def test_some_patients_have_lesions_and_some_have_none(phantoms: list[Phantom]) -> None:
    assert {bool((phantom.labels == LESION).any()) for phantom in phantoms} == {True, False}


def test_the_liver_is_one_piece(phantoms: list[Phantom]) -> None:
    assert [ndimage.label(phantom.labels)[1] for phantom in phantoms] == [1] * len(phantoms)


def test_the_liver_is_on_the_patient_s_right_under_the_lung(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        k, j, i = np.mean(np.nonzero(phantom.labels), axis=1)
        assert (phantom.ct.affine @ [i, j, k, 1])[0] > 20  # RAS millimetres
        lung = (phantom.ct.hu < -700) & (phantom.ct.hu > -920)
        assert np.nonzero(lung)[0].mean() > k


def test_the_liver_has_the_hu_of_its_contrast_phase(phantoms: list[Phantom]) -> None:
    def median(phantom: Phantom) -> float:
        return float(np.median(phantom.ct.hu[phantom.labels == LIVER]))

    assert median(phantoms[0]) == pytest.approx(110, abs=8)
    assert all(-10 < median(phantom) < 140 for phantom in phantoms)


def test_lesions_are_darker_than_the_portal_venous_liver(phantoms: list[Phantom]) -> None:
    hu, labels = phantoms[0].ct.hu, phantoms[0].labels
    assert hu[labels == LESION].mean() < hu[labels == LIVER].mean() - 15


def test_the_ct_holds_air_lung_fat_soft_tissue_and_bone(phantoms: list[Phantom]) -> None:
    for phantom in phantoms:
        for low, high in ((-1024, -950), (-920, -780), (-160, -50), (20, 160), (200, 900)):
            assert ((phantom.ct.hu > low) & (phantom.ct.hu < high)).mean() > 0.005, (phantom.ct.name, low, high)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_anatomy_does_not_depend_on_the_spacing(seed: int) -> None:
    coarse = make_phantom(seed, (16, 40, 40), (15.0, 9.0, 9.0))
    fine = make_phantom(seed, (48, 120, 120), (5.0, 3.0, 3.0))
    # Three fine voxels to a coarse one along each axis: the middle one has the coarse one's centre.
    at_the_same_points = fine.labels[1::3, 1::3, 1::3] > 0
    assert dice(at_the_same_points, coarse.labels > 0) > 0.995
    assert liver_ml(fine) == pytest.approx(liver_ml(coarse), rel=0.02)


def test_a_larger_grid_shows_the_same_patient_with_more_around_it() -> None:
    small, large = make_phantom(0, SHAPE, SPACING), make_phantom(0, (36, 80, 80), SPACING)
    np.testing.assert_array_equal(large.labels[6:-6, 8:-8, 8:-8], small.labels)
    assert not large.labels[:6].any() and not large.labels[-6:].any()


def test_noise_is_that_of_a_scanner(phantoms: list[Phantom]) -> None:
    inside = ndimage.binary_erosion(phantoms[0].labels == LIVER, iterations=2)
    assert 8 < phantoms[0].ct.hu[inside].std() < 30


@pytest.mark.parametrize(("shape", "spacing"), [((0, 32, 32), SPACING), (SHAPE, (4.0, 0.0, 1.9)), (SHAPE, (4, -1, 1))])
def test_a_grid_without_extent_is_refused(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="positive"):
        make_phantom(0, shape, spacing)
