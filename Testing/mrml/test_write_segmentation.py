"""The result lands on the CT's own voxels, whatever its axes and transforms, and the user's segments stay."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError
from Testing.mrml.transforms import TRANSFORMS, add_transform, oblique

AXES = {
    "axial": np.diag([-1.5, -1.25, 4.0, 1.0]),
    "sagittal": np.array([[0, 0, 3.0, -20], [1.2, 0, 0, 5], [0, -0.9, 0, 7], [0, 0, 0, 1]], float),
    "coronal": np.array([[0.8, 0, 0, 0], [0, 0, -2.5, 40], [0, 1.1, 0, -9], [0, 0, 0, 1]], float),
    "left-handed": np.diag([1.5, -1.25, 4.0, 1.0]),
    "oblique": oblique(20.0) @ np.diag([-0.7, -0.7, 5.0, 1.0]),
}


def segment_of(node, kind):
    return node.GetSegmentation().GetSegment(mrml.SEGMENT_IDS[kind.label])


def voxels_of(node, segment_id, volume_node):
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, volume_node)


def add_segment(node, name, mask, affine):
    """A segment as a user would have drawn it in a node of his own."""
    segment_id = node.GetSegmentation().AddEmptySegment("", name)
    image = mrml.to_image(mask.astype(np.uint8), affine)
    slicer.vtkSlicerSegmentationsModuleLogic.SetBinaryLabelmapToSegment(image, node, segment_id)
    return segment_id


def world_centre(node, segment_id):
    """Mean position of the segment's voxels in the world, RAS mm; for linear transforms."""
    image = slicer.vtkOrientedImageData()
    slicer.vtkSlicerSegmentationsModuleLogic.GetSegmentBinaryLabelmapRepresentation(node, segment_id, image, True)
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    ijk = np.argwhere(mrml.voxels_of(image)).mean(axis=0)[::-1] + image.GetExtent()[::2]
    return np.array(matrix.MultiplyPoint((*ijk, 1.0))[:3])


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("axes", AXES)
def test_the_segment_read_back_on_the_volume_is_the_mask_that_was_written(
    a_scene, a_segmentation_node, hu, labels, axes, transform
):
    volume_node = mrml.volume_from_ct(CTVolume(hu, AXES[axes], "CT"))
    volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    mrml.write_segmentation(a_segmentation_node, labels, volume_node)
    read = voxels_of(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label], volume_node)
    np.testing.assert_array_equal(read, labels > 0)


def test_the_result_follows_the_transform_of_the_volume(a_scene, a_volume_node, a_segmentation_node, labels):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "linear"))
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert a_segmentation_node.GetTransformNodeID() == a_volume_node.GetTransformNodeID()
    centre = np.append(np.argwhere(labels > 0).mean(axis=0)[::-1], 1.0)
    to_world = slicer.util.arrayFromTransformMatrix(a_volume_node.GetParentTransformNode(), toWorld=True)
    np.testing.assert_allclose(
        world_centre(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label]),
        (to_world @ mrml.affine_of(a_volume_node) @ centre)[:3],
        atol=1e-6,
    )


