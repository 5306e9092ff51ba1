"""A reference is compared where it lies in the world, whatever kind of node, grid and transform it has."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.errors import InputError
from Testing.mrml.transforms import add_transform, oblique


@pytest.fixture
def a_reference_node(a_scene):
    """A segmentation of somebody else."""
    return a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")


def draw(node, name, mask, affine, terminology=""):
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetTag(segment.GetTerminologyEntryTagName(), terminology)
    segment.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(mask, affine))
    node.GetSegmentation().AddSegment(segment)


def move_with_its_image(node, transform_id, to_parent):
    """Put a labelmap under a transform and give it the opposite position, so that it stays where it was."""
    own = np.linalg.inv(to_parent) @ mrml.affine_of(node)
    node.SetIJKToRASMatrix(mrml.to_matrix(own))
    node.SetAndObserveTransformNodeID(transform_id)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32])
def test_a_labelmap_on_the_grid_of_the_ct_is_taken_as_it_is(a_volume_node, labels, affine, dtype):
    node = mrml.labelmap_from_array(labels.astype(dtype), affine, "Labels")
    read, warnings = mrml.reference_to_labels(node, a_volume_node)
    np.testing.assert_array_equal(read, labels)
    assert read.dtype == np.uint8 and warnings == []


def test_a_labelmap_under_another_linear_transform_is_compared_where_it_lies(a_scene, a_volume_node, labels, affine):
    node = mrml.labelmap_from_array(labels, affine, "Labels")
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "nested"))
    to_world = slicer.util.arrayFromTransformMatrix(a_volume_node.GetParentTransformNode(), toWorld=True)
    node.SetIJKToRASMatrix(mrml.to_matrix(to_world @ affine))
    read, _ = mrml.reference_to_labels(node, a_volume_node)
    np.testing.assert_array_equal(read, labels)


def test_a_labelmap_under_a_transform_that_its_own_position_undoes_is_exact(a_scene, a_volume_node, labels, affine):
    node = mrml.labelmap_from_array(labels, affine, "Labels")
    move_with_its_image(node, add_transform(a_scene, "linear"), oblique(25.0))
    read, _ = mrml.reference_to_labels(node, a_volume_node)
    np.testing.assert_array_equal(read, labels)


@pytest.mark.parametrize("warp", ["grid", "bspline"])
def test_a_reference_hardened_through_a_warp_is_found_again_under_the_warp(
    a_scene, a_volume_node, labels, affine, warp
):
    # The CT is under the warp; the reference was hardened, so its own grid holds the warped liver.
    warp_id = add_transform(a_scene, warp)
    a_volume_node.SetAndObserveTransformNodeID(warp_id)
    finer = affine @ np.diag([0.5, 0.5, 0.25, 1.0])
    node = mrml.labelmap_from_array(labels.repeat(4, 0).repeat(2, 1).repeat(2, 2), finer, "Labels")
    node.SetAndObserveTransformNodeID(warp_id)
    node.HardenTransform()
    assert node.GetTransformNodeID() is None
    read, warnings = mrml.reference_to_labels(node, a_volume_node)
    assert dice(read > 0, labels > 0) > 0.9
    assert any("non-linear" in warning for warning in warnings)


def test_a_reference_of_another_grid_is_resampled_with_a_warning(a_volume_node, labels, affine):
    finer = affine @ np.diag([0.5, 0.5, 0.5, 1.0])
    finer[:3, 3] = (affine @ [-0.25, -0.25, -0.25, 1])[:3]
    node = mrml.labelmap_from_array(labels.repeat(2, 0).repeat(2, 1).repeat(2, 2), finer, "Labels")
    read, warnings = mrml.reference_to_labels(node, a_volume_node)
    np.testing.assert_array_equal(read, labels)
    assert len(warnings) == 1


@pytest.mark.parametrize("warp", [False, True])
def test_a_reference_elsewhere_is_refused(a_scene, a_volume_node, labels, affine, warp):
    away = affine.copy()
    away[:3, 3] += 400.0
    node = mrml.labelmap_from_array(labels, away, "Labels")
    if warp:
        node.SetAndObserveTransformNodeID(add_transform(a_scene, "grid"))
    with pytest.raises(InputError, match="overlap"):
        mrml.reference_to_labels(node, a_volume_node)


def test_the_liver_is_found_by_its_code_before_its_name(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "liver cyst", labels == 2, affine)
    draw(a_reference_node, "Leber", labels > 0, affine, LIVER.terminology)
    read, _ = mrml.reference_to_labels(a_reference_node, a_volume_node)
    np.testing.assert_array_equal(read, labels > 0)


def test_tumours_beside_the_liver_count_as_liver(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "Liver", labels == 1, affine)
    draw(a_reference_node, "Metastasis", labels == 2, affine, TUMOUR.terminology)
    read, _ = mrml.reference_to_labels(a_reference_node, a_volume_node)
    np.testing.assert_array_equal(read, labels)


def test_a_segment_can_be_named(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "Liver", labels > 0, affine)
    draw(a_reference_node, "Liver second reader", labels == 1, affine)
    read, _ = mrml.reference_to_labels((a_reference_node, "liver second reader"), a_volume_node)
    np.testing.assert_array_equal(read, labels == 1)


def test_an_unknown_name_is_answered_with_the_names_there_are(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "Spleen", labels > 0, affine)
    with pytest.raises(InputError, match="Spleen"):
        mrml.reference_to_labels((a_reference_node, "Liver"), a_volume_node)


def test_a_reference_made_of_a_surface_is_voxelised_and_stays_a_surface(
    a_volume_node, a_reference_node, labels, affine
):
    finer = affine @ np.diag([0.5, 0.5, 0.25, 1.0])
    draw(a_reference_node, "Liver", labels.repeat(4, 0).repeat(2, 1).repeat(2, 2) > 0, finer)
    segmentation = a_reference_node.GetSegmentation()
    segmentation.SetConversionParameter("Smoothing factor", "0")
    a_reference_node.CreateClosedSurfaceRepresentation()
    a_reference_node.SetSourceRepresentationToClosedSurface()
    a_reference_node.RemoveBinaryLabelmapRepresentation()
    read, _ = mrml.reference_to_labels(a_reference_node, a_volume_node)
    assert dice(read > 0, labels > 0) > 0.85
    assert not segmentation.ContainsRepresentation(mrml.BINARY_LABELMAP)


def test_an_empty_segment_is_refused(a_volume_node, a_reference_node, labels, affine):
    a_reference_node.GetSegmentation().AddEmptySegment("", "Liver")
    with pytest.raises(InputError, match="empty"):
        mrml.reference_to_labels(a_reference_node, a_volume_node)


def test_a_shared_labelmap_is_read_segment_by_segment(a_volume_node, a_reference_node, labels, affine):
    draw(a_reference_node, "Liver", labels == 1, affine)
    draw(a_reference_node, "Gallbladder", labels == 2, affine)
    segmentation = a_reference_node.GetSegmentation()
    segmentation.CollapseBinaryLabelmaps(False)
    assert segmentation.GetNumberOfLayers() == 1
    read, _ = mrml.reference_to_labels((a_reference_node, "Gallbladder"), a_volume_node)
    np.testing.assert_array_equal(read, labels == 2)


def test_the_ct_itself_is_refused_as_a_reference(a_volume_node):
    with pytest.raises(InputError, match="cannot be the reference"):
        mrml.reference_to_labels(a_volume_node, a_volume_node)


def test_a_labelmap_without_an_image_is_refused(a_scene, a_volume_node):
    node = a_scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    with pytest.raises(InputError, match="no image"):
        mrml.reference_to_labels(node, a_volume_node)


def test_a_sagittal_reference_of_an_axial_ct_gives_the_same_labels(a_volume_node, labels, affine):
    # Its first index runs along the CT's rows backwards, its second along the slices, its third along the columns.
    backwards = np.array([[0, 0, 1, 0], [-1, 0, 0, labels.shape[1] - 1], [0, 1, 0, 0], [0, 0, 0, 1.0]])
    sagittal = np.ascontiguousarray(labels.transpose(2, 0, 1)[:, :, ::-1])
    node = mrml.labelmap_from_array(sagittal, affine @ backwards, "Labels")
    read, warnings = mrml.reference_to_labels(node, a_volume_node)
    np.testing.assert_array_equal(read, labels)
    assert len(warnings) == 1


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))
