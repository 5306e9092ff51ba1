"""NIfTI files: HU and labels come back as they were, in their place, whatever the header's way of saying it."""

from __future__ import annotations

import gzip

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from LiverSegLib.errors import InputError
from LiverSegLib.io import files, nifti

SHAPE = (5, 6, 7)  # k, j, i


@pytest.fixture
def hu():
    return np.random.default_rng(0).integers(-1000, 1500, SHAPE).astype(np.int16)


@pytest.fixture
def affine():
    return np.array([[-0.7, 0, 0.1, 90], [0, -0.8, 0.05, 120], [0.02, 0.03, 2.5, -300], [0, 0, 0, 1]])


@pytest.fixture
def saved(tmp_path):
    """Write an image as NIfTI; values (i, j, k, ...)."""

    def saved(values, affine, name="ct.nii.gz", **header):
        image = nibabel.Nifti1Image(values, affine)
        for field, value in header.items():
            image.header[field] = value
        nibabel.save(image, tmp_path / name)
        return tmp_path / name

    return saved


@pytest.mark.parametrize("name", ["ct.nii", "ct.nii.gz", "CT.NII.GZ"])
def test_hu_and_affine_come_back(saved, hu, affine, name):
    ct = files.read_ct(saved(hu.T, affine, name))
    assert np.array_equal(ct.hu, hu)
    assert np.allclose(ct.affine, affine)
    assert ct.name == name


@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.float32, np.float64, ">i2"])
def test_every_voxel_type_gives_the_same_hu(saved, hu, affine, dtype):
    assert np.array_equal(files.read_ct(saved(hu.T.astype(dtype), affine)).hu, hu)


def test_slope_and_intercept_are_applied(tmp_path, affine):
    stored = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    image = nibabel.Nifti1Image(stored.T, affine)
    image.header.set_slope_inter(2, -250)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    # nibabel writes such an image so that reading gives `stored`; undo that in the bytes on disk.
    with nibabel.openers.Opener(tmp_path / "ct.nii.gz") as file:
        content = bytearray(file.read())
    offset = int(nibabel.load(tmp_path / "ct.nii.gz").dataobj.offset)
    content[offset:] = stored.T.tobytes(order="F")
    (tmp_path / "ct.nii").write_bytes(content)
    assert np.array_equal(files.read_ct(tmp_path / "ct.nii").hu, stored.astype(np.int16) * 2 - 250)


@pytest.mark.parametrize("codes", [(1, 0), (0, 1), (2, 2)])
def test_the_position_is_that_of_sform_or_qform(tmp_path, hu, affine, codes):
    rigid = affine.copy()
    rigid[:3, :3] = Rotation.from_euler("xyz", (5, 10, 15), degrees=True).as_matrix() * (-0.7, -0.8, 2.5)
    image = nibabel.Nifti1Image(hu.T, rigid)
    image.set_sform(rigid if codes[0] else None, codes[0])
    image.set_qform(rigid if codes[1] else None, codes[1])
    nibabel.save(image, tmp_path / "ct.nii.gz")
    assert np.allclose(files.read_ct(tmp_path / "ct.nii.gz").affine, rigid, atol=1e-4)


@pytest.mark.parametrize(("unit", "factor"), [("mm", 1), ("meter", 1000), ("micron", 0.001), ("unknown", 1)])
def test_lengths_are_millimetres_whatever_the_headers_unit(tmp_path, hu, affine, unit, factor):
    image = nibabel.Nifti1Image(hu.T, np.diag((1 / factor,) * 3 + (1,)) @ affine)
    image.header.set_xyzt_units(unit)
    nibabel.save(image, tmp_path / "ct.nii.gz")
    assert np.allclose(files.read_ct(tmp_path / "ct.nii.gz").affine, affine, rtol=1e-5)


def test_further_axes_of_length_one_are_dropped(saved, hu, affine):
    assert np.array_equal(files.read_ct(saved(hu.T[..., None, None], affine)).hu, hu)


