"""DICOM reading: places, rescaling, compression and multi-frame files; what is wrong with a series in a sentence."""

from __future__ import annotations

import errno
import tracemalloc
from copy import deepcopy
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from LiverSegLib.dicom import find_series, read_files, read_series
from LiverSegLib.errors import InputError
from LiverSegLib.phantom import make_phantom
from Testing.dicom_files import multi_frame_of, save, slices_of, stored_as

# pytest takes back the filter that LiverSegLib.dicom sets.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:pydicom")

SYNTAXES = [
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
]
COMPRESSED = [syntax for syntax in SYNTAXES if syntax.is_encapsulated]


@pytest.fixture(scope="module")
def a_ct():
    """A slab of the phantom, as its slices are stored."""
    return make_phantom(shape=(6, 48, 40), spacing=(5.0, 7.0, 8.0)).ct


@pytest.fixture
def slices(a_ct):
    """The slab as a classic series, not written yet."""
    return slices_of(a_ct.hu, a_ct.affine)


def tilted(affine: np.ndarray, degrees: float) -> np.ndarray:
    """The slices turned about the patient's left-right axis while the table still moves along the body."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = affine.copy()
    turned[:3, :2] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ affine[:3, :2]
    return turned


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_every_transfer_syntax_of_ct_is_read(slices, a_ct, tmp_path, syntax):
    save([stored_as(image, syntax) for image in slices], tmp_path)
    ct = read_series(tmp_path)
    assert np.array_equal(ct.hu, a_ct.hu)
    assert np.allclose(ct.affine, a_ct.affine)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *COMPRESSED], ids=lambda syntax: syntax.name)
def test_a_multi_frame_image_is_read_whatever_the_order_of_its_frames(a_ct, tmp_path, syntax):
    image = multi_frame_of(a_ct.hu, a_ct.affine, order=(3, 0, 5, 1, 4, 2))
    save([stored_as(image, syntax)], tmp_path)
    ct = read_series(tmp_path)
    assert np.array_equal(ct.hu, a_ct.hu)
    assert np.allclose(ct.affine, a_ct.affine)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEGLosslessSV1], ids=lambda syntax: syntax.name)
def test_each_frame_is_rescaled_by_its_own_slope(a_ct, tmp_path, syntax):
    slopes = (1.0, 0.5, 0.25, 2.0, 1.0, 0.5)
    save([stored_as(multi_frame_of(a_ct.hu, a_ct.affine, slopes=slopes), syntax)], tmp_path)
    off = np.abs(read_series(tmp_path).hu.astype(int) - a_ct.hu).max(axis=(1, 2))
    assert off[3] <= 1
    assert not off[[0, 1, 2, 4, 5]].any()


def test_each_slice_is_rescaled_by_its_own_intercept(slices, a_ct, tmp_path):
    for n, image in enumerate(slices):
        image.PixelData = (np.frombuffer(image.PixelData, "<u2") + 10 * n).astype("<u2").tobytes()
        image.RescaleIntercept -= 10 * n
    save(slices, tmp_path)
    assert np.array_equal(read_series(tmp_path).hu, a_ct.hu)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_what_is_drawn_into_the_bits_above_those_stored_is_no_hu(slices, a_ct, tmp_path, syntax, signed):
    for k, image in enumerate(slices):
        image.RescaleIntercept = 0 if signed else -1024
        numbers = np.clip(a_ct.hu[k], -1024, 2047) - int(image.RescaleIntercept)
        image.PixelData = ((numbers & 0x0FFF) | 0x5000).astype("<u2").tobytes()
        stored_as(image, syntax)
        image.BitsStored, image.HighBit, image.PixelRepresentation = 12, 11, signed
    save(slices, tmp_path)
    assert np.array_equal(read_series(tmp_path).hu, np.clip(a_ct.hu, -1024, 2047))


def test_numbers_in_unusual_bits_are_not_guessed(slices, tmp_path):
    for image in slices:
        image.BitsStored, image.HighBit = 12, 15
    save(slices, tmp_path)
    with pytest.raises(InputError, match="cannot be read"):
        read_series(tmp_path)


def test_an_enhanced_image_may_have_its_rescaling_outside_the_groups(a_ct, tmp_path):
    image = multi_frame_of(a_ct.hu, a_ct.affine)
    for groups in image.PerFrameFunctionalGroupsSequence:
        del groups.PixelValueTransformationSequence
    image.RescaleSlope, image.RescaleIntercept = 1, -1024
    save([image], tmp_path)
    assert np.array_equal(read_series(tmp_path).hu, a_ct.hu)


def test_two_rescalings_that_contradict_each_other_are_refused(a_ct, tmp_path):
    image = multi_frame_of(a_ct.hu, a_ct.affine)
    image.RescaleIntercept = 0
    save([image], tmp_path)
    with pytest.raises(InputError, match=r"RescaleIntercept .* given twice"):
        read_series(tmp_path)


@pytest.mark.parametrize("value", [b"-1,24", b"nan  ", b"1e999"])
def test_a_rescaling_that_is_no_number_is_named(slices, tmp_path, value):
    for path in save(slices, tmp_path):
        path.write_bytes(path.read_bytes().replace(b"-1024", value))
    with pytest.raises(InputError, match="RescaleIntercept is no valid number"):
        read_series(tmp_path)


def test_a_slice_that_lacks_the_rescaling_of_the_others_is_refused(slices, tmp_path):
    del slices[2].RescaleIntercept
    save(slices, tmp_path)
    with pytest.raises(InputError, match=r"differ in .* rescaling"):
        read_series(tmp_path)


def test_a_table_in_place_of_the_rescaling_is_refused(slices, tmp_path):
    table = pydicom.Dataset()
    table.ModalityLUTType = "HU"
    for image in slices:
        del image.RescaleSlope, image.RescaleIntercept
        image.ModalityLUTSequence = [table]
    save(slices, tmp_path)
    with pytest.raises(InputError, match="Modality LUT"):
        read_series(tmp_path)


def test_files_without_the_usual_preamble_are_read(slices, a_ct, tmp_path):
    for path in save([stored_as(image, ImplicitVRLittleEndian) for image in slices], tmp_path):
        bare = pydicom.Dataset(pydicom.dcmread(path))
        pydicom.dcmwrite(path, bare, implicit_vr=True, little_endian=True, enforce_file_format=False)
        assert path.read_bytes()[:2] == b"\x08\x00"
    assert np.array_equal(read_series(tmp_path).hu, a_ct.hu)


@settings(max_examples=25)
@given(degrees=st.floats(-30, 30), seed=st.integers(0, 1000))
def test_every_voxel_of_a_tilted_gantry_keeps_its_place(a_ct, tmp_path_factory, degrees, seed):
    affine = tilted(a_ct.affine, degrees)
    files = save(slices_of(a_ct.hu, affine), tmp_path_factory.mktemp("tilt"))
    ct = read_files([files[n] for n in np.random.default_rng(seed).permutation(len(files))])
    assert np.allclose(ct.affine, affine, atol=1e-5)
    assert np.array_equal(ct.hu, a_ct.hu)
    assert any("tilted by" in warning for warning in ct.warnings) == (abs(degrees) >= 0.5)


@pytest.mark.parametrize(("degrees", "digits"), [(0.6, 4), (45, 3), (2, 3), (30, 3)])
def test_rounded_directions_are_set_right_and_called_no_tilt(a_ct, tmp_path, degrees, digits):
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    affine = np.array([[c, -s, 0, 0], [s, c, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]) @ a_ct.affine
    images = slices_of(a_ct.hu, affine)
    for image in images:
        image.ImageOrientationPatient = [round(float(value), digits) for value in image.ImageOrientationPatient]
    save(images, tmp_path)
    ct = read_series(tmp_path)
    axes = ct.affine[:3, :3] / np.linalg.norm(ct.affine[:3, :3], axis=0)
    assert np.allclose(axes.T @ axes, np.eye(3), atol=1e-5)
    assert ct.spacing == pytest.approx((5, 7, 8))
    assert ct.warnings == ()


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0]),
        ("ImageOrientationPatient", [1, 0, 0, 0.5, 0.5, 0]),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0]),
        ("ImageOrientationPatient", [0, 0, 0, 0, 1, 0]),
        ("ImageOrientationPatient", [0.7, 0.7, 0, 0, 0, -0.95]),
        ("PixelSpacing", [-7, 8]),
        ("PixelSpacing", [7, 0]),
        ("PixelSpacing", [7]),
    ],
)
def test_geometry_that_cannot_be_is_refused(slices, tmp_path, keyword, value):
    for image in slices:
        setattr(image, keyword, value)
    save(slices, tmp_path)
    with pytest.raises(InputError, match=f"its {keyword} is missing or impossible"):
        read_series(tmp_path)


@pytest.mark.parametrize(("told", "warns"), [(5.0, False), (5.2, False), (2.5, True), (0, False), (-5, False)])
def test_another_distance_than_that_of_the_positions_is_told(slices, a_ct, tmp_path, told, warns):
    for image in slices:
        image.SpacingBetweenSlices = told
    save(slices, tmp_path)
    ct = read_series(tmp_path)
    assert np.allclose(ct.affine, a_ct.affine)
    assert bool(ct.warnings) == warns == any("2.50 mm between slices" in warning for warning in ct.warnings)


def test_sagittal_slices_are_sorted_along_their_own_normal(a_ct, tmp_path):
    sagittal = np.array([[0, 0, 4.0, 10], [5.0, 0, 0, 20], [0, -6.0, 0, 30], [0, 0, 0, 1]])
    save(slices_of(a_ct.hu, sagittal), tmp_path)
    ct = read_series(tmp_path)
    point = np.array((3, 2, 1, 1))
    at = np.rint(np.linalg.inv(ct.affine) @ sagittal @ point).astype(int)
    assert ct.hu[at[2], at[1], at[0]] == a_ct.hu[1, 2, 3]
    assert ct.warnings == ()


def test_identical_copies_of_slices_are_taken_once(slices, a_ct, tmp_path):
    save(slices, tmp_path)
    save(deepcopy(slices[2:4]), tmp_path, "copy")
    assert np.array_equal(read_series(tmp_path).hu, a_ct.hu)


def test_different_images_in_one_place_are_refused(slices, a_ct, tmp_path):
    series = slices[0].SeriesInstanceUID
    save(slices, tmp_path)
    save(slices_of(a_ct.hu + 1, a_ct.affine, SeriesInstanceUID=series), tmp_path, "second_phase")
    with pytest.raises(InputError, match="different images in the same place"):
        read_series(tmp_path)


@pytest.mark.parametrize("gone", [(1,), (4,), (2, 3)])
def test_missing_slices_are_noticed_wherever_they_are(slices, tmp_path, gone):
    save([image for k, image in enumerate(slices) if k not in gone], tmp_path)
    with pytest.raises(InputError, match=r"misses slices.*5\.00 to 1\d\.00 mm"):
        read_series(tmp_path)


def test_a_slice_that_lies_beside_the_others_is_refused(slices, tmp_path):
    slices[2].ImagePositionPatient[0] += 3
    save(slices, tmp_path)
    with pytest.raises(InputError, match="unevenly spaced"):
        read_series(tmp_path)


def test_positions_rounded_to_a_tenth_of_a_millimetre_are_even_enough(a_ct, tmp_path):
    affine = a_ct.affine.copy()
    affine[2, 2] = 0.625
    images = slices_of(a_ct.hu, affine)
    for image in images:
        image.ImagePositionPatient[2] = round(float(image.ImagePositionPatient[2]), 1)
    save(images, tmp_path)
    assert read_series(tmp_path).spacing[0] == pytest.approx(0.625, abs=0.02)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [("PixelSpacing", [7.5, 8.0]), ("ImageOrientationPatient", [0, 1, 0, 0, 0, 1])],
)
def test_slices_unlike_each_other_are_refused(slices, tmp_path, keyword, value):
    setattr(slices[3], keyword, value)
    save(slices, tmp_path)
    with pytest.raises(InputError, match="differ in size, pixel spacing, direction"):
        read_series(tmp_path)


@pytest.mark.parametrize("keyword", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_a_series_without_a_place_is_refused(slices, tmp_path, keyword):
    for image in slices:
        delattr(image, keyword)
    save(slices, tmp_path)
    with pytest.raises(InputError, match="no valid position"):
        read_series(tmp_path)


def test_one_series_with_slices_of_two_patients_is_refused(slices, tmp_path):
    slices[4].PatientID = slices[5].PatientID = "0815"
    save(slices, tmp_path)
    with pytest.raises(InputError, match="slices of 2 patients") as refusal:
        read_series(tmp_path)
    assert not {"0815", "4711", "Doe"} & set(str(refusal.value).replace("^", " ").split())


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *COMPRESSED], ids=lambda syntax: syntax.name)
def test_a_truncated_slice_is_named(slices, tmp_path, syntax):
    paths = save([stored_as(image, syntax) for image in slices], tmp_path)
    paths[2].write_bytes(paths[2].read_bytes()[:-600])
    with pytest.raises(InputError, match=paths[2].name):
        read_series(tmp_path)


@pytest.mark.parametrize("place", [0.3, 0.6, 0.9])
def test_a_lossless_jpeg_that_is_damaged_within_is_named_although_gdcm_goes_on(slices, tmp_path, place):
    path = save([stored_as(image, JPEGLosslessSV1) for image in slices], tmp_path)[2]
    content = bytearray(path.read_bytes())
    at = content.index(b"\xff\xda") + int(place * (len(content) - content.index(b"\xff\xda")))
    content[at : at + 30] = bytes(30)
    path.write_bytes(content)
    with pytest.raises(InputError, match=path.name):
        read_series(tmp_path)


def test_a_file_with_fewer_frames_than_its_header_lists_is_named(a_ct, tmp_path):
    image = multi_frame_of(a_ct.hu, a_ct.affine)
    image.NumberOfFrames = 4
    image.PixelData = image.PixelData[: 4 * 2 * image.Rows * image.Columns]
    (path,) = save([image], tmp_path)
    with pytest.raises(InputError, match=path.name):
        read_series(tmp_path)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, *COMPRESSED], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("count", [None, 6])
def test_frames_that_do_not_tell_where_they_lie_are_refused(slices, tmp_path, syntax, count):
    first, *others = (stored_as(image, syntax) for image in slices)
    if syntax.is_encapsulated:
        frames = [next(generate_frames(image.PixelData, number_of_frames=1)) for image in (first, *others)]
        first.PixelData = encapsulate(frames, has_bot=False)
        first["PixelData"].VR = "OB"
    else:
        first.PixelData = b"".join(image.PixelData for image in (first, *others))
    if count:
        first.NumberOfFrames = count
    (path,) = save([first], tmp_path)
    with pytest.raises(InputError, match="holds 6 frames and does not tell where" if count else path.name):
        read_series(tmp_path)


def test_frames_without_functional_groups_of_their_own_are_noticed(a_ct, tmp_path):
    image = multi_frame_of(a_ct.hu, a_ct.affine)
    image.PerFrameFunctionalGroupsSequence = image.PerFrameFunctionalGroupsSequence[:4]
    (path,) = save([image], tmp_path)
    with pytest.raises(InputError, match=path.name):
        read_series(tmp_path)


@pytest.mark.parametrize("read", [read_series, find_series])
def test_a_deflated_slice_is_not_unpacked_to_more_than_its_header_promises(slices, tmp_path, read):
    image = slices[0]
    image.PixelData = bytes(1 << 26)
    (path,) = save([stored_as(image, DeflatedExplicitVRLittleEndian)], tmp_path)
    assert path.stat().st_size < 1 << 17
    tracemalloc.start()
    try:
        read(tmp_path)
    except InputError as refusal:
        assert path.name in str(refusal)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 1 << 25


def test_a_full_folder_for_temporary_files_is_named(slices, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    save([stored_as(image, JPEGLosslessSV1) for image in slices], tmp_path)
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(InputError, match=r"temporary file.*\(No space left on device\)"):
        read_series(tmp_path)


def test_an_unknown_compression_is_named(slices, tmp_path):
    for image in slices:
        stored_as(image, RLELossless).file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
    save(slices, tmp_path)
    with pytest.raises(InputError, match=r"High-Throughput JPEG 2000.*uncompressed"):
        read_series(tmp_path)


@pytest.mark.parametrize(("told", "thickness"), [(2.5, 2.5), (-2.5, 1), (0, 1), ("", 1)])
def test_a_single_slice_is_as_thick_as_its_header_says(slices, tmp_path, told, thickness):
    slices[0].SliceThickness = told
    save(slices[:1], tmp_path)
    ct = read_series(tmp_path)
    assert ct.spacing[0] == pytest.approx(thickness)
    assert np.linalg.det(ct.affine[:3, :3]) > 0


def test_in_messages_a_series_goes_by_the_name_that_it_is_given(slices, tmp_path):
    folder = tmp_path / "Doe_Jane"
    save(slices[:2] + slices[4:], folder)
    with pytest.raises(InputError, match="series_0123") as refusal:
        read_files(find_series(folder).series[0].files, "series_0123")
    assert "Doe" not in str(refusal.value)


def test_a_frame_of_reference_of_its_own_for_each_file_changes_nothing(slices, a_ct, tmp_path):
    for image in slices:
        image.FrameOfReferenceUID = generate_uid()
    save(slices, tmp_path)
    assert np.array_equal(read_series(tmp_path).hu, a_ct.hu)


def test_compressed_pixels_of_a_slice_that_does_not_tell_how_are_refused(a_ct, tmp_path):
    # Of noise the encoded pixels are no fewer bytes than the plain ones: they could be taken for those.
    noise = np.random.default_rng(0).integers(-1000, 3000, a_ct.hu.shape).astype(np.int16)
    path = save([stored_as(image, RLELossless) for image in slices_of(noise, a_ct.affine)], tmp_path)[2]
    content = path.read_bytes()
    at = content.index(b"\x02\x00\x10\x00UI")  # TransferSyntaxUID, by its tag and VR
    path.write_bytes(content[:at] + b"\x02\x00\x03\x01" + content[at + 4 :])
    with pytest.raises(InputError, match=path.name):
        read_series(tmp_path)


def test_a_series_of_a_real_scanner_is_read(shared_data):
    ct = read_series(shared_data / "dicom_hcc048_portal")
    assert ct.hu.shape == (89, 512, 512)
    assert ct.spacing == pytest.approx((2.5, 0.703125, 0.703125))
    assert ct.hu.min() < -900  # air, with the rescale intercept applied
    assert np.allclose(ct.affine[:3, 3], (180, 180, -396))
