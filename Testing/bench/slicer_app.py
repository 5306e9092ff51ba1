"""Stand-ins for slicer.app and what hangs on it: main window, layout, modules.

All logics and nodes are real, from slicer-core. What is asked for and is not here raises AttributeError.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .event_loop import EventLoop
from .pythonqt import Signal
from .widgets import qMRMLWidget

SLICE_VIEWS = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}
LOGICS = {
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Sequences": "vtkSlicerSequencesLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
}


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What holds a module's panel in Slicer: the ``parent`` that its widget class is made with."""

    isEntered = False


class ModuleManager(QtCore.QObject):
    moduleAboutToBeUnloaded = Signal("moduleAboutToBeUnloaded(QString)")
    moduleLoaded = Signal("moduleLoaded(QString)")

    def __init__(self) -> None:
        super().__init__()
        self._modules: dict[str, SimpleNamespace] = {}

    def add(self, name: str, **parts: object) -> SimpleNamespace:
        self._modules[name] = SimpleNamespace(name=name, **parts)
        return self._modules[name]

    def module(self, name: str) -> SimpleNamespace | None:
        return self._modules.get(name)

    def modulesNames(self) -> list[str]:
        return list(self._modules)


class SliceView:
    """qMRMLSliceView, as far as the mouse goes: its interactor tells what the mouse does, as in Slicer."""

    def __init__(self, logic) -> None:
        self._logic = logic
        self._interactor = vtk.vtkGenericRenderWindowInteractor()

    def interactor(self):
        return self._interactor

    def convertDeviceToXYZ(self, xy) -> tuple[float, float, float]:
        """From the window's lower left corner, of a view that shows one slice; no light box here."""
        x, y = xy
        return float(x), float(y), 0.0

    def convertXYZToRAS(self, xyz) -> tuple[float, float, float]:
        return tuple(self._logic.GetSliceNode().GetXYToRAS().MultiplyPoint((*xyz, 1.0))[:3])


class LayoutManager(QtCore.QObject):
    """The slice views of the four-up layout as nodes and logics; nothing is drawn (Testing/demo/views.py draws)."""

    layoutChanged = Signal("layoutChanged(int)")

    def __init__(self, scene, application_logic) -> None:
        super().__init__()
        self.reset_3d_views = 0
        self._logics = {name: slicer.vtkMRMLSliceLogic() for name in SLICE_VIEWS}
        for name, logic in self._logics.items():
            logic.SetMRMLApplicationLogic(application_logic)
            logic.SetMRMLScene(scene)
            logic.AddSliceNode(name).SetOrientation(SLICE_VIEWS[name])
        self._views = {name: SliceView(logic) for name, logic in self._logics.items()}
        scene.AddNewNodeByClass("vtkMRMLViewNode", "View1").SetSingletonTag("1")

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(SLICE_VIEWS)

    def sliceWidget(self, name: str) -> SimpleNamespace:
        logic = self._logics[name]
        return SimpleNamespace(
            sliceLogic=lambda: logic,
            sliceView=lambda: self._views[name],
            mrmlSliceNode=logic.GetSliceNode,
            sliceController=lambda: SimpleNamespace(fitSliceToBackground=logic.FitSliceToBackground),
            fitSliceToBackground=logic.FitSliceToBackground,
        )

    def mrmlSliceLogics(self) -> vtk.vtkCollection:
        collection = vtk.vtkCollection()
        for logic in self._logics.values():
            collection.AddItem(logic)
        return collection

    def resetThreeDViews(self) -> None:
        self.reset_3d_views += 1


class SegmentEditor:
    """What the Segment Editor module's own editor has been given."""

    segmentationNode = sourceVolumeNode = None

    def setSegmentationNode(self, node) -> None:
        self.segmentationNode = node

    def setSourceVolumeNode(self, node) -> None:
        self.sourceVolumeNode = node


class ModuleSelector(QtCore.QObject):
    """Switching to another module leaves the panel, as in Slicer."""

    moduleSelected = Signal("moduleSelected(QString)")
    selectedModule = ""

    def selectModule(self, name: str) -> None:
        self._selected = name
        self.moduleSelected.emit(name)


def main_window(selector: ModuleSelector) -> QtWidgets.QMainWindow:
    """A window that slicer.util finds by its name."""

    class qSlicerMainWindow(QtWidgets.QMainWindow):
        def moduleSelector(self) -> ModuleSelector:
            return selector

    window = qSlicerMainWindow()
    window.setObjectName("qSlicerMainWindow")
    window.statusBar()
    return window