def test_written_labels_say_their_place_twice_and_in_millimetres(tmp_path):
    affine = np.diag((-0.7, -0.8, 2.5, 1))
    files.write_labels(tmp_path / "l.nii.gz", np.ones(SHAPE, np.uint8), affine)
    header = nibabel.load(tmp_path / "l.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 1)
    assert header.get_xyzt_units()[0] == "mm"
    assert header.get_data_dtype() == np.uint8


def test_a_mask_of_255_is_the_liver(saved, affine):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 2:4, 2:5] = 255
    assert np.array_equal(files.read_labels(saved(mask.T, affine))[0], mask // 255)


def test_labels_with_nan_are_refused(saved, affine):
    with pytest.raises(InputError, match="NaN"):
        files.read_labels(saved(np.full(SHAPE[::-1], np.nan, np.float32), affine))


@pytest.mark.parametrize("scaling", [{}, {"scl_slope": 2.0, "scl_inter": -250.0}], ids=["plain", "scaled"])
@pytest.mark.parametrize("damage", [lambda packed: packed[:-4] + b"\1\2\3\4", lambda packed: packed[:-8]])
def test_damage_behind_the_last_voxel_of_a_compressed_file_is_noticed(saved, hu, affine, scaling, damage):
    path = saved(hu.T, affine, **scaling)
    files.read_ct(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=r"cannot be read, it may be damaged or truncated"):
        files.read_ct(path)


def test_a_voxel_changed_within_a_compressed_file_is_noticed(saved, hu, affine):
    """Stored blocks: everything can be unpacked, and only the checksum tells."""
    path = saved(hu.T, affine, "ct.nii")
    packed = bytearray(gzip.compress(path.read_bytes(), 0))
    packed[len(packed) // 2] ^= 0x10
    (damaged := path.with_suffix(".nii.gz")).write_bytes(packed)
    with pytest.raises(InputError, match=r"cannot be read"):
        files.read_ct(damaged)


# ---- headers that contradict themselves ------------------------------------------------------------------------------

UPRIGHT = np.array([[-0.7, 0, 0, 90], [0, -0.8, 0, 120], [0, 0, 2.5, -300], [0, 0, 0, 1]])


@pytest.fixture
def patched(tmp_path, hu):
    """A NIfTI CT whose header holds what a test puts there, however wrong."""

    def patched(affine=UPRIGHT, lengths=None, **fields):
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.int16)
        header.set_data_shape(SHAPE[::-1])
        header.set_sform(affine, 1)
        header.set_qform(affine, 1)
        header["magic"], header["vox_offset"] = b"n+1", 352
        if lengths is not None:
            header["pixdim"][1:4] = lengths
        for field, value in fields.items():
            header[field] = value
        (tmp_path / "ct.nii").write_bytes(header.binaryblock + bytes(4) + hu.tobytes())
        return tmp_path / "ct.nii"

    return patched


def corners_in_itk(path):
    """LPS of the first and the last voxel, as ITK and so Slicer place them."""
    image = sitk.ReadImage(str(path))
    last = [size - 1 for size in image.GetSize()]
    return np.array([image.TransformIndexToPhysicalPoint(index) for index in ([0, 0, 0], last)])


CONTRADICTIONS = [
    {"sform_code": 2, "qoffset_x": 50},
    {"sform_code": 1, "qoffset_x": 50},
    {"sform_code": 4, "qform_code": 2, "quatern_c": 0.1},
    {"lengths": (0.7, 0.8, 5)},
    {"qform_code": 0, "lengths": (0.7, 0.8, 5)},
    {"lengths": (0, 0, 0)},
    {"lengths": (-0.7, 0.8, 2.5)},
    {"qform_code": 0, "lengths": (np.nan, 0.8, 2.5)},
    {"affine": UPRIGHT + np.eye(4, k=1)},
    {"xyzt_units": 3, "affine": np.diag((1000, 1000, 1000, 1)) @ UPRIGHT, "qoffset_z": 0, "sform_code": 2},
]


@pytest.mark.filterwarnings("ignore:.*nan")
@pytest.mark.parametrize("fields", CONTRADICTIONS, ids=str)
def test_where_forms_differ_it_is_told_and_the_result_lies_on_its_ct_in_every_reader(tmp_path, patched, fields):
    path = patched(**fields)
    ct = files.read_ct(path)
    assert len(ct.warnings) == 1 and "sform differs from qform" in ct.warnings[0]
    files.write_labels(tmp_path / "liver.nii.gz", np.ones(SHAPE, np.uint8), ct.affine, ct.header)
    assert np.array_equal(files.read_labels(tmp_path / "liver.nii.gz")[1], ct.affine)
    assert np.array_equal(corners_in_itk(tmp_path / "liver.nii.gz"), corners_in_itk(path))


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"qform_code": 0},
        {"sform_code": 0},
        {"affine": np.diag((0.7, -0.8, 2.5, 1))},
        {"affine": UPRIGHT.round(1), "lengths": (0.703, 0.797, 2.5)},
        {"affine": UPRIGHT + np.eye(4, k=1) * 0.01},
        {"xyzt_units": 1, "affine": np.diag((1e-3, 1e-3, 1e-3, 1)) @ UPRIGHT},
        {"scl_slope": 0},
        {"scl_slope": np.nan, "scl_inter": np.nan},
    ],
    ids=str,
)
def test_headers_that_differ_by_rounding_or_say_it_once_raise_no_alarm(patched, fields):
    assert files.read_ct(patched(**fields)).warnings == ()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"sform_code": 0, "lengths": (0, 0.8, 2.5)}, "pixdim"),
        ({"sform_code": 0, "lengths": (0.7, -0.8, 2.5)}, "pixdim"),
        ({"sform_code": 0, "lengths": (0.7, 0.8, np.nan)}, "pixdim"),
        ({"quatern_b": np.nan}, "qform"),
        ({"srow_x": np.nan}, "affine"),
    ],
)
def test_a_header_that_names_no_place_is_refused(patched, fields, reason):
    with pytest.raises(InputError, match=f"no valid position in the patient .*{reason}"):
        files.read_ct(patched(**fields))


