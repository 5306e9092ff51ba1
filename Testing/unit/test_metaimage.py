"""MetaImage files: the voxels of the file or none, in the place that the header tells without contradiction."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
import SimpleITK as sitk

from LiverSegLib.errors import InputError
from LiverSegLib.io import files

HU = np.random.default_rng(0).integers(-150, 200, (4, 9, 11)).astype(np.int16)
AFFINE = np.diag((-1.5, -1.25, 3, 1.0))
FIELDS = {
    "ObjectType": "Image",
    "NDims": "3",
    "BinaryData": "True",
    "BinaryDataByteOrderMSB": "False",
    "TransformMatrix": "1 0 0 0 1 0 0 0 1",
    "Offset": "0 0 0",
    "ElementSpacing": "1.5 1.25 3",
    "DimSize": "11 9 4",
    "ElementType": "MET_SHORT",
}


@pytest.fixture
def mha(tmp_path):
    """Write a file with some fields changed, added or, where None, left out."""

    def mha(changes=(), voxels=None, name="ct.mha"):
        fields = {**FIELDS, **dict(changes), "ElementDataFile": dict(changes).get("ElementDataFile", "LOCAL")}
        header = "".join(f"{key} = {value}\n" for key, value in fields.items() if value is not None)
        (tmp_path / name).write_bytes(header.encode() + (HU.tobytes() if voxels is None else voxels))
        return tmp_path / name

    return mha


def packed(content: bytes) -> dict:
    return {"changes": {"CompressedData": "True", "CompressedDataSize": str(len(content))}, "voxels": content}


@pytest.mark.parametrize(
    "dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "float32", "float64"]
)
@pytest.mark.parametrize("is_packed", [False, True])
def test_voxels_of_every_type_are_those_that_itk_writes(tmp_path, dtype, is_packed):
    values = (HU % 100).astype(dtype)
    sitk.WriteImage(sitk.GetImageFromArray(values), tmp_path / "ct.mha", is_packed)
    assert np.array_equal(files.read_ct(tmp_path / "ct.mha").hu, values)


def test_both_byte_orders_are_read(mha):
    path = mha({"BinaryDataByteOrderMSB": "True"}, HU.astype(">i2").tobytes())
    assert np.array_equal(files.read_ct(path).hu, HU)


def test_what_itk_knows_of_an_image_is_passed_over_whatever_it_is(tmp_path):
    image = sitk.GetImageFromArray(HU)
    for key, value in {"0010|0010": "DOE^JOHN", "0018|4000": "several: lines = 1\nof words", "my key": "ä"}.items():
        image.SetMetaData(key, value)
    sitk.WriteImage(image, tmp_path / "ct.mha")
    assert np.array_equal(files.read_ct(tmp_path / "ct.mha").hu, HU)


PACKED = zlib.compress(HU.tobytes())


@pytest.mark.parametrize(
    "content",
    [
        bytes(64) + PACKED[64:],
        PACKED[:-1] + bytes((PACKED[-1] ^ 1,)),
        PACKED[:-4],
        zlib.compress(HU.tobytes()[:-2]),
        zlib.compress(HU.tobytes() + b"\1"),
        zlib.compress(HU.tobytes() + bytes(2 * 11 * 9)),
        zlib.compress(bytes(50_000_000)),
    ],
    ids=["start", "checksum", "end", "a voxel short", "a byte more", "a slice more", "bomb"],
)
def test_what_cannot_be_unpacked_whole_is_refused_whatever_was_read_before(mha, content):
    sound = mha(**packed(PACKED), name="before.mha")
    damaged = mha(**packed(content))
    for read in (files.read_ct, files.read_labels):
        assert np.array_equal(files.read_ct(sound).hu, HU)
        with pytest.raises(InputError, match=r"cannot be read|than its header promises"):
            read(damaged)


@pytest.mark.parametrize("size", [None, "{0}", "{0:.6g}", "{0}.0"])
def test_the_size_of_the_packed_data_may_be_told_in_several_ways(mha, size):
    written = size and size.format(len(PACKED))
    path = mha({"CompressedData": "True", "CompressedDataSize": written}, PACKED)
    assert np.array_equal(files.read_ct(path).hu, HU)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ElementSpacing": None}, "no ElementSpacing"),
        ({"ElementSpacing": "1.5 0 3"}, "ElementSpacing: 1.5 0 3"),
        ({"ElementSpacing": "1.5 -1.25 3"}, "ElementSpacing: 1.5 -1.25 3"),
        ({"ElementSpacing": "1.5 nan 3"}, "ElementSpacing: 1.5 nan 3"),
        ({"DistanceUnits": "furlong"}, "DistanceUnits: furlong"),
        ({"TransformMatrix": "2 0 0 0 1 0 0 0 1"}, "TransformMatrix: 2 0 0"),
        ({"Position": "0 0 5"}, "Position: 0 0 5"),
        ({"Orientation": "0 1 0 1 0 0 0 0 1"}, "Orientation: 0 1 0"),
        ({"ElementByteOrderMSB": "True"}, "ElementByteOrderMSB: True"),
        ({"CompressedData": "True", "CompressedDataSize": "20"}, "CompressedDataSize: 20"),
        ({"HeaderSize": "20"}, "HeaderSize: 20"),
        ({"ElementToIntensityFunctionOffset": "-1024"}, "ElementToIntensityFunctionOffset: -1024"),
        ({"ElementType": "MET_STRING"}, "ElementType: MET_STRING"),
        ({"ElementType": None}, "lacks ElementType"),
        ({"BinaryData": "False"}, "BinaryData: False"),
        ({"Comment": "a\rElementDataFile = secret.raw"}, "CR"),
        ({"Comment": "a\0b"}, "NUL"),
        ({"Comment": "x" * 1_000_000}, "1 MB"),
        ({"Offset": "0 0 0\nTransformMatr1 0 0 0 1 0 0 0 1"}, "TransformMatr1"),
        ({"ElementDataFile": "ct.raw"}, "in another file"),
        ({"DimSize": "11 9 3"}, "longer than its header promises"),
    ],
)
def test_a_header_that_leaves_a_doubt_is_refused_in_words_that_name_it(mha, changes, said):
    with pytest.raises(InputError) as caught:
        files.read_ct(mha(changes))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "factor"), [({"DistanceUnits": "cm"}, 10), ({"ElementSpacing": None, "ElementSize": "1.5 1.25 3"}, 1)]
)
def test_the_distance_between_voxels_is_in_millimetres(mha, changes, factor):
    ct = files.read_ct(mha(changes))
    assert np.allclose(ct.affine[:3, :3], AFFINE[:3, :3] * factor)
    assert ct.warnings == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TransformMatrix": None}, "lacks TransformMatrix"),
        ({"Offset": None}, "lacks Offset"),
        ({"AnatomicalOrientation": "LAI"}, "run LAI"),
        ({"AnatomicalOrientation": "SAR"}, "run SAR"),
    ],
)
def test_a_place_that_is_guessed_or_told_twice_differently_is_a_warning(mha, changes, said):
    ct = files.read_ct(mha(changes))
    assert np.allclose(ct.affine, AFFINE)
    assert [said in warning for warning in ct.warnings] == [True]


@pytest.mark.parametrize("letters", ["RAI", "LPS", "???"])
def test_the_names_of_the_axes_may_say_whence_or_whither_they_run(mha, letters):
    assert files.read_ct(mha({"AnatomicalOrientation": letters})).warnings == ()
