"""NRRD and MetaImage files: SimpleITK's LPS becomes RAS, and Slicer's segments become labels."""

from __future__ import annotations

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


def test_a_file_without_tumour_has_the_livers_segment_only(tmp_path):
    files.write_labels(tmp_path / "l.seg.nrrd", np.ones(SHAPE, np.uint8), np.eye(4))
    image = sitk.ReadImage(tmp_path / "l.seg.nrrd")
    assert image.GetMetaData("Segment0_Name") == "Liver"
    assert not image.HasMetaDataKey("Segment1_Name")


def test_an_unknown_ending_is_refused_and_the_known_ones_are_named(tmp_path):
    with pytest.raises(InputError, match=r"\.nii, \.nii\.gz, \.nrrd or \.mha"):
        (tmp_path / "ct.png").write_bytes(b"x")
        files.read_ct(tmp_path / "ct.png")
