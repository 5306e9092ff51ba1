"""A reference is copied out of the scene at once; what is made of it afterwards needs the scene no more."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot
from Testing.mrml.test_reference import dice, draw
from Testing.mrml.transforms import TRANSFORMS, add_transform

LIVER_ID = mrml.SEGMENT_IDS[LIVER.label]


@pytest.fixture
def a_reference_node(a_scene):
    """A segmentation of somebody else."""
    return a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")


@pytest.fixture
def a_labelmap(a_scene, labels, affine):
    return mrml.labelmap_from_array(labels, affine, "Labels")


@pytest.fixture
def a_result(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    return a_segmentation_node


def in_a_thread(function):
    """What a function returns in another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(function()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("kind", ["labelmap", "segmentation", "surface"])
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_labels_come_in_a_thread_after_the_scene_was_closed(
    a_scene, a_volume_node, a_reference_node, a_labelmap, labels, affine, kind, transform
):
    draw(a_reference_node, "Liver", labels > 0, affine)
    if kind == "surface":
        a_reference_node.GetSegmentation().SetConversionParameter("Smoothing factor", "0")
        a_reference_node.CreateClosedSurfaceRepresentation()
        a_reference_node.SetSourceRepresentationToClosedSurface()
        a_reference_node.RemoveBinaryLabelmapRepresentation()
    node = a_labelmap if kind == "labelmap" else a_reference_node
    for moved in (a_volume_node, node):
        moved.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    node.SetAndObserveTransformNodeID(a_volume_node.GetTransformNodeID())
    reference = mrml.read_reference(node, a_volume_node)
    a_scene.Clear()
    found, warnings = in_a_thread(reference.labels)
    if kind == "surface":
        assert dice(found > 0, labels > 0) > 0.7
    else:
        np.testing.assert_array_equal(found > 0, labels > 0)
        assert warnings == []


def test_what_the_user_draws_afterwards_does_not_count(a_volume_node, a_labelmap, a_result, labels):
    readers = [mrml.read_reference(node, a_volume_node) for node in (a_labelmap, a_result)]
    mrml.voxels_of(a_labelmap.GetImageData())[:] = 0
    segment = a_result.GetSegmentation().GetSegment(LIVER_ID)
    mrml.voxels_of(segment.GetRepresentation(mrml.BINARY_LABELMAP))[:] = 0
    for reader in readers:
        np.testing.assert_array_equal(reader.labels()[0], labels)


def test_a_reference_under_another_warp_is_resampled_and_says_so(a_scene, a_volume_node, a_labelmap, labels):
    a_labelmap.SetAndObserveTransformNodeID(add_transform(a_scene, "grid"))
    reference = mrml.read_reference(a_labelmap, a_volume_node)
    a_scene.Clear()
    found, warnings = in_a_thread(reference.labels)
    assert len(warnings) == 1 and "non-linear transform" in warnings[0]
    assert 0.2 < dice(found > 0, labels > 0) < 0.95


def test_reading_changes_nothing_in_the_scene(a_scene, a_volume_node, a_reference_node, a_labelmap, a_result, labels):
    draw(a_reference_node, "Liver", labels > 0, mrml.affine_of(a_volume_node))
    before = snapshot(a_scene)
    for node in (a_labelmap, a_reference_node, a_result):
        mrml.read_reference(node, a_volume_node).labels()
    mrml.segmentation_to_labels(a_result, a_volume_node)
    assert snapshot(a_scene) == before


def test_an_empty_tumour_beside_the_liver_does_not_matter(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "Liver", labels > 0, affine)
    a_reference_node.GetSegmentation().AddEmptySegment("", "Liver tumour")
    found, _ = mrml.reference_to_labels(a_reference_node, a_volume_node)
    np.testing.assert_array_equal(found, labels > 0)


@pytest.mark.parametrize("kind", ["labelmap", "segment of zeros"])
def test_a_reference_with_nothing_labelled_is_refused(a_volume_node, a_reference_node, labels, affine, kind):
    node = mrml.labelmap_from_array(0 * labels, affine, "Manual")
    if kind != "labelmap":
        draw(a_reference_node, "Liver", labels > 0, affine)
        segment = a_reference_node.GetSegmentation().GetNthSegment(0)
        mrml.voxels_of(segment.GetRepresentation(mrml.BINARY_LABELMAP))[:] = 0
        node = a_reference_node
    with pytest.raises(InputError, match="Nothing is labelled in Manual"):
        mrml.read_reference(node, a_volume_node).labels()


@pytest.mark.parametrize(
    "segments, problem",
    [
        ([], "not clear"),
        (["Spleen", "Kidney"], "not clear"),
        (["Liver left", "Liver right"], "not clear"),
        (["Liver tumour"], "not clear"),
    ],
)
def test_a_segmentation_without_a_clear_liver_is_refused(
    a_volume_node, a_reference_node, labels, affine, segments, problem
):
    for name in segments:
        draw(a_reference_node, name, labels > 0, affine)
    with pytest.raises(InputError, match=problem):
        mrml.read_reference(a_reference_node, a_volume_node)


def test_no_reference_is_refused(a_volume_node):
    with pytest.raises(InputError, match="No reference is selected"):
        mrml.read_reference(None, a_volume_node)


def test_a_segment_of_a_labelmap_is_refused(a_volume_node, a_labelmap):
    with pytest.raises(InputError, match="cannot be the reference"):
        mrml.read_reference((a_labelmap, "Liver"), a_volume_node)


@pytest.mark.parametrize("kind", ["labelmap", "segmentation", "segment"])
def test_a_deleted_reference_is_refused(a_scene, a_volume_node, a_reference_node, a_labelmap, labels, affine, kind):
    draw(a_reference_node, "Liver", labels > 0, affine)
    node = a_labelmap if kind == "labelmap" else a_reference_node
    a_scene.RemoveNode(node)
    with pytest.raises(InputError, match="was deleted"):
        mrml.read_reference((node, "Liver") if kind == "segment" else node, a_volume_node)


@pytest.mark.parametrize("named", [False, True])
def test_the_result_is_no_reference_for_itself(a_volume_node, a_result, named):
    reference = (a_result, LIVER_ID) if named else a_result
    with pytest.raises(InputError, match="choose another"):
        mrml.read_reference(reference, a_volume_node, output=a_result)
    # The result of another node is one.
    assert mrml.read_reference(reference, a_volume_node).labels()[0].any()


def test_a_segment_of_the_user_in_the_output_is_a_reference(a_volume_node, a_result, labels, affine):
    draw(a_result, "Liver by hand", labels == 1, affine)
    found, _ = mrml.read_reference(a_result, a_volume_node, output=a_result).labels()
    np.testing.assert_array_equal(found, labels == 1)


def test_the_segments_to_choose_from_are_listed(a_volume_node, a_reference_node, a_labelmap, labels, affine):
    assert mrml.segments_for_reference(None) == mrml.segments_for_reference(a_labelmap) == []
    assert mrml.segments_for_reference(a_reference_node) == []
    for name in ("Liver", "Spleen"):
        draw(a_reference_node, name, labels > 0, affine)
    found = mrml.segments_for_reference(a_reference_node)
    assert [name for _, name in found] == ["Liver", "Spleen"]
    for segment_id, _ in found:
        assert mrml.read_reference((a_reference_node, segment_id), a_volume_node).labels()[0].any()


def test_a_result_is_read_as_the_user_left_it(a_volume_node, a_result, labels):
    np.testing.assert_array_equal(mrml.read_result(a_result, a_volume_node).labels()[0], labels)
    for structure in (LIVER, TUMOUR):
        segment = a_result.GetSegmentation().GetSegment(mrml.SEGMENT_IDS[structure.label])
        mrml.voxels_of(segment.GetRepresentation(mrml.BINARY_LABELMAP))[:] = 0
    assert not mrml.read_result(a_result, a_volume_node).labels()[0].any()


def test_a_result_without_a_liver_is_read_as_empty(a_volume_node, a_segmentation_node, labels):
    assert not mrml.read_result(a_segmentation_node, a_volume_node).labels()[0].any()
    mrml.write_segmentation(a_segmentation_node, 0 * labels, a_volume_node)
    read, warnings = mrml.read_result(a_segmentation_node, a_volume_node).labels()
    assert read.shape == labels.shape and not read.any() and warnings == []
