"""NRRD files: the voxels of the file or none, in RAS whatever its space, and Slicer's segments as labels."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import SimpleITK as sitk

from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.errors import InputError
from LiverSegLib.io import files

SHAPE = (4, 5, 6)


@pytest.fixture
def layers():
    """Two layers of segments that overlap: (k, j, i, layer)."""
    layers = np.zeros((*SHAPE, 2), np.uint8)
    layers[1:3, 1:4, 1:5, 0] = 3
    layers[0, :, :, 0] = 4
    layers[2, 2, 2:4, 1] = 1
    return layers


@pytest.fixture
def seg_nrrd(tmp_path):
    """Write layers as .seg.nrrd with segments (name, terminology, label, layer)."""

    def seg_nrrd(layers, *segments):
        image = sitk.GetImageFromArray(layers, isVector=layers.ndim == 4)
        for n, (name, terminology, label, layer) in enumerate(segments):
            for key, value in {"Name": name, "ID": name, "LabelValue": label, "Layer": layer}.items():
                image.SetMetaData(f"Segment{n}_{key}", str(value))
            image.SetMetaData(f"Segment{n}_Tags", f"Origin:hand|TerminologyEntry:{terminology}|")
        sitk.WriteImage(image, tmp_path / "l.seg.nrrd")
        return tmp_path / "l.seg.nrrd"

    return seg_nrrd


@pytest.mark.parametrize("name", ["ct.nrrd", "ct.mha", "CT.MHA"])
def test_a_ct_lies_in_the_patient_where_simpleitk_says(tmp_path, name):
    hu = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    image = sitk.GetImageFromArray(hu)
    image.SetSpacing((0.7, 0.8, 2.5))
    image.SetOrigin((-100, -150, 300))
    image.SetDirection(sitk.VersorTransform((0, 0, 1), 0.3).GetMatrix())
    written = tmp_path / f"written.{name.lower()}"
    sitk.WriteImage(image, written)
    written.rename(tmp_path / name)
    ct = files.read_ct(tmp_path / name)
    assert np.array_equal(ct.hu, hu)
    for ijk in ((0, 0, 0), (5, 4, 3), (1, 2, 3)):
        left, posterior, superior = image.TransformIndexToPhysicalPoint(ijk)
        assert np.allclose(ct.affine @ (*ijk, 1), (-left, -posterior, superior, 1))


def test_segments_in_layers_are_told_by_their_names(seg_nrrd, layers):
    path = seg_nrrd(layers, ("Spleen", "", 4, 0), ("Liver", "", 3, 0), ("liver tumour", "", 1, 1))
    labels, _ = files.read_labels(path)
    assert np.array_equal(labels == 2, layers[..., 1] == 1)
    assert np.array_equal(labels > 0, (layers[..., 0] == 3) | (layers[..., 1] == 1))


def test_segments_are_told_by_their_codes(seg_nrrd, layers):
    path = seg_nrrd(layers, ("A", LIVER.terminology, 3, 0), ("B", TUMOUR.terminology, 1, 1), ("C", "", 4, 0))
    labels, _ = files.read_labels(path)
    assert np.array_equal(labels == 2, layers[..., 1] == 1)
    assert not labels[0].any()


def test_a_single_segment_of_any_name_is_the_liver(seg_nrrd, layers):
    labels, _ = files.read_labels(seg_nrrd(layers[..., 0].copy(), ("Segment_1", "", 3, 0)))
    assert np.array_equal(labels, (layers[..., 0] == 3).astype(np.uint8))


def test_several_segments_none_of_which_is_the_liver_are_refused(seg_nrrd, layers):
    with pytest.raises(InputError, match="Spleen, Kidney"):
        files.read_labels(seg_nrrd(layers, ("Spleen", "", 4, 0), ("Kidney", "", 3, 0)))


@pytest.mark.parametrize(("label", "layer"), [("one", 0), (3, 7)])
def test_segments_that_make_no_sense_are_told_in_a_sentence(seg_nrrd, layers, label, layer):
    with pytest.raises(InputError, match="download it again"):
        files.read_labels(seg_nrrd(layers, ("Liver", "", label, layer)))


def test_two_segments_are_written_as_the_list_that_slicer_writes(tmp_path):
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:3, 1:4, 1:5], labels[2, 2, 2:4] = 1, 2
    files.write_labels(tmp_path / "l.seg.nrrd", labels, AFFINE)
    header = (tmp_path / "l.seg.nrrd").read_bytes().partition(b"\n\n")[0].decode().splitlines()
    assert "kinds: list domain domain domain" in header
    assert "space directions: none (1.5,0.0,0.0) (0.0,1.25,0.0) (0.0,0.0,3.0)" in header
    image = sitk.ReadImage(tmp_path / "l.seg.nrrd")
    assert np.array_equal(sitk.GetArrayFromImage(image), np.stack([labels > 0, labels == 2], axis=-1))
    assert np.array_equal(files.read_labels(tmp_path / "l.seg.nrrd")[0], labels)


# ---- headers ---------------------------------------------------------------------------------------------------------

AFFINE = np.diag((-1.5, -1.25, 3, 1.0))
HU = np.random.default_rng(0).integers(-150, 200, SHAPE).astype(np.int16)
FIELDS = {
    "type": "short",
    "dimension": "3",
    "space": "left-posterior-superior",
    "sizes": "6 5 4",
    "space directions": "(1.5,0,0) (0,1.25,0) (0,0,3)",
    "kinds": "domain domain domain",
    "endian": "little",
    "encoding": "raw",
    "space origin": "(0,0,0)",
}


@pytest.fixture
def nrrd(tmp_path):
    """Write a file with some fields changed, added or, where None, left out."""

    def nrrd(changes=(), voxels=None, newline="\n", comments=0):
        lines = ["NRRD0005", *["# " + "x" * 98] * comments]
        lines += [f"{key}: {value}" for key, value in {**FIELDS, **dict(changes)}.items() if value is not None]
        (tmp_path / "ct.nrrd").write_bytes(
            newline.join([*lines, "", ""]).encode() + (HU.tobytes() if voxels is None else voxels)
        )
        return tmp_path / "ct.nrrd"

    return nrrd


@pytest.mark.parametrize(
    ("encoding", "voxels"),
    [
        ("gz", gzip.compress(HU.tobytes(), mtime=0)),
        ("GZIP", gzip.compress(HU.tobytes()[:50], mtime=0) + gzip.compress(HU.tobytes()[50:], mtime=0)),
    ],
)
def test_every_encoding_gives_the_same_voxels(nrrd, encoding, voxels):
    assert np.array_equal(files.read_ct(nrrd({"encoding": encoding}, voxels)).hu, HU)


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("signed char", "i1"),
        ("uint8", "u1"),
        ("unsigned short", ">u2"),
        ("int", ">i4"),
        ("float", "<f4"),
        ("double", ">f8"),
    ],
)
def test_every_type_and_byte_order_is_read(nrrd, name, dtype):
    values = (HU % 100).astype(dtype)
    path = nrrd({"type": name, "endian": "big" if dtype[0] == ">" else "little"}, values.tobytes())
    assert np.array_equal(files.read_ct(path).hu, values)


@pytest.mark.parametrize(("newline", "comments"), [("\r\n", 3), ("\n", 5000)])
def test_headers_of_all_kinds_are_read(nrrd, newline, comments):
    assert np.array_equal(files.read_ct(nrrd(newline=newline, comments=comments)).hu, HU)


@pytest.mark.parametrize(
    ("space", "signs"), [("RAS", (1, 1, 1)), ("left-anterior-superior", (-1, 1, 1)), ("LPS", (-1, -1, 1))]
)
def test_every_space_of_the_patient_becomes_ras(nrrd, space, signs):
    ct = files.read_ct(nrrd({"space": space, "space origin": "(10,20,30)"}))
    assert np.allclose(np.diag(ct.affine)[:3], np.multiply(signs, (1.5, 1.25, 3)))
    assert np.allclose(ct.affine[:3, 3], np.multiply(signs, (10, 20, 30)))


@pytest.mark.parametrize(
    ("units", "factors"), [('"mm" "mm" "mm"', 1), ('"cm" "cm" "cm"', 10), ('"m" "mm" ""', (1e3, 1, 1))]
)
def test_lengths_are_in_millimetres_whatever_the_unit_of_the_space(nrrd, units, factors):
    assert np.allclose(np.diag(files.read_ct(nrrd({"space units": units})).affine)[:3], np.diag(AFFINE)[:3] * factors)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"space directions": None}, "no space directions"),
        ({"space directions": "(1.5,0,0) (0,1.25,0)"}, "space directions: (1.5,0,0)"),
        ({"space directions": "(1.5,0,0) (0,nan,0) (0,0,3)"}, "space directions: (1.5,0,0)"),
        ({"space directions": "(1.5,0,0) (0,0,0) (0,0,3)"}, "no valid position"),
        ({"space": None}, "no space of the patient"),
        ({"space": "scanner-xyz"}, "no space of the patient"),
        ({"kinds": "domain domain list"}, "kinds: domain domain list"),
        ({"kinds": "domain domain"}, "kinds: domain domain"),
        ({"spacings": "1.5 1.25 1"}, "spacings: 1.5 1.25 1"),
        ({"space units": '"furlong" "mm" "mm"'}, "space units"),
        ({"space units": "cm"}, "space units"),
        ({"space origin": "(0,0,0"}, "space origin: (0,0,0"),
        ({"units": '"cm" "cm" "cm"'}, "units"),
        ({"spacf units": '"cm" "cm" "cm"'}, "spacf units"),
        ({"endian": None}, "lacks endian"),
        ({"encoding": "bzip2"}, "encoding: bzip2"),
        ({"encoding": "ascii"}, "encoding: ascii"),
        ({"byte skip": "-1"}, "byte skip: -1"),
        ({"type": "block"}, "type: block"),
        ({"Sizes": "6 5 4"}, "Sizes"),
        ({"data file": "secret.raw"}, "in another file"),
        ({"DataFile": "secret.raw"}, "in another file"),
        ({"content": "x\rdata file: secret.raw"}, "CR"),
        ({"sizes": "6 5 3"}, "longer than its header promises"),
        ({"sizes": "6 5 5"}, "shorter than its header promises"),
    ],
)
def test_a_header_that_leaves_a_doubt_is_refused_in_words_that_name_it(nrrd, changes, said):
    with pytest.raises(InputError) as caught:
        files.read_ct(nrrd(changes))
    assert said in str(caught.value)


def test_a_header_of_lines_that_end_in_cr_or_of_a_megabyte_leads_to_no_other_file(nrrd):
    for options in ({"newline": "\r"}, {"comments": 11_000}):
        with pytest.raises(InputError, match=r"cannot be read|does not begin"):
            files.read_ct(nrrd({"data file": "secret.raw"}, **options))


def test_a_missing_origin_is_a_warning(nrrd):
    assert ["space origin" in warning for warning in files.read_ct(nrrd({"space origin": None})).warnings] == [True]


def test_an_axis_of_components_may_stand_anywhere(nrrd, seg_nrrd, layers):
    path = seg_nrrd(layers, ("Liver", "", 3, 0), ("liver tumour", "", 1, 1))
    labels, _ = files.read_labels(path)
    header = path.read_bytes().partition(b"\n\n")[0]
    lines = (
        header.replace(b"2 6 5 4", b"6 5 4 2")
        .replace(b"vector domain domain domain", b"domain domain domain vector")
        .replace(b"none (1,0,0) (0,1,0) (0,0,1)", b"(1,0,0) (0,1,0) (0,0,1) none")
    )
    path.write_bytes(lines + b"\n\n" + np.moveaxis(layers, -1, 0).tobytes())
    assert np.array_equal(files.read_labels(path)[0], labels)


def test_no_flipped_bit_of_a_compressed_file_changes_a_voxel(nrrd):
    content = nrrd({"encoding": "gzip"}, gzip.compress(HU.tobytes(), 0)).read_bytes()
    path = nrrd()
    for at in range(len(content) - 250, len(content), 5):
        path.write_bytes(content[:at] + bytes((content[at] ^ 4,)) + content[at + 1 :])
        with pytest.raises(InputError, match="cannot be read"):
            files.read_ct(path)
