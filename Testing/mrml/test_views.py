"""What the eye sees: volumes and results lie where they should in Slicer's own slice and 3D views."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import OutputError
from Testing.demo.views import SLICE_VIEWS, Views
from Testing.mrml.transforms import TRANSFORMS, add_transform, oblique

AIR_HU, CUBE_HU = -1000, 1000
SIDE, SPACING_MM = 48, 2.0
# One dense cube off the middle in every direction, so that no mirrored picture looks like the right one; (k, j, i).
CUBE = (slice(26, 38), slice(10, 22), slice(9, 21))
# How far right and below the middle of the picture the cube's centre is to be seen.
RIGHTWARDS_MM, DOWNWARDS_MM = 12.0, 7.0
MM_PER_PIXEL = 0.5

# Axes to left, posterior and superior about the origin of RAS.
AXIAL = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
AXIAL[:3, 3] = (SIDE - 1) / 2 * SPACING_MM * np.array([1, 1, -1])
# Axes to posterior, inferior and left.
SAGITTAL = AXIAL @ np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, -1, 0, SIDE - 1], [0, 0, 0, 1]])
AFFINES = {"axial": AXIAL, "sagittal": SAGITTAL, "oblique": oblique(20.0) @ AXIAL}

# What radiologists see rightwards and downwards in each view.
RIGHT, ANTERIOR, SUPERIOR = np.eye(3)
PICTURE_AXES = {"Red": (-RIGHT, -ANTERIOR), "Green": (-RIGHT, -SUPERIOR), "Yellow": (-ANTERIOR, -SUPERIOR)}


@pytest.fixture(scope="module")
def module_views():
    try:
        views = Views(mrml.ensure_scene(), size=(320, 240))
    except OutputError as error:
        pytest.skip(str(error))
    yield views
    views.close()


@pytest.fixture
def views(module_views, a_scene):
    """Views of the empty scene: as in Slicer they stay when the scene is closed."""
    return module_views


@pytest.fixture
def a_cube(a_scene):
    """Adds a volume of air with the cube in it, under a transform; gives its node and the cube's mask (k, j, i)."""

    def add(axes: str, transform: str) -> tuple[slicer.vtkMRMLScalarVolumeNode, np.ndarray]:
        mask = np.zeros((SIDE, SIDE, SIDE), np.uint8)
        mask[CUBE] = 1
        hu = np.choose(mask, (AIR_HU, CUBE_HU)).astype(np.int16)
        volume_node = mrml.volume_from_ct(CTVolume(hu, AFFINES[axes], "Cube"))
        volume_node.CreateDefaultDisplayNodes()
        volume_node.GetDisplayNode().AutoWindowLevelOff()
        volume_node.GetDisplayNode().SetWindowLevel(CUBE_HU - AIR_HU, 0)
        volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
        return volume_node, mask

    return add


@pytest.fixture
def a_result(a_scene):
    """Writes the liver into a segmentation that the slice views fill with its colour."""

    def write(volume_node, labels) -> slicer.vtkMRMLSegmentationNode:
        node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
        mrml.write_segmentation(node, labels, volume_node)
        node.GetDisplayNode().SetOpacity2DFill(1.0)
        node.GetDisplayNode().SetVisibility2DOutline(False)
        return node

    return write


def world_centre(volume_node, mask):
    """The centre of what is in the mask, RAS mm in the world; for linear transforms."""
    centre = mrml.affine_of(volume_node) @ [*np.argwhere(mask).mean(axis=0)[::-1], 1.0]
    parent = volume_node.GetParentTransformNode()
    return (centre if parent is None else slicer.util.arrayFromTransformMatrix(parent, toWorld=True) @ centre)[:3]


def show_around(views, volume_node, name, ras):
    """Put a point of the world into the middle of a slice view, at a known scale."""
    views.show(volume_node)
    node = views.slice_node(name)
    width, height, _ = node.GetDimensions()
    node.SetFieldOfView(width * MM_PER_PIXEL, height * MM_PER_PIXEL, 1.0)
    node.JumpSliceByCentering(*ras)


