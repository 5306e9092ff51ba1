"""What damaged files and strange geometry brought to light, each built by hand: it stays mended."""

from __future__ import annotations

import struct
import sys

import nibabel
import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.dicom.codestream import check_codestream
from LiverSegLib.errors import InputError, ModelError, OutputError
from LiverSegLib.inference.body_crop import Body
from LiverSegLib.inference.oblique_views import to_upright
from LiverSegLib.inference.plausibility import check_input
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import ModelCard
from Testing.dicom_files import save, slices_of, stored_as
from Testing.fuzz.attempt import in_use
from Testing.fuzz.corpus import AFFINE, OBLIQUE, SHAPE, hu, sample_of
from Testing.fuzz.mutate import _find


@pytest.fixture
def image(tmp_path):
    """Write the sound file of a format with one piece of it replaced."""

    def image(name, old, new):
        sample = sample_of(name)
        content = sample.files[sample.target]
        assert content.count(old) >= 1
        path = tmp_path / sample.target
        path.write_bytes(content.replace(old, new, 1))
        return path

    return image


# ---- MetaImage and NRRD ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["{}={}\r\n", "{} : {}\n", " {}  =  {} \n"])
def test_a_metaimage_written_by_hand_is_read(tmp_path, form):
    fields = {
        "ObjectType": "Image",
        "NDims": 3,
        "BinaryData": "True",
        "BinaryDataByteOrderMSB": "False",
        "Comment": "caf\xe9 = 1",
        "Offset": "1 2 3",
        "ElementSpacing": "1 1 2",
        "DimSize": "11 9 4",
        "ElementType": "MET_SHORT",
        "ElementDataFile": "LOCAL",
    }
    header = "".join(form.format(key, value) for key, value in fields.items())
    (tmp_path / "ct.mha").write_bytes(header.rstrip("\r\n ").encode("latin-1") + b"\n" + hu().tobytes())
    assert np.array_equal(files.read_ct(tmp_path / "ct.mha").hu, hu())


def test_a_nrrd_turned_by_next_to_nothing_is_read(image):
    path = image("nrrd gzip", b"(1.5,0,0)", b"(1.5,1e-170,-1e-300)")
    assert np.allclose(files.read_ct(path).affine, AFFINE)


def test_a_nrrd_key_that_is_no_text_is_passed_over(image):
    path = image("nrrd", b"\n\n", b"\n\xf0\xe1\xb0:=x\n\n")
    assert np.array_equal(files.read_ct(path).hu, hu())


# ---- NIfTI -----------------------------------------------------------------------------------------------------------


def nifti(tmp_path, offset, code, value):
    content = bytearray(sample_of("nii").files["ct.nii"])
    struct.pack_into(code, content, offset, value)
    (tmp_path / "ct.nii").write_bytes(content)
    return tmp_path / "ct.nii"


@pytest.mark.parametrize("voxels_at", [3e38, -3e38, float("inf"), float("nan"), 1e10])
def test_voxels_that_begin_far_beyond_the_file_are_refused(tmp_path, voxels_at):
    with pytest.raises(InputError, match=r"cannot be read|shorter"):
        files.read_ct(nifti(tmp_path, 108, "<f", voxels_at))


@pytest.mark.parametrize(("units", "factor"), [(7, 1), (2 | 56, 1), (1 | 40, 1000), (3 | 128, 0.001)])
def test_strange_units_of_time_do_not_hide_those_of_length(tmp_path, units, factor):
    affine = files.read_ct(nifti(tmp_path, 123, "<B", units)).affine
    assert np.allclose(affine[:3], AFFINE[:3] * factor)


def test_a_strange_header_makes_nibabel_say_nothing_of_its_own(tmp_path, capfd):
    files.read_ct(nifti(tmp_path, 252, "<h", 99))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("shape", "place"), [((1, 1, 40000), 0), ((2, 2, 2), 123456789.0), ((2, 2, 2), 1e300), ((40000, 1, 1), 0)]
)
def test_a_grid_that_nifti_cannot_hold_is_not_written_but_nrrd_holds_it(tmp_path, shape, place):
    affine = AFFINE.copy()
    affine[0, 3] = place
    (tmp_path / "labels.nii").write_text("what was there before")
    with pytest.raises(OutputError, match=r"use \.nrrd"):
        files.write_labels(tmp_path / "labels.nii", np.ones(shape, np.uint8), affine)
    assert (tmp_path / "labels.nii").read_text() == "what was there before"
    if place < 1e300:
        files.write_labels(tmp_path / "labels.nrrd", np.ones(shape, np.uint8), affine)
        assert np.allclose(files.read_labels(tmp_path / "labels.nrrd")[1], affine, rtol=1e-12)


