"""A picture of the 3D view, without a window on the screen."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import slicer
import vtk
from scipy import ndimage
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.errors import OutputError
from LiverSegLib.mrml import SEGMENT_IDS
from LiverSegLib.mrml.images import affine_of, to_matrix, voxels_of

NO_RENDERING = (
    "The 3D picture is left out because nothing here can render off-screen; "
    "run apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri on Debian and Ubuntu."
)
# What the picture shows of the patient round the liver.
SKIN_HU, BONE_HU = -300.0, 220.0
BACKDROP_SPACING_MM, BACKDROP_PIECE_VOXELS = 3.0, 60


def render_3d(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    size: tuple[int, int] = (900, 700),
) -> np.ndarray:
    """Draw the segments from the front without a window on the screen, in the patient that the CT shows.

    The segmentation gets a closed surface representation if it has none. Parent transforms are left out.

    Parameters
    ----------
    volume_node
        CT to take skin and bones from; without it the segments stand alone.
    size
        Width and height in pixels.

    Returns
    -------
    RGB picture, uint8 (row, column, 3). The patient's right is on the left.

    Raises
    ------
    OutputError
        If this computer cannot render off-screen, or there is nothing to draw.
    """
    check_rendering()
    segmentation_node.CreateClosedSurfaceRepresentation()
    renderer = _renderer()
    bounds = _add_segments(renderer, segmentation_node)
    if not bounds.IsValid():
        raise OutputError(f"{segmentation_node.GetName()} is empty, so there is no 3D picture of it; check the result.")
    if volume_node is not None:
        renderer.AddActor(_actor(_isosurface(volume_node, SKIN_HU), (0.9, 0.75, 0.65), 0.15))
        renderer.AddActor(_actor(_isosurface(volume_node, BONE_HU), (0.95, 0.93, 0.85), 0.5))
    _look_from_the_front(renderer, bounds)
    return _photographed(renderer, size)


def check_rendering() -> None:
    """Raise OutputError where VTK cannot render off-screen: tried in a process of its own, since there VTK crashes."""
    if sys.platform != "linux":
        return
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    trial = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render()"
    finished = subprocess.run([sys.executable, "-c", trial], capture_output=True, check=False)
    if finished.returncode != 0:
        raise OutputError(NO_RENDERING)


def _renderer() -> vtk.vtkRenderer:
    """On the background of Slicer's 3D view, with translucent surfaces drawn in the right order."""
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(0.757, 0.765, 0.910)
    renderer.SetBackground2(0.455, 0.471, 0.745)
    renderer.GradientBackgroundOn()
    renderer.SetUseDepthPeeling(True)
    renderer.SetMaximumNumberOfPeels(12)
    return renderer


def _add_segments(renderer: vtk.vtkRenderer, segmentation_node: slicer.vtkMRMLSegmentationNode) -> vtk.vtkBoundingBox:
    segmentation = segmentation_node.GetSegmentation()
    # A tumour is seen through the liver.
    liver_opacity = 1.0 if segmentation.GetSegment(SEGMENT_IDS[TUMOUR.label]) is None else 0.6
    bounds = vtk.vtkBoundingBox()
    for segment_id in segmentation.GetSegmentIDs():
        surface = segmentation_node.GetClosedSurfaceInternalRepresentation(segment_id)
        if surface is not None and surface.GetNumberOfPoints():
            opacity = liver_opacity if segment_id == SEGMENT_IDS[LIVER.label] else 1.0
            renderer.AddActor(_actor(surface, segmentation.GetSegment(segment_id).GetColor(), opacity))
            bounds.AddBounds(surface.GetBounds())
    return bounds


def _actor(surface: vtk.vtkPolyData, colour: tuple[float, float, float], opacity: float) -> vtk.vtkActor:
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(colour)
    actor.GetProperty().SetOpacity(opacity)
    actor.GetProperty().SetSpecular(0.2)
    actor.GetProperty().SetSpecularPower(20)
    return actor


def _isosurface(volume_node: slicer.vtkMRMLScalarVolumeNode, hu: float) -> vtk.vtkPolyData:
    """Surface of what is denser than a HU value, RAS mm, at a few millimetres: skin or bones as a backdrop."""
    affine = affine_of(volume_node)
    steps = [max(1, round(BACKDROP_SPACING_MM / spacing)) for spacing in np.linalg.norm(affine[:3, :3], axis=0)]
    voxels = voxels_of(volume_node.GetImageData())[:: steps[2], :: steps[1], :: steps[0]].astype(np.float32)
    pieces, count = ndimage.label(voxels > hu)
    sizes = ndimage.sum_labels(np.ones_like(pieces), pieces, np.arange(count + 1))
    voxels[(pieces > 0) & (sizes < BACKDROP_PIECE_VOXELS)[pieces]] = -1000.0
    # A rim of air closes the surface where the body leaves the image.
    padded = np.pad(voxels, 1, constant_values=-1000.0)
    image = vtk.vtkImageData()
    image.SetDimensions(padded.shape[::-1])
    image.SetOrigin(-1, -1, -1)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, hu)
    place = vtk.vtkTransform()
    place.SetMatrix(to_matrix(affine @ np.diag([*steps, 1.0])))
    to_ras = vtk.vtkTransformPolyDataFilter()
    to_ras.SetInputConnection(contour.GetOutputPort())
    to_ras.SetTransform(place)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(to_ras.GetOutputPort())
    smooth.Update()
    return smooth.GetOutput()


def _look_from_the_front(renderer: vtk.vtkRenderer, bounds: vtk.vtkBoundingBox) -> None:
    """Frame what the bounds hold with as much of the patient round it, from the front and a little from above."""
    camera = renderer.GetActiveCamera()
    camera.SetFocalPoint(0, 0, 0)
    camera.SetPosition(0, 1, 0)
    camera.SetViewUp(0, 0, 1)
    camera.Elevation(12)
    bounds.ScaleAboutCenter(1.15)
    framed = [0.0] * 6
    bounds.GetBounds(framed)
    renderer.ResetCamera(framed)
    renderer.ResetCameraClippingRange()
    for letter, x, y in (("R", 0.02, 0.48), ("L", 0.96, 0.48), ("S", 0.49, 0.94), ("I", 0.495, 0.02)):
        renderer.AddActor(_letter(letter, x, y))


def _photographed(renderer: vtk.vtkRenderer, size: tuple[int, int]) -> np.ndarray:
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetSize(*size)
    window.AddRenderer(renderer)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


def _letter(text: str, x: float, y: float) -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    actor.GetTextProperty().SetFontSize(26)
    actor.GetTextProperty().SetBold(True)
    actor.GetTextProperty().SetShadow(True)
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(x, y)
    return actor
