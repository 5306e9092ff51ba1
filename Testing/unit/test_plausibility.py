"""Which images are refused or warned about, and what is said of a result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError
from LiverSegLib.inference.plausibility import check_input, check_result, looks_like_mr

SHAPE = (20, 96, 96)
SPACING = (5.0, 4.0, 4.0)  # slices, rows, columns in mm: 384 mm of field of view
LPS = np.diag((-SPACING[2], -SPACING[1], SPACING[0], 1.0))


def body(seed: int = 0) -> np.ndarray:
    """HU (k, j, i) of a round trunk in air: a rim of fat, soft tissue, lungs above, a spine, noise."""
    k, j, i = (np.indices(SHAPE) - np.reshape(np.array(SHAPE) / 2, (3, 1, 1, 1))) * np.reshape(SPACING, (3, 1, 1, 1))
    radius = np.hypot(j, i)
    hu = np.full(SHAPE, -1000.0)
    hu[radius < 160] = -100
    hu[radius < 140] = 60
    hu[(k > 20) & (np.hypot(j, np.abs(i) - 70) < 50)] = -850
    hu[np.hypot(j - 110, i) < 20] = 500
    return np.round(ndimage.gaussian_filter(hu, 0.5) + np.random.default_rng(seed).normal(0, 12, SHAPE))


def mr_of_the_body(seed: int = 0) -> np.ndarray:
    """A T1-weighted image: bright fat, dark air and bone, a coil's shading, no negative values."""
    hu = body(seed)
    signal = np.select([hu < -300, hu < -30, hu < 300], [10, 900, 450], 60)
    shading = np.linspace(0.6, 1.4, SHAPE[1])[:, None]
    return np.abs(signal * shading + np.random.default_rng(seed).normal(0, 15, SHAPE))


def volume(values: np.ndarray, affine: np.ndarray = LPS) -> CTVolume:
    return CTVolume.from_array(values, affine, "scan")


@pytest.fixture
def a_ct() -> CTVolume:
    return volume(body())