def _remote_files(scene, application_logic, folder: Path) -> slicer.vtkMRMLRemoteIOLogic:
    """What MRML unpacks .mrb files with; it wants a folder, and fetches nothing here."""
    logic = slicer.vtkMRMLRemoteIOLogic()
    logic.GetCacheManager().SetRemoteCacheDirectory(str(folder))
    logic.SetMRMLApplicationLogic(application_logic)
    logic.SetMRMLScene(scene)
    logic.AddDataIOToScene()
    return logic


class SlicerApp(QtCore.QObject):
    """``slicer.app``."""

    startupCompleted = Signal("startupCompleted()")
    aboutToQuit = Signal("aboutToQuit()")
    applicationName, applicationVersion = "Slicer", "5.12.0"
    majorVersion, minorVersion, revision, os = 5, 12, "0", "linux"
    documentationBaseUrl, slicerHome = "https://slicer.readthedocs.io/en/latest/", ""

    def __init__(self, scene, loop: EventLoop, temporary: Path, has_window: bool, testing: bool) -> None:
        super().__init__()
        self._scene, self._loop, self._testing = scene, loop, testing
        self.temporaryPath = str(temporary)
        self._logic = slicer.vtkSlicerApplicationLogic()
        self._logic.SetMRMLScene(scene)
        self._logic.SetTemporaryPath(str(temporary))
        self._remote_files = _remote_files(scene, self._logic, temporary)
        self._manager = ModuleManager()
        self._selector = ModuleSelector()
        self._add_logics()
        self._add_segment_editor()
        self._layout = LayoutManager(scene, self._logic) if has_window else None
        self._window = main_window(self._selector) if has_window else None
        self._follow_subject_hierarchy()

    def _add_logics(self) -> None:
        colours = self._logic.GetColorLogic()
        colours.SetMRMLScene(self._scene)
        colours.AddDefaultColorNodes()
        self._logic.SetModuleLogic("Colors", colours)
        self._manager.add("Colors", logic=lambda: colours)
        for name, kind in LOGICS.items():
            logic = getattr(slicer, kind)()
            if name != "Terminologies":  # its files are not in the wheel
                logic.SetMRMLApplicationLogic(self._logic)
                logic.SetMRMLScene(self._scene)
            self._logic.SetModuleLogic(name, logic)
            self._manager.add(name, logic=lambda logic=logic: logic)

    def _add_segment_editor(self) -> None:
        widget = SimpleNamespace(editor=SegmentEditor())
        self._manager.add("SegmentEditor", widgetRepresentation=lambda: SimpleNamespace(self=lambda: widget))

    def _follow_subject_hierarchy(self) -> None:
        """Give every node that users see an item, which Slicer's plug-ins do."""

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_added(scene, _event, node) -> None:
            seen = isinstance(node, slicer.vtkMRMLDisplayableNode | slicer.vtkMRMLTableNode)
            if seen and not node.GetHideFromEditors() and not scene.IsImporting():
                present = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
                if present.GetItemByDataNode(node) == present.GetInvalidItemID():
                    present.CreateItem(present.GetSceneItemID(), node)

        @vtk.calldata_type(vtk.VTK_OBJECT)
        def on_about_to_be_removed(scene, _event, node) -> None:
            if scene.IsClosing() or scene.IsImporting() or node.IsA("vtkMRMLSubjectHierarchyNode"):
                return
            present = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
            if not (item := present.GetItemByDataNode(node)):
                return
            # What Slicer's plug-ins do with an item that goes marks its segmentation as modified.
            if node.IsA("vtkMRMLSegmentationNode"):
                node.Modified()
            present.RemoveItem(item, False, False)

        self._scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, on_added)
        self._scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, on_about_to_be_removed)

    # -- parts

    def mrmlScene(self):
        return self._scene

    def moduleManager(self) -> ModuleManager:
        return self._manager

    def applicationLogic(self):
        return self._logic

    def layoutManager(self) -> LayoutManager | None:
        return self._layout

    def mainWindow(self):
        return self._window

    def topLevelWidgets(self) -> list[QtWidgets.QWidget]:
        return [self._window] if self._window is not None else []

    # -- manners

    def testingEnabled(self) -> bool:
        return self._testing

    def processEvents(self) -> None:
        self._loop.process_events()

    def settings(self) -> QtCore.QSettings:
        return QtCore.QSettings()

    def setOverrideCursor(self, cursor) -> None:
        QtWidgets.QApplication.setOverrideCursor(QtGui.QCursor(cursor))

    def restoreOverrideCursor(self) -> None:
        QtWidgets.QApplication.restoreOverrideCursor()

    def close(self) -> None:
        if self._window is not None:
            self._window.delete()
