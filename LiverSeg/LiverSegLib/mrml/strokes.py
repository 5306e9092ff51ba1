"""A reader's strokes in the views: thin tubes and balls, green for liver, purple for no liver."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk

from .. import messages
from ..data.strokes import Stroke
from .scene import nodes_of_class, remove_whole

# From what shows the strokes to the result that they belong to.
STROKES_ROLE = "LiverSeg.StrokesOf"
LIVER_ATTRIBUTE = "LiverSeg.StrokesAreLiver"
# Bluish green and reddish purple of Okabe and Ito's palette, which every eye tells apart.
COLOURS = {True: (0.0, 0.62, 0.45), False: (0.8, 0.47, 0.65)}
RADIUS_MM, SIDES = 1.0, 12


def show_strokes(segmentation_node: slicer.vtkMRMLSegmentationNode, strokes: Sequence[Stroke]) -> None:
    """Show strokes, in the frame of the result's CT, in the slice views and in 3D, in place of those shown before.

    What shows them is not saved with the scene: the strokes themselves are, see :mod:`LiverSegLib.mrml.corrections`.
    """
    for is_liver in (True, False):
        wanted = [stroke for stroke in strokes if stroke.is_liver == is_liver]
        node = _model_of(segmentation_node, is_liver)
        if wanted:
            node = node or _new_model(segmentation_node, is_liver)
            node.SetAndObserveTransformNodeID(segmentation_node.GetTransformNodeID())
            node.SetAndObservePolyData(_surface(wanted))
        elif node is not None:
            remove_whole(node)


def remove_strokes(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Take what shows the result's strokes out of the scene; nothing happens if there is nothing."""
    show_strokes(segmentation_node, ())


def _model_of(segmentation_node: slicer.vtkMRMLSegmentationNode, is_liver: bool) -> slicer.vtkMRMLModelNode | None:
    for node in nodes_of_class(segmentation_node.GetScene(), "vtkMRMLModelNode"):
        if (
            node.GetNodeReference(STROKES_ROLE) is segmentation_node
            and node.GetAttribute(LIVER_ATTRIBUTE) == f"{is_liver}"
        ):
            return node
    return None


def _new_model(segmentation_node: slicer.vtkMRMLSegmentationNode, is_liver: bool) -> slicer.vtkMRMLModelNode:
    scene = segmentation_node.GetScene()
    node = slicer.vtkMRMLModelNode()
    node.SetName(messages.STROKES_LIVER if is_liver else messages.STROKES_NO_LIVER)
    node.SetHideFromEditors(True)
    node.SetSaveWithScene(False)
    node.SetSelectable(False)
    node.SetAttribute(LIVER_ATTRIBUTE, f"{is_liver}")
    scene.AddNode(node)
    node.SetNodeReferenceID(STROKES_ROLE, segmentation_node.GetID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetSaveWithScene(False)
    display.SetColor(*COLOURS[is_liver])
    display.SetVisibility2D(True)
    display.SetSliceIntersectionThickness(3)
    return node


def _surface(strokes: Sequence[Stroke]) -> vtk.vtkPolyData:
    together = vtk.vtkAppendPolyData()
    for stroke in strokes:
        for source in _tube(stroke.points_mm), _ball(stroke.points_mm[0]), _ball(stroke.points_mm[-1]):
            if source is not None:
                source.Update()
                together.AddInputData(source.GetOutput())
    together.Update()
    return together.GetOutput()


def _ball(position: np.ndarray) -> vtk.vtkSphereSource:
    ball = vtk.vtkSphereSource()
    ball.SetCenter(*map(float, position))
    ball.SetRadius(1.5 * RADIUS_MM)
    ball.SetThetaResolution(SIDES)
    ball.SetPhiResolution(SIDES)
    return ball


def _tube(positions: np.ndarray) -> vtk.vtkTubeFilter | None:
    if len(positions) < 2:
        return None
    points, line, path = vtk.vtkPoints(), vtk.vtkCellArray(), vtk.vtkPolyData()
    points.SetData(numpy_to_vtk(np.ascontiguousarray(positions, np.float64), deep=True))
    line.InsertNextCell(len(positions))
    for n in range(len(positions)):
        line.InsertCellPoint(n)
    path.SetPoints(points)
    path.SetLines(line)
    tube = vtk.vtkTubeFilter()
    tube.SetInputData(path)
    tube.SetRadius(RADIUS_MM)
    tube.SetNumberOfSides(SIDES)
    return tube
