"""The views are framed on the liver, where it is in the world, and its surface is there when it is asked for."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER
from LiverSegLib.data.volume import CTVolume
from Testing.mrml.snapshot import snapshot
from Testing.mrml.transforms import TRANSFORMS, add_transform

LIVER_ID = mrml.SEGMENT_IDS[LIVER.label]
DIMENSIONS = {"Axial": (400, 300, 1), "Coronal": (300, 600, 1), "Sagittal": (500, 500, 1)}


@pytest.fixture
def slice_nodes(a_scene):
    """One slice view of each orientation, each of another shape, and looking elsewhere."""
    nodes = {}
    for orientation, dimensions in DIMENSIONS.items():
        node = slicer.vtkMRMLSliceNode()
        node.SetLayoutName(orientation)
        node.SetName(orientation)
        directions = vtk.vtkMatrix3x3()
        getattr(node, f"Get{orientation}SliceToRASMatrix")(directions)
        node.AddSliceOrientationPreset(orientation, directions)
        node.SetOrientation(orientation)
        node.SetDimensions(*dimensions)
        node.SetFieldOfView(10.0 * dimensions[0], 10.0 * dimensions[1], 3.0)
        node.JumpSliceByCentering(500, 500, 500)
        nodes[orientation] = a_scene.AddNode(node)
    yield nodes
    # A scene that is cleared keeps its views.
    for node in nodes.values():
        a_scene.RemoveNode(node)


@pytest.fixture
def a_composite_node(a_scene):
    return a_scene.AddNewNodeByClass("vtkMRMLSliceCompositeNode")


def liver_in_world(volume_node, mask):
    """Voxel centres of a mask, RAS mm in the world, (n, 3)."""
    transform = volume_node.GetParentTransformNode()
    ijk = np.argwhere(mask)[:, ::-1]
    ras = ijk @ mrml.affine_of(volume_node)[:3, :3].T + mrml.affine_of(volume_node)[:3, 3]
    if transform is None:
        return ras
    to_world = slicer.vtkMRMLTransformNode.GetTransformBetweenNodes
    general = vtk.vtkGeneralTransform()
    to_world(transform, None, general)
    return np.array([general.TransformPoint(point) for point in ras])


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_every_slice_view_shows_the_whole_liver_where_it_is_in_the_world(
    a_scene, a_volume_node, a_segmentation_node, labels, slice_nodes, transform
):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.frame_slices(a_segmentation_node)
    points = liver_in_world(a_volume_node, labels > 0)
    for orientation, node in slice_nodes.items():
        to_slice = np.linalg.inv(slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS()))
        seen = np.c_[points, np.ones(len(points))] @ to_slice.T
        half = np.array(node.GetFieldOfView()[:2]) / 2
        reach = np.abs(seen[:, :2]).max(axis=0)
        assert (reach < half).all(), orientation
        # One of the two directions is filled, the slice goes through the liver's middle.
        assert (reach / half).max() > 0.6, orientation
        assert abs(seen[:, 2].max() + seen[:, 2].min()) < 0.2 * np.ptp(seen[:, 2]), orientation


def test_views_keep_their_direction_and_the_shape_of_their_windows(
    a_volume_node, a_segmentation_node, labels, slice_nodes
):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    directions = {
        name: slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, :3] for name, node in slice_nodes.items()
    }
    mrml.frame_slices(a_segmentation_node)
    for name, node in slice_nodes.items():
        width, height, _ = DIMENSIONS[name]
        across, down, thickness = node.GetFieldOfView()
        assert across / down == pytest.approx(width / height) and thickness == 3.0
        np.testing.assert_array_equal(slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, :3], directions[name])


def test_only_the_liver_is_framed(a_volume_node, a_segmentation_node, labels, affine, slice_nodes):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.frame_slices(a_segmentation_node)
    framed = slice_nodes["Axial"].GetFieldOfView()
    far_away = affine.copy()
    far_away[:3, 3] += 300
    segment = slicer.vtkSegment()
    segment.SetName("Bladder")
    segment.AddRepresentation(mrml.BINARY_LABELMAP, mrml.to_image((labels > 0).astype(np.uint8), far_away))
    a_segmentation_node.GetSegmentation().AddSegment(segment)
    mrml.frame_slices(a_segmentation_node)
    assert slice_nodes["Axial"].GetFieldOfView() == framed


def test_without_a_liver_the_views_stay(a_scene, a_volume_node, a_segmentation_node, labels, slice_nodes):
    for fill in (lambda: None, lambda: mrml.write_segmentation(a_segmentation_node, 0 * labels, a_volume_node)):
        fill()
        before = snapshot(a_scene)
        mrml.frame_slices(a_segmentation_node)
        assert snapshot(a_scene) == before


@pytest.mark.parametrize(
    "layers, seen",
    [
        ("nothing", False),
        ("deleted", False),
        ("below", True),
        ("other below", False),
        ("above", True),
        ("clear", False),
    ],
)
def test_a_volume_is_seen_as_background_or_through_its_opacity(
    a_volume_node, a_composite_node, hu, affine, layers, seen
):
    other = mrml.volume_from_ct(CTVolume(hu, affine, "Other CT"))
    background = {"deleted": "vtkMRMLScalarVolumeNode77", "below": a_volume_node.GetID(), "nothing": None}
    a_composite_node.SetBackgroundVolumeID(background.get(layers, other.GetID()))
    if layers in ("above", "clear"):
        a_composite_node.SetForegroundVolumeID(a_volume_node.GetID())
        a_composite_node.SetForegroundOpacity(0.5 if layers == "above" else 0.0)
    assert mrml.is_in_slices(a_volume_node) == seen
    mrml.show_in_slices(a_volume_node)
    assert mrml.is_in_slices(a_volume_node)


def surface_of(node):
    return node.GetClosedSurfaceInternalRepresentation(LIVER_ID)


def test_a_surface_comes_and_goes(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.set_surface(a_segmentation_node, True, 0.5)
    assert surface_of(a_segmentation_node).GetNumberOfPoints() > 0
    assert a_segmentation_node.GetDisplayNode().GetVisibility3D()
    mrml.set_surface(a_segmentation_node, False, 0.5)
    assert surface_of(a_segmentation_node) is None
    assert not a_segmentation_node.GetDisplayNode().GetVisibility3D()


def test_more_smoothing_makes_a_smoother_surface(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    volumes = []
    for smoothing in (0.0, 0.5, 1.0):
        mrml.set_surface(a_segmentation_node, True, smoothing)
        measure = vtk.vtkMassProperties()
        measure.SetInputData(surface_of(a_segmentation_node))
        volumes.append(measure.GetNormalizedShapeIndex())
    assert volumes == sorted(volumes, reverse=True) and volumes[0] > volumes[-1]


@pytest.mark.parametrize("smoothing, kept", [(-3, "0"), (7, "1"), (0.25, "0.25")])
def test_smoothing_stays_between_0_and_1(a_volume_node, a_segmentation_node, labels, smoothing, kept):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.set_surface(a_segmentation_node, True, smoothing)
    assert a_segmentation_node.GetSegmentation().GetConversionParameter("Smoothing factor") == kept


def test_smoothing_is_kept_for_the_next_run(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.set_surface(a_segmentation_node, True, 0.0)
    stepped = surface_of(a_segmentation_node).GetNumberOfPoints()
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert surface_of(a_segmentation_node).GetNumberOfPoints() == stepped


def test_an_empty_liver_has_an_empty_surface_and_logs_no_error(a_volume_node, a_segmentation_node, labels, capfd):
    mrml.write_segmentation(a_segmentation_node, 0 * labels, a_volume_node, tumour=True)
    mrml.set_surface(a_segmentation_node, True, 0.5)
    assert "ERR|" not in capfd.readouterr().err
    surface = surface_of(a_segmentation_node)
    assert surface is None or surface.GetNumberOfPoints() == 0
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    mrml.set_surface(a_segmentation_node, True, 0.5)
    assert surface_of(a_segmentation_node).GetNumberOfPoints() > 0


def test_a_segmentation_made_of_surfaces_keeps_them(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    a_segmentation_node.CreateClosedSurfaceRepresentation()
    a_segmentation_node.SetSourceRepresentationToClosedSurface()
    mrml.set_surface(a_segmentation_node, False, 0.9)
    assert surface_of(a_segmentation_node).GetNumberOfPoints() > 0
