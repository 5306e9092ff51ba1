"""A degradation changes the picture as it says, and its reference stays exact in the patient."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import ndimage

from LiverSegLib.data.metrics import dice
from LiverSegLib.data.resample import resample
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.phantom import make_phantom
from Training.data.degradation import DEGRADATIONS, degrade
from Training.data.degradation.noise import estimate_noise
from Training.data.fluid import find_air, find_lungs

SAME_GRID = (
    "noise_doubled",
    "shift_plus_30",
    "shift_minus_30",
    "streaks",
    "no_contrast",
    "fatty_liver",
    "fatty_no_contrast",
    "pleural_effusion",
    "airless_lung",
    "full_bowel",
    "oral_contrast",
    "iodised_oil",
    "many_cysts",
    "large_cyst",
)
NEW_GRID = ("slices_5mm", "slices_07mm", "cropped")


def phantom_scan(shape: tuple[int, int, int], spacing: tuple[float, float, float]) -> tuple[CTVolume, np.ndarray]:
    """A phantom, whose HU go on far beyond the liver, and its labels, both as an axial stack."""
    phantom = make_phantom(0, shape, spacing)
    return replace(phantom.ct.canonical(), name="phantom"), replace(phantom.ct, hu=phantom.labels).canonical().hu


@cache
def the_scan() -> tuple[CTVolume, np.ndarray]:
    """3 mm slices, 2.2 mm pixels."""
    return phantom_scan((70, 150, 170), (3.0, 2.2, 2.2))


@cache
def degraded(name: str) -> tuple[CTVolume, np.ndarray]:
    """The scan under a degradation, made once; tests leave it as it is."""
    return degrade(name, *the_scan())


@pytest.fixture
def scan() -> tuple[CTVolume, np.ndarray]:
    return the_scan()


def volume_ml(ct: CTVolume, labels: np.ndarray) -> float:
    return float((labels > 0).sum() * ct.voxel_volume_ml)


def centre_mm(ct: CTVolume, labels: np.ndarray) -> np.ndarray:
    """RAS millimetres of the liver's centre of mass."""
    k, j, i = np.argwhere(labels > 0).mean(axis=0)
    return (ct.affine @ (i, j, k, 1.0))[:3]


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_image_and_labels_stay_on_one_grid_of_the_right_types(scan, name: str) -> None:
    ct, labels = degraded(name)
    assert ct.hu.shape == labels.shape
    assert (ct.hu.dtype, labels.dtype) == (np.int16, np.uint8)
    assert set(np.unique(labels)) <= {0, 1, 2}
    same_picture = ct.hu.shape == scan[0].hu.shape and np.array_equal(ct.hu, scan[0].hu)
    assert not (same_picture and np.array_equal(ct.affine, scan[0].affine))


@pytest.fixture(scope="module")
def small_scan() -> tuple[CTVolume, np.ndarray]:
    """6 mm slices, 5 mm pixels."""
    return phantom_scan((36, 66, 76), (6.0, 5.0, 5.0))


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_seed_repeats_a_degradation_and_leaves_its_input_alone(small_scan, name: str) -> None:
    ct, labels = small_scan
    before = ct.hu.copy(), labels.copy(), ct.affine.copy()
    first, second = (degrade(name, ct, labels, seed=4) for _ in range(2))
    assert np.array_equal(first[0].hu, second[0].hu)
    assert all(np.array_equal(*pair) for pair in zip((ct.hu, labels, ct.affine), before, strict=True))


@pytest.mark.parametrize("name", ("noise_doubled", "streaks", "cropped"))
def test_another_seed_gives_another_result(scan, name: str) -> None:
    first, second = (degrade(name, *scan, seed=seed)[0].hu for seed in (0, 1))
    assert first.shape != second.shape or not np.array_equal(first, second)


@pytest.mark.parametrize("name", SAME_GRID)
def test_what_only_changes_values_keeps_geometry_and_labels(scan, name: str) -> None:
    ct, labels = degraded(name)
    assert np.array_equal(ct.affine, scan[0].affine)
    assert np.array_equal(labels, scan[1])


@pytest.mark.parametrize("name", NEW_GRID)
def test_the_liver_stays_where_it_is_in_the_patient(scan, name: str) -> None:
    ct, labels = degraded(name)
    assert volume_ml(ct, labels) == pytest.approx(volume_ml(*scan), rel=0.01)
    assert centre_mm(ct, labels) == pytest.approx(centre_mm(*scan), abs=0.3)
    back = resample(labels, ct.geometry, scan[0].geometry, order=0)
    assert dice(back > 0, scan[1] > 0) > (0.95 if name == "slices_5mm" else 0.9999)


