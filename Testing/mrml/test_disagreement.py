"""What result and reference do not share is filled on the slices, at its place, in a node of its own."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import mrml
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot
from Testing.mrml.test_tables import reloaded
from Testing.mrml.transforms import TRANSFORMS, add_transform


@pytest.fixture
def reference_labels(labels):
    """A liver that lies one voxel further along the columns, without a tumour."""
    return (np.roll(labels, 1, axis=2) > 0).astype(np.uint8)


@pytest.fixture
def a_result(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    return a_segmentation_node


def voxels(node, name, volume_node):
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume_node) > 0


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_missed_and_extra_lie_on_the_voxels_of_the_ct(
    a_scene, a_volume_node, a_segmentation_node, labels, reference_labels, transform
):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    node = mrml.show_disagreement(a_segmentation_node, labels, reference_labels, a_volume_node)
    assert node.GetTransformNodeID() == a_volume_node.GetTransformNodeID()
    missed, extra = voxels(node, "Missed", a_volume_node), voxels(node, "Extra", a_volume_node)
    np.testing.assert_array_equal(missed, (reference_labels > 0) & (labels == 0))
    np.testing.assert_array_equal(extra, (reference_labels == 0) & (labels > 0))
    assert missed.any() and extra.any()


def test_it_is_filled_in_the_slices_and_not_shown_in_3d(a_volume_node, a_result, labels, reference_labels):
    node = mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    display = node.GetDisplayNode()
    assert node.GetName() == "Result against the reference"
    assert display.GetVisibility() and display.GetVisibility2DFill()
    assert not display.GetVisibility2DOutline() and not display.GetVisibility3D()


# Linear sRGB as eyes see it that lack one kind of cone (Machado, Oliveira and Fernandes 2009, severity 1).
EYES = {
    "all cones": np.eye(3),
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]


def seen_by(eye, colour):
    """CIE L*a*b* (1976, D65) of an sRGB colour, 0 to 1."""
    linear = np.power((np.asarray(colour) + 0.055) / 1.055, 2.4)
    xyz = TO_XYZ @ np.clip(EYES[eye] @ linear, 0, 1) / (0.9505, 1.0, 1.089)
    x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_every_eye_tells_missed_extra_and_liver_apart(a_volume_node, a_result, labels, reference_labels, eye):
    node = mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    colours = [node.GetSegmentation().GetNthSegment(n).GetColor() for n in range(2)]
    colours.append(a_result.GetSegmentation().GetNthSegment(0).GetColor())
    seen = [seen_by(eye, colour) for colour in colours]
    # A difference of 2 is just noticed.
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 30


def test_it_is_filled_anew_and_stays_as_the_user_shows_it(a_scene, a_volume_node, a_result, labels, reference_labels):
    node = mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    node.SetName("What it missed")
    node.GetDisplayNode().SetOpacity2DFill(0.2)
    count = a_scene.GetNumberOfNodes()
    assert mrml.show_disagreement(a_result, labels, labels, a_volume_node) is node
    assert a_scene.GetNumberOfNodes() == count
    assert (node.GetName(), node.GetDisplayNode().GetOpacity2DFill()) == ("What it missed", 0.2)
    assert not voxels(node, "Missed", a_volume_node).any() and not voxels(node, "Extra", a_volume_node).any()


@pytest.mark.parametrize("empty", ["result", "reference", "both"])
def test_a_liver_that_is_not_there_is_missed_or_extra_as_a_whole(
    a_volume_node, a_result, labels, reference_labels, empty
):
    found, wanted = (
        0 * labels if empty != "reference" else labels,
        0 * labels if empty != "result" else reference_labels,
    )
    node = mrml.show_disagreement(a_result, found, wanted, a_volume_node)
    np.testing.assert_array_equal(voxels(node, "Missed", a_volume_node), wanted > 0)
    np.testing.assert_array_equal(voxels(node, "Extra", a_volume_node), found > 0)


def test_each_result_has_one_of_its_own(a_scene, a_volume_node, a_result, labels, reference_labels):
    other = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other")
    nodes = [mrml.show_disagreement(node, labels, reference_labels, a_volume_node) for node in (a_result, other)]
    assert nodes[0] is not nodes[1]
    mrml.remove_disagreement(other)
    assert nodes[0].GetScene() is a_scene and nodes[1].GetScene() is None


def test_removing_it_leaves_nothing_behind(a_scene, a_volume_node, a_result, labels, reference_labels):
    before = snapshot(a_scene)
    mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    assert snapshot(a_scene) != before
    mrml.remove_disagreement(a_result)
    assert snapshot(a_scene) == before
    mrml.remove_disagreement(a_result)
    assert snapshot(a_scene) == before


def test_it_is_found_again_after_saving_and_loading_the_scene(
    a_scene, a_volume_node, a_result, labels, reference_labels, tmp_path
):
    mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    reloaded(a_scene, tmp_path)
    result = a_scene.GetFirstNodeByName("Result")
    assert a_scene.GetFirstNodeByName("Result against the reference") is not None
    mrml.remove_disagreement(result)
    assert a_scene.GetFirstNodeByName("Result against the reference") is None


def test_it_is_not_taken_for_a_result(a_volume_node, a_result, labels, reference_labels):
    mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    assert mrml.segmentation_of(a_volume_node) is a_result


@pytest.mark.parametrize("which", ["result", "reference"])
def test_labels_of_another_grid_are_refused(a_scene, a_volume_node, a_result, labels, reference_labels, which):
    before = snapshot(a_scene)
    given = (labels[1:], reference_labels) if which == "result" else (labels, reference_labels[1:])
    with pytest.raises(InputError, match="has changed"):
        mrml.show_disagreement(a_result, *given, a_volume_node)
    assert snapshot(a_scene) == before


def test_it_is_filed_beside_the_ct(a_scene, a_volume_node, a_result, labels, reference_labels):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    node = mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)
    mrml.show_disagreement(a_result, labels, reference_labels, a_volume_node)
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) == study
