"""Transform nodes of every kind for the tests."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

TRANSFORMS = ("none", "linear", "nested", "scaling", "grid", "bspline")


def oblique(degrees: float) -> np.ndarray:
    """A rotation about two axes with a shift, 4×4."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    about_x = np.array([[1, 0, 0, 0], [0, c, -s, 0], [0, s, c, 0], [0, 0, 0, 1]])
    about_z = np.array([[c, -s, 0, 12], [s, c, 0, -7], [0, 0, 1, 3], [0, 0, 0, 1]])
    return about_x @ about_z


def add_transform(scene, kind: str) -> str | None:
    """Add a transform node of that kind to the scene and return its id; None for "none"."""
    return None if kind == "none" else globals()[f"_{kind}"](scene).GetID()


def add_warp(scene, field) -> str:
    """Add a grid transform: ``field`` gives the displacements (..., 3) in mm at places x, y, z, RAS mm."""
    image = vtk.vtkImageData()
    image.SetDimensions(101, 11, 11)
    image.SetOrigin(-250, -250, 0)
    image.SetSpacing(5, 50, 50)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    z, y, x = np.meshgrid(np.arange(11) * 50.0, np.arange(11) * 50.0 - 250, np.arange(101) * 5.0 - 250, indexing="ij")
    vtk_to_numpy(image.GetPointData().GetScalars()).reshape(11, 11, 101, 3)[:] = field(x, y, z)
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(image)
    return _warp(scene, "vtkMRMLGridTransformNode", transform).GetID()


def _linear(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Rotation")
    slicer.util.updateTransformMatrixFromArray(node, oblique(25.0))
    return node


def _nested(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Outer")
    slicer.util.updateTransformMatrixFromArray(node, oblique(-40.0))
    inner = _linear(scene)
    inner.SetAndObserveTransformNodeID(node.GetID())
    return inner


def _scaling(scene):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Scaling")
    slicer.util.updateTransformMatrixFromArray(node, np.diag([1.1, 0.9, 1.2, 1.0]) @ oblique(10.0))
    return node


def _grid(scene):
    """A displacement of 3 mm everywhere that grows to 9 mm along one direction."""
    nodes, field = _control_points()
    field[:] = 3.0
    field[..., 0] += np.linspace(0, 6, 8)[None, :, None]
    transform = slicer.vtkOrientedGridTransform()
    transform.SetDisplacementGridData(nodes)
    return _warp(scene, "vtkMRMLGridTransformNode", transform)


def _bspline(scene):
    nodes, field = _control_points()
    field[:] = np.random.default_rng(0).uniform(-4, 4, field.shape)
    transform = slicer.vtkOrientedBSplineTransform()
    transform.SetCoefficientData(nodes)
    return _warp(scene, "vtkMRMLBSplineTransformNode", transform)


def _control_points() -> tuple[vtk.vtkImageData, np.ndarray]:
    """Displacements in mm on a coarse grid round the test volumes, as an image and as an array (z, y, x, 3)."""
    image = vtk.vtkImageData()
    image.SetDimensions(8, 8, 8)
    image.SetOrigin(-200, -200, 0)
    image.SetSpacing(60, 60, 60)
    image.AllocateScalars(vtk.VTK_DOUBLE, 3)
    return image, vtk_to_numpy(image.GetPointData().GetScalars()).reshape(8, 8, 8, 3)


def _warp(scene, node_class: str, transform):
    node = scene.AddNewNodeByClass(node_class, "Warp")
    node.SetAndObserveTransformToParent(transform)
    return node
