"""Slice and 3D views off-screen, drawn by Slicer's own displayable managers, which come with slicer-core.

What is real: nodes, slice and view logics, the reslicing and blending of the volumes, the managers that draw segments,
models, rulers and markers. What stands in: a plain VTK window in the place of qMRMLSliceView and qMRMLThreeDView, and
the few steps that Slicer's layout does (names, orientations, colours). Nobody can click in these views.
"""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from LiverSegLib.errors import OutputError

NO_RENDERING = (
    "The 3D picture is left out because nothing here can render off-screen; "
    "run apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri on Debian and Ubuntu."
)
# Slicer's four-up layout: name and orientation of its slice views.
SLICE_VIEWS = {"Red": "Axial", "Green": "Coronal", "Yellow": "Sagittal"}
# The same lists as in qMRMLSliceView, qMRMLThreeDView and the Segmentations module.
SLICE_MANAGERS = (
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
)
THREE_D_MANAGERS = (
    "vtkMRMLCameraDisplayableManager",
    "vtkMRMLViewDisplayableManager",
    "vtkMRMLModelDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager3D",
    "vtkMRMLOrientationMarkerDisplayableManager",
    "vtkMRMLRulerDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager3D",
)


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


class Views:
    """The Red, Green and Yellow slice views and one 3D view of a scene.

    >>> views = Views(scene)
    >>> views.show(volume_node)
    >>> axial, picture = views.slice("Red"), views.three_d()

    Parameters
    ----------
    scene
        The MRML scene. It gets the views' nodes, as in Slicer: a slice node, a composite node and a display node for
        each slice view, a view node and a camera node for the 3D view.
    size
        Width and height of every view in pixels.

    Raises
    ------
    LiverSegLib.errors.OutputError
        If this computer cannot render off-screen.
    """

    def __init__(self, scene: slicer.vtkMRMLScene, size: tuple[int, int] = (480, 360)) -> None:
        check_rendering()
        self._scene = scene
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        application = _application_logic(scene)
        self._slices = {name: _SliceView(scene, application, name, size) for name in SLICE_VIEWS}
        self._three_d = _ThreeDView(scene, application, size)

    def close(self) -> None:
        """Take the views out of the scene; they cannot be used afterwards."""
        views = [*self._slices.values(), self._three_d]
        nodes = [node for view in views for node in view.nodes()]
        self._slices.clear()
        del self._three_d, views
        for node in nodes:
            self._scene.RemoveNode(node)

    def show(self, volume_node: slicer.vtkMRMLVolumeNode) -> None:
        """Put a volume in the background of all slice views and fit them to it."""
        for view in self._slices.values():
            view.logic.GetSliceCompositeNode().SetBackgroundVolumeID(volume_node.GetID())
            view.logic.FitSliceToBackground()

    def slice_node(self, name: str) -> slicer.vtkMRMLSliceNode:
        """The node of the slice view "Red", "Green" or "Yellow"."""
        return self._slices[name].node

    @property
    def view_node(self) -> slicer.vtkMRMLViewNode:
        """The node of the 3D view."""
        return self._three_d.node

    def slice(self, name: str) -> np.ndarray:
        """Picture of the slice view "Red", "Green" or "Yellow": RGB uint8 (row, column, 3), the top row first."""
        return self._slices[name].picture()

    def three_d(self, azimuth: float = 0.0, elevation: float = 0.0, zoom: float = 1.0) -> np.ndarray:
        """Picture of the 3D view, RGB uint8 (row, column, 3), with all that it shows in the picture.

        Parameters
        ----------
        azimuth, elevation
            Degrees by which the camera moves to the patient's left and upwards; without them it looks from the front.
        zoom
            Above 1 comes nearer.
        """
        self._three_d.look_at_content(azimuth, elevation, zoom)
        return self._three_d.picture()


class _Window:
    """A renderer in an off-screen window; the displayable managers ask for an interactor, too."""

    def __init__(self, factory: slicer.vtkMRMLDisplayableManagerFactory, size: tuple[int, int]) -> None:
        self.renderer = vtk.vtkRenderer()
        self._window = vtk.vtkRenderWindow()
        self._window.SetOffScreenRendering(True)
        self._window.SetMultiSamples(0)
        self._window.SetSize(*size)
        self._window.AddRenderer(self.renderer)
        self._interactor = vtk.vtkGenericRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        # As the factory's InstantiateDisplayableManagers does, from which Python gets one reference too many.
        self.managers = slicer.vtkMRMLDisplayableManagerGroup()
        self.managers.Initialize(factory, self.renderer)

    def picture(self) -> np.ndarray:
        """RGB uint8 (row, column, 3)."""
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.Update()
        width, height, _ = grab.GetOutput().GetDimensions()
        return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


