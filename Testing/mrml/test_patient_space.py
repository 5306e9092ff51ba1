"""Volumes and distances are those in the patient, whatever transform the CT is under."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from LiverSeg import LiverSegLogic
from LiverSegLib import mrml
from LiverSegLib.data.metrics import compare
from LiverSegLib.mrml.scene_run import run_to_end
from LiverSegLib.mrml.transforms import transformed, warp_between
from Testing.mrml.transforms import TRANSFORMS, add_transform

VOXEL_ML = 1.5 * 1.25 * 4.0 / 1000
# The grid only shears.
SIZES_KEPT = ("none", "linear", "nested", "grid")
# Of the true volume: cells of 4 mm stand for the voxels in them.
TOLERANCE = 0.002


def add_uneven_slices(scene, affine):
    """As Slicer's DICOM reader does it: from the fifth slice on they lie 8 mm apart, not 4."""
    image = vtk.vtkImageData()
    image.SetDimensions(2, 2, 10)
    image.SetOrigin(-100, -100, affine[2, 3])
    image.SetSpacing(200, 200, 4)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    shift = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(10, 2, 2, 3)
    shift[:] = 0
    shift[..., 2] = 4.0 * np.clip(np.arange(10) - 4, 0, None)[:, None, None]
    grid = slicer.vtkOrientedGridTransform()
    grid.SetDisplacementGridData(image)
    node = scene.AddNewNodeByClass("vtkMRMLGridTransformNode", "Acquisition transform")
    node.SetAndObserveTransformToParent(grid)
    return node.GetID()


def added(scene, kind, affine):
    return add_uneven_slices(scene, affine) if kind == "uneven slices" else add_transform(scene, kind)


def last(steps):
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def true_ml(volume_node, mask):
    """Each voxel as six tetrahedra between its own eight corners, in the world."""
    steps = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    corners = np.argwhere(mask)[:, None, ::-1] + steps
    places = corners.reshape(-1, 3) @ mrml.affine_of(volume_node)[:3, :3].T + mrml.affine_of(volume_node)[:3, 3]
    corners = transformed(places, warp_between(volume_node, None)).reshape(-1, 8, 3)
    paths = ((1, 3), (3, 2), (2, 6), (6, 4), (4, 5), (5, 1))
    edges = [np.stack([corners[:, n] - corners[:, 0] for n in (*path, 7)], axis=1) for path in paths]
    return sum(np.abs(np.linalg.det(edge)).sum() for edge in edges) / 6000


@pytest.fixture
def a_logic(a_stand_in):
    return LiverSegLogic(segmenterFactory=lambda device: a_stand_in)


@pytest.mark.parametrize("kind", [*TRANSFORMS, "uneven slices"])
def test_volumes_are_those_in_the_patient(a_scene, a_volume_node, a_logic, labels, affine, kind):
    a_volume_node.SetAndObserveTransformNodeID(added(a_scene, kind, affine))
    report = a_logic.segment(a_volume_node, tumour=True)
    for told, mask in ((report.liver_volume_ml, labels > 0), (report.tumour_volume_ml, labels == 2)):
        assert told == pytest.approx(true_ml(a_volume_node, mask), rel=TOLERANCE)
        assert (told == pytest.approx(mask.sum() * VOXEL_ML, rel=1e-5)) == (kind in SIZES_KEPT)


@pytest.mark.parametrize("kind", ["scaling", "grid", "bspline", "uneven slices"])
def test_voxels_lie_where_the_transform_puts_them(a_scene, a_volume_node, affine, kind):
    a_volume_node.SetAndObserveTransformNodeID(added(a_scene, kind, affine))
    space = last(mrml.patient_space(a_volume_node, a_volume_node, (slice(2, 9), slice(3, 12), slice(4, 15))))
    voxels = np.stack(np.meshgrid(range(2, 9), range(3, 12), range(4, 15), indexing="ij"), axis=-1).reshape(-1, 3)
    own = voxels[:, ::-1] @ affine[:3, :3].T + affine[:3, 3]
    apart = np.linalg.norm(space.points(voxels) - transformed(own, warp_between(a_volume_node, None)), axis=1)
    # In the slice where the distance changes, a voxel's middle is taken to be in its middle.
    assert apart[voxels[:, 0] != 4].max() < 0.02 and apart.max() <= 1.0 + 1e-9


def test_distances_and_the_volume_difference_are_those_in_the_patient(a_scene, a_volume_node, a_logic, labels, affine):
    scaling = a_scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(scaling, np.diag([2, 1, 3, 1.0]))
    other = np.roll(labels, 1, axis=0)
    reference = mrml.labelmap_from_array(other, affine, "Manual")
    for node in (a_volume_node, reference):
        node.SetAndObserveTransformNodeID(scaling.GetID())
    report = a_logic.segment(a_volume_node, reference=reference)
    assert report.comparison() == pytest.approx(compare(labels > 0, other > 0, (12.0, 1.25, 3.0)))
    output = mrml.segmentation_of(a_volume_node)
    assert run_to_end(a_logic.compareSteps(output, a_volume_node, reference)).measures == report.comparison()


def test_the_volume_difference_weighs_voxels_by_their_size(a_scene, a_volume_node, a_logic, labels, affine):
    transform = add_uneven_slices(a_scene, affine)
    a_volume_node.SetAndObserveTransformNodeID(transform)
    other = np.roll(labels, 1, axis=0)
    reference = mrml.labelmap_from_array(other, affine, "Manual")
    reference.SetAndObserveTransformNodeID(transform)
    told = a_logic.segment(a_volume_node, reference=reference).volume_difference_percent
    true = true_ml(a_volume_node, labels > 0) / true_ml(a_volume_node, other > 0) - 1
    assert told == pytest.approx(100 * true, abs=0.1) and told < -10


def test_nothing_found_has_no_volume_under_a_warp(a_scene, a_volume_node, a_logic, hu):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "bspline"))
    slicer.util.updateVolumeFromArray(a_volume_node, np.where(hu > 60, 30, hu).astype(np.int16))
    assert a_logic.segment(a_volume_node).liver_volume_ml == 0