def bright(picture):
    return picture.min(axis=2) > 127


def liver_coloured(picture):
    return (picture == LIVER.colour).all(axis=2)


def place_of(mask):
    """Mean (column, row) in mm from the middle of the picture."""
    middle = (np.array(mask.shape) - 1) / 2
    return (np.argwhere(mask).mean(axis=0) - middle)[::-1] * MM_PER_PIXEL


def overlap(a, b):
    return 2 * (a & b).sum() / (a.sum() + b.sum())


@pytest.mark.parametrize("name", SLICE_VIEWS)
@pytest.mark.parametrize(
    ("axes", "transform"),
    [("axial", "none"), ("sagittal", "none"), ("oblique", "none"), ("axial", "nested"), ("oblique", "scaling")],
)
def test_a_slice_view_shows_the_cube_where_a_radiologist_looks_for_it(views, a_cube, axes, transform, name):
    volume_node, mask = a_cube(axes, transform)
    rightwards, downwards = PICTURE_AXES[name]
    # The slice goes through the cube's centre; the middle of the picture lies beside it.
    centre = world_centre(volume_node, mask)
    show_around(views, volume_node, name, centre - RIGHTWARDS_MM * rightwards - DOWNWARDS_MM * downwards)
    shown = bright(views.slice(name))
    np.testing.assert_allclose(place_of(shown), [RIGHTWARDS_MM, DOWNWARDS_MM], atol=MM_PER_PIXEL)


@pytest.mark.parametrize(
    ("axes", "transform"), [("axial", "none"), ("sagittal", "none"), *(("oblique", name) for name in TRANSFORMS)]
)
def test_the_result_covers_what_it_was_found_in(views, a_cube, a_result, axes, transform):
    volume_node, mask = a_cube(axes, transform)
    segmentation_node = a_result(volume_node, mask)
    centre = segmentation_node.GetSegmentCenterRAS(mrml.SEGMENT_IDS[LIVER.label])
    for name in SLICE_VIEWS:
        show_around(views, volume_node, name, centre)
        segmentation_node.GetDisplayNode().SetVisibility(False)
        cube = bright(views.slice(name))
        segmentation_node.GetDisplayNode().SetVisibility(True)
        assert overlap(cube, liver_coloured(views.slice(name))) > 0.95


@pytest.mark.parametrize("transform", ["none", "linear", "bspline"])
def test_after_framing_the_whole_result_is_in_the_picture_and_fills_it(views, a_cube, a_result, transform):
    volume_node, mask = a_cube("oblique", transform)
    mrml.frame_slices(a_result(volume_node, mask))
    for name in SLICE_VIEWS:
        shown = liver_coloured(views.slice(name))
        assert not shown[0].any() and not shown[-1].any() and not shown[:, 0].any() and not shown[:, -1].any()
        np.testing.assert_allclose(place_of(shown) / MM_PER_PIXEL, 0, atol=8)
        assert shown.any(axis=1).sum() > 0.4 * shown.shape[0]


def test_the_3d_view_looks_from_the_front_with_the_right_of_the_patient_on_the_left(views, a_scene, a_volume_node):
    """A bar whose right end is thick: the picture's left end must be the thick one."""
    labels = np.zeros(mrml.shape_of(a_volume_node), np.uint8)
    labels[4:6, 6:10, 2:18] = 1
    labels[2:8, 6:10, 2:6] = 1  # i runs to the patient's left
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    mrml.write_segmentation(node, labels, a_volume_node)
    mrml.set_surface(node, shown=True, smoothing=0.0)
    picture = views.three_d().astype(int)
    reddish = picture[..., 0] > picture[..., 2]
    columns = np.flatnonzero(reddish.any(axis=0))
    assert len(columns) > 100
    heights = reddish.sum(axis=0)
    left, right = heights[columns[:30]].mean(), heights[columns[-30:]].mean()
    assert left > 2 * right