@pytest.mark.parametrize("name", NEW_GRID)
def test_the_image_moves_with_its_labels(scan, name: str) -> None:
    ct, labels = degraded(name)
    assert np.median(ct.hu[labels == 1]) == pytest.approx(np.median(scan[0].hu[scan[1] == 1]), abs=2)
    back = resample(ct.hu, ct.geometry, scan[0].geometry, fill=-1000)
    liver = scan[1] > 0
    assert np.abs(back[liver].astype(float) - scan[0].hu[liver]).mean() < 15


def test_noise_estimated_is_the_noise_put_in() -> None:
    rng = np.random.default_rng(0)
    labels = np.zeros((6, 60, 60), np.uint8)
    labels[:, 5:55, 5:55] = 1
    hu = np.where(labels, 110, -100) + rng.normal(0, 14, labels.shape)
    ct = CTVolume.from_array(hu, np.diag((-1.4, -1.4, 3.0, 1.0)))
    assert estimate_noise(ct, labels) == pytest.approx(14, rel=0.05)
    assert estimate_noise(ct, np.zeros_like(labels)) == pytest.approx(14, rel=0.05)


def test_noise_doubles(scan) -> None:
    noisy, labels = degraded("noise_doubled")
    assert estimate_noise(noisy, labels) == pytest.approx(2 * estimate_noise(*scan), rel=0.1)
    assert noisy.hu[labels == 1].mean() == pytest.approx(scan[0].hu[labels == 1].mean(), abs=1)


def test_thick_slices_are_the_mean_of_their_slab() -> None:
    rng = np.random.default_rng(0)
    hu = rng.integers(-100, 200, (12, 8, 8)).astype(np.int16)
    labels = rng.integers(0, 3, hu.shape).astype(np.uint8)
    thick, thick_labels = degrade("slices_5mm", CTVolume(hu, np.diag((-1.0, -1.0, 1.25, 1.0))), labels)
    assert thick.spacing[0] == pytest.approx(5.0)
    assert np.abs(thick.hu - hu.reshape(3, 4, 8, 8).mean(axis=1)).max() <= 0.501
    slabs = labels.reshape(3, 4, 8, 8)
    assert np.array_equal(thick_labels > 0, (slabs > 0).mean(axis=1) >= 0.5)
    assert np.array_equal(thick_labels == 2, (slabs == 2).mean(axis=1) >= 0.5)
    # The first slab's centre lies in the middle of the four slices that it is made of.
    assert thick.affine[2, 3] == pytest.approx(1.5 * 1.25)


@pytest.mark.parametrize(("name", "slice_mm"), [("slices_5mm", 5.0), ("slices_5mm", 6.4), ("slices_07mm", 0.5)])
def test_slices_that_are_thick_or_thin_enough_stay(scan, name: str, slice_mm: float) -> None:
    ct = replace(scan[0], affine=np.diag((-2.0, -2.0, slice_mm, 1.0)))
    same, labels = degrade(name, ct, scan[1])
    assert same is ct and labels is scan[1]


def test_thin_slices_lie_between_their_neighbours() -> None:
    ramp = np.broadcast_to(np.arange(10, dtype=np.int16)[:, None, None] * 100, (10, 4, 4)).copy()
    labels = (ramp > 450).astype(np.uint8)
    thin, thin_labels = degrade("slices_07mm", CTVolume(ramp, np.diag((-1.0, -1.0, 2.1, 1.0))), labels)
    assert len(thin.hu) == 30
    assert thin.spacing[0] == pytest.approx(0.7)
    height = thin.affine[2, 3] + 0.7 * np.arange(30)
    assert np.abs(thin.hu[:, 0, 0] - np.clip(height / 2.1 * 100, 0, 900)).max() <= 0.51
    assert np.array_equal(thin_labels[:, 0, 0] > 0, height > 4.5 * 2.1)


def test_a_cropped_field_of_view_holds_the_liver_and_little_else(scan) -> None:
    ct, labels = degraded("cropped")
    assert (labels > 0).sum() == (scan[1] > 0).sum()
    liver = np.argwhere(labels > 0)
    for axis, mm in enumerate(ct.spacing):
        margins = np.array((liver[:, axis].min(), labels.shape[axis] - 1 - liver[:, axis].max())) * mm
        assert (margins <= 25).all()
    assert ct.hu.size < 0.5 * scan[0].hu.size