def test_liver_holds_the_tumour_and_the_tumour_is_a_segment_of_its_own(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    ids = mrml.SEGMENT_IDS
    np.testing.assert_array_equal(voxels_of(a_segmentation_node, ids[LIVER.label], a_volume_node), labels > 0)
    np.testing.assert_array_equal(voxels_of(a_segmentation_node, ids[TUMOUR.label], a_volume_node), labels == 2)


def test_segments_carry_name_colour_and_snomed_code(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    for kind, code in ((LIVER, "SCT^10200004^Liver"), (TUMOUR, "SCT^4147007^Mass")):
        segment = segment_of(a_segmentation_node, kind)
        assert segment.GetName() == kind.name
        np.testing.assert_allclose(np.array(segment.GetColor()) * 255, kind.colour, atol=1e-6)
        terminology = vtk.reference("")
        assert segment.GetTag(segment.GetTerminologyEntryTagName(), terminology)
        assert code in str(terminology)


def test_a_second_run_refills_the_segments_of_the_first(a_volume_node, a_segmentation_node, labels):
    smaller = np.where(np.arange(labels.shape[0])[:, None, None] < 4, labels, 0).astype(np.uint8)
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    mrml.write_segmentation(a_segmentation_node, smaller, a_volume_node)
    assert list(a_segmentation_node.GetSegmentation().GetSegmentIDs()) == [mrml.SEGMENT_IDS[LIVER.label]]
    read = voxels_of(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label], a_volume_node)
    np.testing.assert_array_equal(read, smaller > 0)


def test_a_refilled_segment_stays_as_visible_as_the_user_made_it(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    display, segment_id = a_segmentation_node.GetDisplayNode(), mrml.SEGMENT_IDS[LIVER.label]
    display.SetSegmentOpacity3D(segment_id, 0.3)
    display.SetSegmentVisibility(segment_id, False)
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert display.GetSegmentOpacity3D(segment_id) == 0.3
    assert not display.GetSegmentVisibility(segment_id)


def test_a_refilled_segment_keeps_the_name_and_the_colour_that_the_user_gave_it(
    a_volume_node, a_segmentation_node, labels
):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    segment_id = mrml.SEGMENT_IDS[LIVER.label]
    a_segmentation_node.GetSegmentation().GetSegment(segment_id).SetName("Foie")
    a_segmentation_node.GetSegmentation().GetSegment(segment_id).SetColor(0.0, 0.0, 1.0)
    mrml.write_segmentation(a_segmentation_node, np.flip(labels, 1), a_volume_node)
    refilled = a_segmentation_node.GetSegmentation().GetSegment(segment_id)
    assert (refilled.GetName(), refilled.GetColor()) == ("Foie", (0.0, 0.0, 1.0))


def test_a_second_run_on_another_volume_takes_its_grid(a_scene, a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    other = np.ascontiguousarray(labels[::-1, 2:, :])
    other_node = mrml.volume_from_ct(CTVolume(other.astype(np.int16), AXES["oblique"], "Other CT"))
    mrml.write_segmentation(a_segmentation_node, other, other_node)
    read = voxels_of(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label], other_node)
    np.testing.assert_array_equal(read, other > 0)


def test_an_empty_result_gives_an_empty_segment(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.write_segmentation(a_segmentation_node, np.zeros_like(labels), a_volume_node)
    segment_id = mrml.SEGMENT_IDS[LIVER.label]
    assert segment_of(a_segmentation_node, LIVER) is not None
    assert not a_segmentation_node.GetBinaryLabelmapInternalRepresentation(segment_id).GetNumberOfPoints()


@pytest.mark.parametrize("transform", ["none", "linear"])
def test_segments_of_the_user_keep_their_voxels_and_their_place(
    a_scene, a_volume_node, a_segmentation_node, labels, affine, transform
):
    drawn = add_segment(a_segmentation_node, "Liver", labels > 0, affine)
    centre = world_centre(a_segmentation_node, drawn)
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    shifted = np.roll(labels, 2, axis=2)
    mrml.write_segmentation(a_segmentation_node, shifted, a_volume_node)
    np.testing.assert_allclose(world_centre(a_segmentation_node, drawn), centre, atol=1e-6)
    image = a_segmentation_node.GetBinaryLabelmapInternalRepresentation(drawn)
    assert np.count_nonzero(mrml.voxels_of(image)) == np.count_nonzero(labels)
    read = voxels_of(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label], a_volume_node)
    np.testing.assert_array_equal(read, shifted > 0)
    assert segment_of(a_segmentation_node, LIVER).GetName() == "Liver (LiverSeg)"


def test_segments_of_the_user_that_share_a_labelmap_keep_their_place(
    a_scene, a_volume_node, a_segmentation_node, labels, affine
):
    drawn = [add_segment(a_segmentation_node, f"Part {n}", labels == n, affine) for n in (1, 2)]
    a_segmentation_node.GetSegmentation().CollapseBinaryLabelmaps(False)
    assert a_segmentation_node.GetSegmentation().GetNumberOfLayers() == 1
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "nested"))
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    # What was at a place in the world is still there: read on a CT that is under no transform.
    untransformed = mrml.volume_from_ct(CTVolume(labels.astype(np.int16), affine, "Before"))
    for n, segment_id in enumerate(drawn, start=1):
        read, _ = mrml.reference_to_labels((a_segmentation_node, segment_id), untransformed)
        np.testing.assert_array_equal(read, labels == n)


def test_segments_of_the_user_under_a_warp_are_not_touched(a_scene, a_volume_node, a_segmentation_node, labels, affine):
    add_segment(a_segmentation_node, "Spleen", labels > 0, affine)
    a_segmentation_node.SetAndObserveTransformNodeID(add_transform(a_scene, "grid"))
    with pytest.raises(InputError, match="choose another segmentation"):
        mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 1


def test_a_closed_surface_that_was_shown_is_made_anew(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    a_segmentation_node.CreateClosedSurfaceRepresentation()
    smaller = np.where(labels == 2, labels, 0).astype(np.uint8)
    mrml.write_segmentation(a_segmentation_node, smaller, a_volume_node)
    surface = a_segmentation_node.GetClosedSurfaceInternalRepresentation(mrml.SEGMENT_IDS[LIVER.label])
    x0, x1, y0, y1, z0, z1 = surface.GetBounds()
    assert x1 - x0 < 4 * 1.5 and y1 - y0 < 4 * 1.25 and z1 - z0 < 3 * 4.0


def test_the_segmentation_is_filed_in_the_study_of_its_ct(a_scene, a_volume_node, a_segmentation_node, labels):
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(a_scene)
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "Study")
    hierarchy.CreateItem(study, a_volume_node)
    item = hierarchy.CreateItem(hierarchy.GetSceneItemID(), a_segmentation_node)
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert hierarchy.GetItemParent(item) == study


def test_a_volume_that_changed_meanwhile_is_refused(a_volume_node, a_segmentation_node, labels):
    with pytest.raises(InputError, match="segment it again"):
        mrml.write_segmentation(a_segmentation_node, labels[1:], a_volume_node)
    assert a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 0


def test_a_segmentation_of_surfaces_is_refused(a_volume_node, a_segmentation_node, labels, affine):
    add_segment(a_segmentation_node, "Spleen", labels > 0, affine)
    a_segmentation_node.CreateClosedSurfaceRepresentation()
    a_segmentation_node.SetSourceRepresentationToClosedSurface()
    with pytest.raises(InputError, match="surfaces"):
        mrml.check_output(a_segmentation_node, a_volume_node)


@pytest.mark.parametrize("wrong", [None, "volume"])
def test_something_other_than_a_segmentation_is_refused_as_output(a_volume_node, wrong):
    with pytest.raises(InputError, match="choose it as the output"):
        mrml.check_output(a_volume_node if wrong else None, a_volume_node)