@pytest.fixture
def a_liver() -> np.ndarray:
    """Labels of a liver of 1536 ml that touches no side: 8 slices of 49 × 49 pixels."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[6:14, 20:69, 20:69] = 1
    return labels


def refused(ct: CTVolume) -> str:
    """What the user is told; one sentence, which --force turns into a warning."""
    with pytest.raises(InputError) as refusal:
        check_input(ct)
    assert str(refusal.value) in check_input(ct, force=True)
    return str(refusal.value)


def test_a_ct_passes_without_a_word(a_ct: CTVolume) -> None:
    assert check_input(a_ct) == []


def test_the_phantom_passes_without_a_word(a_phantom) -> None:
    assert check_input(a_phantom.ct) == []
    assert check_result(a_phantom.ct, a_phantom.labels) == []


def test_hu_with_a_scanner_s_padding_outside_its_circle_pass(a_ct: CTVolume) -> None:
    padded = body()
    padded[:, :10] = padded[:, -10:] = -3024
    assert check_input(volume(padded)) == []


@pytest.mark.parametrize("scale", [0.3, 0.5, 1.0, 2.0, 10.0])
def test_an_mr_is_refused(scale: float) -> None:
    assert "--modality mr" in refused(volume(mr_of_the_body() * scale))


@pytest.mark.parametrize("padding", [0, -2000])
def test_a_ct_stored_without_its_offset_is_refused_and_the_cause_is_named(padding: int) -> None:
    stored = np.maximum(body() + 1024, 0)
    stored[:, :10] = padding
    assert "rescale intercept" in refused(volume(stored))


@pytest.mark.parametrize(
    "values", [np.clip(body() / 1000, -1, 1), (body() > 0) * 1.0, ndimage.zoom(body() > 0, 1, int) + 0.0]
)
def test_normalised_images_and_label_maps_are_refused(values: np.ndarray) -> None:
    assert "span too little" in refused(volume(values))


ORGANS = np.select([body() > 300, body() > 0, body() > -300], [90, 30, 5], 0)


@pytest.mark.parametrize(
    "labels",
    [ORGANS, (ORGANS > 5) * 255, ORGANS * 22, np.arange(20)[:, None, None] * (body() > -300) * 10],
    ids=["organs", "a mask of 0 and 255", "large numbers", "many labels"],
)
def test_label_maps_are_refused_and_called_so(labels: np.ndarray) -> None:
    assert "label map" in refused(volume(labels))


@pytest.mark.parametrize("window", [(0, 255), (0, 100), (-128, 127), (20, 1020)])
def test_an_mr_is_refused_whatever_its_values_were_scaled_to(window: tuple[int, int]) -> None:
    signal = mr_of_the_body() + np.abs(np.random.default_rng(1).normal(0, 15, SHAPE))
    scaled = np.interp(signal, (0, signal.max()), window)
    assert "MR" in refused(volume(np.rint(scaled)))


def test_an_infant_in_a_wide_view_passes_without_a_word() -> None:
    infant = np.full((20, 384, 384), -1000.0)
    infant[:, 160:208, 160:208] = body()[:, ::2, ::2]
    infant += np.random.default_rng(0).normal(0, 10, infant.shape)
    assert check_input(volume(infant, np.diag((-1.8, -1.8, 5.0, 1.0)))) == []


def test_a_picture_from_0_to_255_is_warned_about() -> None:
    picture = np.rint((np.clip(body(), -160, 240) + 160) / 400 * 255)
    warnings = check_input(volume(picture))
    assert len(warnings) == 1
    assert "0 to 255" in warnings[0]


@given(
    seed=st.integers(0, 10_000),
    low=st.integers(-1024, -20),
    high=st.integers(140, 3000),
)
@settings(max_examples=20)
def test_any_window_around_soft_tissue_passes(seed: int, low: int, high: int) -> None:
    assert check_input(volume(np.clip(body(seed), low, high))) == []


def test_a_single_slice_is_recognised_along_any_axis() -> None:
    slices_along_i = np.moveaxis(body()[10:11], 0, 2)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 2], affine[0, 1], affine[3, 3] = 5.0, -4.0, -4.0, 1.0
    warnings = check_input(volume(slices_along_i, affine))
    assert len(warnings) == 1
    assert "single axial slice" in warnings[0]


def test_slices_more_than_a_centimetre_apart_are_warned_about() -> None:
    warnings = check_input(volume(body(), np.diag((-4.0, -4.0, 12.0, 1.0))))
    assert len(warnings) == 1
    assert "12 mm apart" in warnings[0]


def test_few_pixels_are_warned_about() -> None:
    warnings = check_input(volume(body()[:, ::2, ::2], np.diag((-8.0, -8.0, 5.0, 1.0))))
    assert len(warnings) == 1
    assert "48 × 48 pixels" in warnings[0]


@pytest.mark.parametrize("pixel_mm", [0.5, 20.0])
def test_an_unlikely_field_of_view_is_warned_about(pixel_mm: float) -> None:
    warnings = check_input(volume(body(), np.diag((-pixel_mm, -pixel_mm, 5.0, 1.0))))
    assert len(warnings) == 1
    assert "pixel spacing" in warnings[0]


def test_a_whole_liver_of_usual_size_passes_without_a_word(a_ct: CTVolume, a_liver: np.ndarray) -> None:
    assert check_result(a_ct, a_liver) == []


def test_no_liver_names_the_next_step(a_ct: CTVolume) -> None:
    warnings = check_result(a_ct, np.zeros(SHAPE, np.uint8))
    assert len(warnings) == 1
    assert "check that the scan covers the upper abdomen" in warnings[0]


@pytest.mark.parametrize("shift", [-6, 6])
def test_a_liver_at_the_first_or_last_slice_may_be_cut(a_ct: CTVolume, a_liver: np.ndarray, shift: int) -> None:
    warnings = check_result(a_ct, np.roll(a_liver, shift, axis=0))
    assert len(warnings) == 1
    assert "first or last slice" in warnings[0]


def test_a_liver_at_the_side_of_the_scan_may_be_cut(a_ct: CTVolume, a_liver: np.ndarray) -> None:
    warnings = check_result(a_ct, np.roll(a_liver, -20, axis=2))
    assert len(warnings) == 1
    assert "side" in warnings[0]


def test_the_first_slice_is_found_whatever_the_axes(a_ct: CTVolume, a_liver: np.ndarray) -> None:
    cut = np.roll(a_liver, 6, axis=0)
    affine = LPS[:, [2, 1, 0, 3]]  # now i runs along the patient
    sideways = volume(a_ct.hu.transpose(2, 1, 0), affine)
    assert check_result(sideways, cut.transpose(2, 1, 0)) == check_result(a_ct, cut)


@pytest.mark.parametrize(("scale", "millilitres"), [(0.6, 332), (1.5, 5186)])
def test_an_unusual_volume_is_warned_about(a_liver: np.ndarray, scale: float, millilitres: int) -> None:
    ct = volume(body(), LPS @ np.diag((scale, scale, scale, 1.0)))
    warnings = check_result(ct, a_liver)
    assert len(warnings) == 1
    assert f"{millilitres} ml is unusual" in warnings[0]


def test_a_small_part_of_a_cut_liver_is_not_called_unusual(a_ct: CTVolume) -> None:
    labels = np.zeros(SHAPE, np.uint8)
    labels[:2, 20:60, 20:60] = 1
    assert not any("unusual" in warning for warning in check_result(a_ct, labels))


def test_separate_pieces_are_warned_about(a_ct: CTVolume, a_liver: np.ndarray) -> None:
    a_liver[6:14, 20:69, 75:85] = 1
    warnings = check_result(a_ct, a_liver)
    assert len(warnings) == 1
    assert "2 separate pieces" in warnings[0]


@pytest.mark.parametrize("case", ["ircad_e02", "ircad_e08", "lits_000", "lits_014", "lits_050"])
def test_real_scans_pass_without_a_word(shared_data: Path, case: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(shared_data / "train" / f"{case}_ct.nii.gz")
    ct = CTVolume.from_array(image.get_fdata(dtype=np.float32).T, image.affine, case)
    assert check_input(ct) == []


def test_most_real_mr_is_refused(shared_data: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    files = sorted((shared_data / "mr").glob("*_mr.nii.gz"))
    images = [nibabel.load(file) for file in files]
    cts = [CTVolume.from_array(np.asarray(image.dataobj).T, image.affine) for image in images]
    said = [check_input(ct, force=True)[0] for ct in cts]
    assert sum("MR" in sentence for sentence in said) >= 11
    assert all("MR" in sentence or "picture" in sentence for sentence in said)
    assert sum(looks_like_mr(ct) for ct in cts) >= 13


@pytest.mark.parametrize("noise", [0, 3])
def test_a_picture_of_a_ct_is_no_mr_unless_its_background_was_not_clipped(noise: int) -> None:
    window = np.clip(body() + np.random.default_rng(2).normal(0, 400 * noise / 255, SHAPE), -160, 240)
    picture = np.rint((window + 160) / 400 * 255)
    picture += noise * np.abs(np.random.default_rng(3).normal(0, 1, SHAPE))
    assert looks_like_mr(volume(np.clip(np.rint(picture), 0, 255))) == bool(noise)


def test_a_real_scan_at_full_resolution_and_its_liver_pass_without_a_word(shared_data: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    image = nibabel.load(shared_data / "native" / "ircad_e19_ct.nii.gz")
    reference = nibabel.load(shared_data / "native" / "ircad_e19_liver.nii.gz")
    ct = CTVolume.from_array(np.asarray(image.dataobj).T, image.affine, "ircad_e19")
    assert check_input(ct) == []
    assert check_result(ct, np.asarray(reference.dataobj).T) == []


def test_a_real_dicom_series_passes_without_a_word(shared_data: Path) -> None:
    from LiverSegLib.io.files import read_ct

    assert check_input(read_ct(shared_data / "dicom_hcc048_portal")) == []
