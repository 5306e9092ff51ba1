"""The CT comes out of its node in pieces, between which the application lives on, whatever it does to the node."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import mrml
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot

ONE_SLICE = 1


def copied(node, in_pause=lambda: None, **options):
    """The CT and the shares that were reported; ``in_pause`` is called after each of them."""
    copying, shares = mrml.copy_volume_in_pieces(node, **options), []
    while True:
        try:
            shares.append(next(copying))
        except StopIteration as finished:
            return finished.value, shares
        in_pause()


@pytest.fixture
def a_node_of(a_scene, affine):
    return lambda values: slicer.util.addVolumeFromArray(values, affine, "CT")


@pytest.mark.parametrize("piece_bytes", [ONE_SLICE, 3 * 16 * 20 * 2, 10**9])
def test_in_pieces_of_any_size_it_is_the_same_ct(a_volume_node, hu, affine, piece_bytes):
    ct, shares = copied(a_volume_node, piece_bytes=piece_bytes)
    np.testing.assert_array_equal(ct.hu, hu)
    np.testing.assert_array_equal(ct.affine, affine)
    assert (ct.hu.dtype, ct.name) == (np.int16, "CT")
    assert shares[-1] == 1.0 and shares == sorted(set(shares))
    assert len(shares) == {ONE_SLICE: 10, 10**9: 1}.get(piece_bytes, 4)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int32, np.float32, np.float64])
def test_every_voxel_type_is_rounded_to_whole_hu_as_at_once(a_node_of, hu, dtype):
    values = np.clip(hu, 0, 100).astype(dtype)
    if np.dtype(dtype).kind == "f":
        values[3] += 0.4
        values[4] = 1e9
    node = a_node_of(values)
    ct, _ = copied(node, piece_bytes=ONE_SLICE)
    np.testing.assert_array_equal(ct.hu, mrml.volume_to_ct(node).hu)
    np.testing.assert_array_equal(ct.hu, np.clip(np.rint(values.astype(float)), -32768, 32767))


def test_mr_of_fractions_keeps_its_shades_and_is_known_as_mr(a_node_of, hu):
    node = a_node_of(np.abs(hu) / 1e5)
    mr, _ = copied(node, piece_bytes=ONE_SLICE, modality="mr")
    assert mr.modality == "MR" and len(np.unique(mr.hu)) == len(np.unique(np.abs(hu)))


@pytest.mark.parametrize("modality, known", [("MR", "MR"), ("CT", "CT"), ("PT", "")])
def test_a_node_of_a_dicom_series_is_of_its_modality(a_scene, a_volume_node, modality, known):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    name = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_volume_node)
    hierarchy.SetItemAttribute(item, name, modality)
    assert copied(a_volume_node)[0].modality == known


def test_a_pause_holds_on_to_nothing_of_the_image(a_volume_node):
    scalars = a_volume_node.GetImageData().GetPointData().GetScalars()
    holders = scalars.GetReferenceCount()
    copying = mrml.copy_volume_in_pieces(a_volume_node, piece_bytes=ONE_SLICE)
    next(copying)
    assert scalars.GetReferenceCount() == holders


def test_a_volume_that_loses_its_image_in_a_pause_ends_the_copy(a_volume_node):
    copying = mrml.copy_volume_in_pieces(a_volume_node, piece_bytes=ONE_SLICE)
    next(copying)
    a_volume_node.SetAndObserveImageData(None)
    with pytest.raises(InputError, match="has changed"):
        next(copying)


def changed_voxels(scene, node):
    slicer.util.arrayFromVolume(node)[5] = 7
    slicer.util.arrayFromVolumeModified(node)


@pytest.mark.parametrize(
    "change",
    [
        changed_voxels,
        lambda scene, node: scene.RemoveNode(node),
        lambda scene, node: scene.Clear(),
        lambda scene, node: node.SetSpacing(1, 1, 1),
        lambda scene, node: slicer.util.updateVolumeFromArray(node, np.ones((2, 3, 4))),
    ],
    ids=["voxels", "deleted", "scene closed", "spacing", "another image"],
)
def test_a_volume_that_changes_in_a_pause_ends_the_copy(a_scene, a_volume_node, change):
    copying = mrml.copy_volume_in_pieces(a_volume_node, piece_bytes=ONE_SLICE)
    next(copying)
    change(a_scene, a_volume_node)
    with pytest.raises(InputError, match="CT has changed or was deleted"):
        next(copying)


def test_looking_at_the_volume_in_a_pause_is_no_change(a_scene, a_volume_node, hu):
    def look():
        a_volume_node.GetImageData().GetScalarRange()
        a_volume_node.GetDisplayNode().SetWindowLevel(400, 40)
        a_volume_node.SetName("Renamed")
        a_volume_node.SetAndObserveTransformNodeID(a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode").GetID())

    ct, _ = copied(a_volume_node, look, piece_bytes=ONE_SLICE)
    np.testing.assert_array_equal(ct.hu, hu)


@pytest.mark.parametrize("wrong", ["NaN in the last slice", "constant"])
def test_what_only_the_last_piece_shows_is_found_too(a_scene, a_node_of, hu, wrong):
    values = hu.astype(np.float32) if wrong.startswith("NaN") else np.full(hu.shape, 40, np.int16)
    if wrong.startswith("NaN"):
        values[-1, 0, 0] = np.nan
    node = a_node_of(values)
    before = snapshot(a_scene)
    with pytest.raises(InputError, match=wrong.split()[0]):
        copied(node, piece_bytes=ONE_SLICE)
    assert snapshot(a_scene) == before