class _SliceView:
    """One slice view, as qMRMLSliceWidget puts it together."""

    def __init__(self, scene, application, name: str, size: tuple[int, int]) -> None:
        self.logic = slicer.vtkMRMLSliceLogic()
        self.logic.SetMRMLApplicationLogic(application)
        self.logic.SetMRMLScene(scene)
        self.node = _view_node(scene, "vtkMRMLSliceNode", name)
        self.logic.SetSliceNode(self.node)
        self.node.SetOrientation(SLICE_VIEWS[name])
        self.node.SetLayoutLabel(name[0])
        self.node.SetLayoutColor(getattr(slicer.vtkMRMLAbstractViewNode, f"Get{name}Color")())
        self._window = _Window(_factory("Slice", SLICE_MANAGERS, application), size)
        self._window.managers.SetMRMLDisplayableNode(self.node)
        self.logic.ResizeSliceNode(*size)
        # The slice comes as colours already, 0..255.
        self._mapper = vtk.vtkImageMapper()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        image = vtk.vtkActor2D()
        image.SetMapper(self._mapper)
        image.GetProperty().SetDisplayLocationToBackground()
        self._window.renderer.AddViewProp(image)

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        """What the view brought into the scene; the slice's model goes with the logic."""
        return [self.node, self.logic.GetSliceCompositeNode()]

    def picture(self) -> np.ndarray:
        # The logic makes a new pipeline whenever a layer comes or goes.
        self._mapper.SetInputConnection(self.logic.GetImageDataConnection())
        return self._window.picture()


class _ThreeDView:
    """The 3D view, as qMRMLThreeDWidget puts it together."""

    def __init__(self, scene, application, size: tuple[int, int]) -> None:
        self.node = _view_node(scene, "vtkMRMLViewNode", "1")
        self._window = _Window(_factory("ThreeD", THREE_D_MANAGERS, application), size)
        self._window.managers.SetMRMLDisplayableNode(self.node)
        self._window.renderer.GradientBackgroundOn()

    def nodes(self) -> list[slicer.vtkMRMLNode]:
        """What the view brought into the scene."""
        return [self.node, slicer.vtkMRMLViewLogic.GetCameraNode(self.node.GetScene(), self.node.GetLayoutName())]

    def look_at_content(self, azimuth: float, elevation: float, zoom: float) -> None:
        """Frame all that is shown, from the front; the box and its letters do not count."""
        box, letters = self.node.GetBoxVisible(), self.node.GetAxisLabelsVisible()
        self.node.SetBoxVisible(False)
        self.node.SetAxisLabelsVisible(False)
        camera = self._window.renderer.GetActiveCamera()
        camera.SetFocalPoint(0, 0, 0)
        camera.SetPosition(0, 1, 0)
        camera.SetViewUp(0, 0, 1)
        camera.Azimuth(azimuth)
        camera.Elevation(elevation)
        self._window.renderer.ResetCamera()
        camera.Dolly(zoom)
        self.node.SetBoxVisible(box)
        self.node.SetAxisLabelsVisible(letters)
        self._window.renderer.ResetCameraClippingRange()

    def picture(self) -> np.ndarray:
        self._window.renderer.SetUseDepthPeeling(self.node.GetUseDepthPeeling())
        return self._window.picture()


def _view_node(scene: slicer.vtkMRMLScene, kind: str, name: str) -> slicer.vtkMRMLAbstractViewNode:
    """The scene's only view of that name; it outlives the closing of the scene."""
    node = scene.GetSingletonNode(name, kind)
    if node is None:
        node = scene.CreateNodeByClass(kind)
        node.UnRegister(None)
        node.SetName(name)
        node.SetLayoutName(name)
        scene.AddNode(node)
    return node


def _factory(kind: str, managers: tuple[str, ...], application) -> slicer.vtkMRMLDisplayableManagerFactory:
    """Slicer's factory for slice or 3D views, which knows the managers."""
    factory = getattr(slicer, f"vtkMRML{kind}ViewDisplayableManagerFactory").GetInstance()
    factory.SetMRMLApplicationLogic(application)
    for name in managers:
        if not factory.IsDisplayableManagerRegistered(name):
            factory.RegisterDisplayableManager(name)
    return factory


def _application_logic(scene: slicer.vtkMRMLScene) -> slicer.vtkMRMLApplicationLogic:
    """One for the process, as in Slicer: the factories keep it alive, the logics know no more than its address."""
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    application = factory.GetMRMLApplicationLogic() or slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    return application