@pytest.mark.parametrize(("name", "shift"), [("shift_plus_30", 30), ("shift_minus_30", -30)])
def test_a_shift_is_exact(scan, name: str, shift: int) -> None:
    assert np.array_equal(degraded(name)[0].hu.astype(int), scan[0].hu.astype(int) + shift)


def test_a_shift_does_not_wrap_around() -> None:
    ct = CTVolume(np.full((2, 2, 2), 32767, np.int16), np.eye(4))
    assert (degrade("shift_plus_30", ct, np.zeros((2, 2, 2), np.uint8))[0].hu == 32767).all()


def test_streaks_run_through_the_liver_from_metal_outside_it(scan) -> None:
    ct, labels = degraded("streaks")
    change = ct.hu.astype(int) - scan[0].hu
    metal = ct.hu == 3000
    assert metal.any() and not (metal & (labels > 0)).any()
    struck = np.flatnonzero(np.abs(change).max(axis=(1, 2)))
    assert 3 <= len(struck) <= 10  # 30 mm of 3 mm slices
    liver = change[struck][labels[struck] > 0]
    assert liver.max() > 30 and liver.min() < -30


def test_without_contrast_the_liver_is_native_and_borders_with_fat_stay(scan) -> None:
    ct, labels = degraded("no_contrast")
    before, after = scan[0].hu.astype(float), ct.hu.astype(float)
    assert np.median(after[labels == 1]) == pytest.approx(55, abs=3)
    spleen_and_kidneys = (labels == 0) & (before > 100) & (before < 200)
    assert np.median(after[spleen_and_kidneys]) < 60
    fat = before < -60
    assert np.abs(after - before)[fat].mean() < 3
    bone = (labels == 0) & (before > 300)
    assert np.abs(after - before)[bone].max() <= 1
    assert estimate_noise(ct, labels) == pytest.approx(estimate_noise(*scan), rel=0.15)


def test_a_fatty_liver_is_darker_than_its_vessels_and_nothing_else_changes(scan) -> None:
    ct, labels = degraded("fatty_liver")
    before, after = scan[0].hu.astype(float), ct.hu.astype(float)
    parenchyma = np.median(before[labels == 1])
    # Away from the blended edge, where a neighbour's voxels would count.
    inside = ndimage.binary_erosion(labels == 1, iterations=3)
    assert np.median((after - before)[inside]) == pytest.approx(-50, abs=2)
    smooth = ndimage.median_filter(before, (1, 5, 5))
    vessels = inside & (smooth > parenchyma + 40)
    assert np.abs(after - before)[vessels].max() <= 1
    outside = ndimage.distance_transform_edt(labels != 1, sampling=ct.spacing) > 6
    assert np.array_equal(after[outside], before[outside])
    assert estimate_noise(ct, labels) == pytest.approx(estimate_noise(*scan), rel=0.2)


def test_without_contrast_a_fatty_liver_is_darker_than_the_spleen(scan) -> None:
    ct, labels = degraded("fatty_no_contrast")
    assert np.median(ct.hu[labels == 1]) == pytest.approx(15, abs=4)
    others = (labels == 0) & (scan[0].hu > 100) & (scan[0].hu < 200)
    assert np.median(ct.hu[others]) > 40
    native, _ = degraded("no_contrast")
    fatty, _ = degrade("fatty_no_contrast", native, labels)
    assert np.median(fatty.hu[labels == 1]) == pytest.approx(5, abs=4)


def test_a_scan_without_contrast_stays_as_it_is(scan) -> None:
    native, labels = degraded("no_contrast")
    assert degrade("no_contrast", native, labels)[0] is native


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_a_scan_without_a_liver_is_no_error(small_scan, name: str) -> None:
    ct, labels = small_scan
    assert not degrade(name, ct, np.zeros_like(labels))[1].any()


def changed(scan: tuple[CTVolume, np.ndarray], name: str) -> tuple[CTVolume, np.ndarray, np.ndarray]:
    """The degraded scan, its labels, and where its values changed by more than the noise that came with them."""
    ct, labels = degraded(name)
    return ct, labels, np.abs(ct.hu.astype(int) - scan[0].hu) > 60


@pytest.mark.parametrize(("name", "level"), [("pleural_effusion", 10), ("airless_lung", None)])
def test_what_fills_the_lungs_was_air_and_is_as_bright_as_it_says(scan, name: str, level: int | None) -> None:
    ct, labels, filled = changed(scan, name)
    assert filled.any() and np.median(scan[0].hu[filled]) < -300
    expected = np.median(scan[0].hu[scan[1] == 1]) if level is None else level
    assert np.median(ct.hu[filled]) == pytest.approx(expected, abs=8)
    assert not (filled & (labels > 0)).any()