@pytest.mark.parametrize("slope", [0, np.nan])
def test_an_intercept_without_a_slope_is_not_added_and_it_is_told(patched, hu, slope):
    ct = files.read_ct(patched(scl_slope=slope, scl_inter=-24))
    assert np.array_equal(ct.hu, hu)
    assert "intercept of -24 but no slope" in ct.warnings[0]


def test_a_sheared_grid_is_one_that_itk_refuses_rather_than_misplaces(tmp_path):
    affine = UPRIGHT + np.eye(4, k=1)
    files.write_labels(tmp_path / "liver.nii", np.ones(SHAPE, np.uint8), affine)
    assert np.allclose(nibabel.load(tmp_path / "liver.nii").affine, affine)
    with pytest.raises(RuntimeError, match="orthonormal"):
        sitk.ReadImage(str(tmp_path / "liver.nii"))


def test_a_grid_sheared_by_rounding_is_read_by_itk(tmp_path):
    affine = UPRIGHT + np.eye(4, k=1) * 0.01
    files.write_labels(tmp_path / "liver.nii", np.ones(SHAPE, np.uint8), affine)
    last = affine @ (*np.subtract(SHAPE[::-1], 1), 1)
    assert np.allclose(corners_in_itk(tmp_path / "liver.nii")[1] * (-1, -1, 1), last[:3], atol=0.2)


def test_a_large_intercept_takes_no_number_for_another(patched, hu):
    assert np.array_equal(nifti.read(patched(scl_slope=1, scl_inter=2**26)).values, hu + 2.0**26)