# ---- DICOM -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless], ids=lambda one: one.name)
def test_a_series_that_promises_gigabytes_is_refused_before_memory_is_taken(tmp_path, monkeypatch, syntax):
    for image in (images := [stored_as(image, syntax) for image in slices_of(hu(), AFFINE)]):
        image.Rows = image.Columns = 8192
    save(images, tmp_path)
    taken = []
    monkeypatch.setattr(np, "empty", lambda shape, *_, **__: taken.append(shape))
    with pytest.raises(InputError, match="promises"):
        files.read_ct(tmp_path)
    assert taken == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits memory by means of Linux")
def test_an_element_that_says_it_is_gigabytes_long_takes_none(tmp_path):
    import resource

    for path in save(slices_of(hu(), AFFINE), tmp_path):
        content = path.read_bytes()
        at = _find(content, "PixelData", "OW")
        path.write_bytes(content[: at + 8] + struct.pack("<I", 2**32 - 2) + content[at + 12 :])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int((in_use("VmSize") + 1000) * 2**20), before[1]))
    try:
        assert np.array_equal(files.read_ct(tmp_path).hu, hu())
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def test_a_frame_that_promises_gigabytes_is_not_given_to_gdcm():
    content = sample_of("dicom JPEG 2000").files["slice_001.dcm"]
    frame = content[content.index(b"\xff\x4f\xff\x51") :]
    frame = frame[:8] + struct.pack(">IIII", 30000, 30000, 0, 0) + frame[24:]
    with pytest.raises(ValueError, match="30000 × 30000"):
        check_codestream(frame[: frame.index(b"\xff\xd9") + 2], 30000, 30000, 16)


# ---- the model -------------------------------------------------------------------------------------------------------


def test_a_card_that_is_no_text_is_not_quoted(tmp_path):
    (tmp_path / "model.json").write_bytes(b"{" + b"\x88secret" * 100)
    with pytest.raises(ModelError, match="damaged") as caught:
        ModelCard.read(tmp_path / "model.json")
    assert "secret" not in str(caught.value)


# ---- numbers and geometry --------------------------------------------------------------------------------------------


def test_half_precision_saturates_instead_of_turning_round():
    ct = CTVolume.from_array(np.array([[[-40000, 40000, 32768, 5]]], np.float16), np.eye(4))
    assert ct.hu.tolist() == [[[-32768, 32767, 32767, 5]]]


def test_a_single_row_that_runs_backwards_has_a_body():
    ct = CTVolume(np.array([[[40, 50, -1000]]], np.int16), np.diag((-1.0, 1.0, 1.0, 1.0)))
    assert len(Body(ct.canonical_view(), (-160.0, 240.0)).outline([range(1)])) == 4


@pytest.mark.parametrize("spacing", [(1e6, 1.0, 1.0), (1.0, 1e-6, 1.0), (1.0, 1.0, 1000.0), (300.0, 300.0, 1.0)])
@pytest.mark.parametrize("force", [False, True])
def test_an_image_that_no_patient_fits_is_refused(spacing, force):
    with pytest.raises(InputError, match="no CT of a patient"):
        check_input(CTVolume(hu(), np.diag((*spacing, 1.0)), "scan"), force)


def test_an_oblique_stack_of_hair_thin_slices_is_not_resampled_as_thin():
    thin = OBLIQUE @ np.diag((20.0, 20.0, 1e-3, 1.0))
    upright = to_upright(CTVolume(hu(), thin), 1.5)
    assert upright.spacing[0] == 0.5


def test_an_oblique_volume_too_large_to_be_turned_is_refused():
    broad = OBLIQUE @ np.diag((120.0, 120.0, 0.1, 1.0))
    with pytest.raises(InputError, match="too large"):
        to_upright(CTVolume(np.broadcast_to(hu()[:1], (9, *SHAPE[1:])), broad), 0.7)


def test_a_few_voxels_that_claim_to_be_metres_apart_are_not_resampled_to_millions():
    far = OBLIQUE @ np.diag((90.0, 90.0, 60.0, 1.0))
    with pytest.raises(InputError, match="too large"):
        to_upright(CTVolume(hu(), far), 1.5)


def test_a_labelmap_without_voxels_is_refused(tmp_path):
    image = nibabel.Nifti1Image(np.zeros((4, 0, 3), np.uint8), AFFINE)
    nibabel.save(image, tmp_path / "labels.nii")
    with pytest.raises(InputError, match="has no voxels"):
        files.read_labels(tmp_path / "labels.nii")