def test_an_effusion_gathers_at_the_back(scan) -> None:
    _, _, filled = changed(scan, "pleural_effusion")
    lungs = find_lungs(scan[0])
    assert np.argwhere(filled)[:, 1].min() >= np.median(np.argwhere(lungs)[:, 1]) - 1


def test_ascites_takes_the_outer_8_mm_of_the_liver(scan) -> None:
    ct, labels = degraded("ascites")
    lost = (scan[1] > 0) & (labels == 0)
    depth = ndimage.distance_transform_edt(scan[1] > 0, sampling=scan[0].spacing)
    assert depth[lost].max() <= 8 < depth[labels > 0].min()
    assert np.median(ct.hu[lost]) == pytest.approx(10, abs=4)


def test_a_scan_without_lungs_in_view_has_no_effusion(scan) -> None:
    clipped = replace(scan[0], hu=np.clip(scan[0].hu, -40, 160))
    for name in ("pleural_effusion", "airless_lung"):
        assert np.array_equal(degrade(name, clipped, scan[1])[0].hu, clipped.hu)


def test_a_full_bowel_has_40_hu_where_gas_was_and_no_contrast_around(scan) -> None:
    ct, _ = degraded("full_bowel")
    gas = ndimage.binary_erosion(find_air(scan[0]).bowel)
    assert gas.any() and np.median(scan[0].hu[gas]) < -300
    assert np.median(ct.hu[gas]) == pytest.approx(40, abs=8)
    assert np.median(ct.hu[scan[1] == 1]) == pytest.approx(55, abs=3)


def test_drunk_contrast_medium_fills_the_bowel_alone(scan) -> None:
    ct, _ = degraded("oral_contrast")
    gas = ndimage.binary_erosion(find_air(scan[0]).bowel)
    assert np.median(ct.hu[gas]) == pytest.approx(200, abs=8)
    assert np.median(ct.hu[scan[1] == 1]) == np.median(scan[0].hu[scan[1] == 1])


def test_dark_lesions_lie_in_the_liver_and_are_labelled_tumour(scan) -> None:
    ct, labels = degraded("dark_lesions")
    drawn = (labels == 2) & (scan[1] == 1)
    assert np.array_equal(labels > 0, scan[1] > 0)
    assert drawn.sum() * ct.voxel_volume_ml > 10
    inner = ndimage.binary_erosion(drawn)
    assert np.median(ct.hu[inner]) == pytest.approx(25, abs=3)
    untouched = ndimage.distance_transform_edt(labels != 2, sampling=ct.spacing) > 8
    assert np.array_equal(ct.hu[untouched], scan[0].hu[untouched])


@pytest.mark.parametrize(
    ("name", "level_hu", "least_ml"),
    [("iodised_oil", 500, 30), ("many_cysts", 8, 200), ("large_cyst", 8, 60)],
)
def test_oil_and_cysts_fill_a_part_of_the_liver_alone(scan, name: str, level_hu: float, least_ml: float) -> None:
    ct, _ = degraded(name)
    changed = (np.abs(ct.hu - scan[0].hu) > 40) & (scan[1] > 0)
    assert changed.sum() * ct.voxel_volume_ml > least_ml
    assert np.median(ct.hu[ndimage.binary_erosion(changed)]) == pytest.approx(level_hu, abs=3)
    outside = ndimage.distance_transform_edt(scan[1] == 0, sampling=ct.spacing) > 8
    assert outside.any() and np.array_equal(ct.hu[outside], scan[0].hu[outside])


def test_bright_lesions_are_brighter_than_the_liver_and_labelled_tumour(scan) -> None:
    ct, labels = degraded("bright_lesions")
    drawn = ndimage.binary_erosion((labels == 2) & (scan[1] == 1))
    assert np.array_equal(labels > 0, scan[1] > 0)
    assert np.median(ct.hu[drawn]) == pytest.approx(np.median(scan[0].hu[scan[1] == 1]) + 70, abs=3)


def test_a_child_is_smaller_in_all_directions(scan) -> None:
    ct, labels = degraded("child")
    assert np.array_equal(ct.hu, scan[0].hu) and np.array_equal(labels, scan[1])
    assert ct.spacing == pytest.approx([0.65 * mm for mm in scan[0].spacing])
    assert volume_ml(ct, labels) == pytest.approx(0.65**3 * volume_ml(*scan))
