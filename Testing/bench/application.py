"""Slicer for a test: real scene, real Qt, stand-ins for the rest; and the handle through which a test works with it."""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

# Before Qt is loaded: there is no screen.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtGui, QtTest, QtWidgets

from Testing.demo.views import Views

from . import parameter_node, pythonqt, scripted_module, widgets
from .dialogs import Dialog, Dialogs
from .event_loop import EventLoop
from .packaging import Installer, packaging_module, pytorch_module
from .slicer_app import SlicerApp, qSlicerScriptedLoadableModuleWidget
from .slicer_source import use_slicers_files
from .ui import QUiLoader

ROOT = Path(__file__).parents[2]


class Application:
    """What a test has in hand: the module, its panel, the person in front of it, the scene, the event loop."""

    def __init__(
        self,
        app: SlicerApp,
        loop: EventLoop,
        dialogs: Dialogs,
        installer: Installer,
        errors: list[BaseException],
        loaded: set[str],
    ) -> None:
        self.slicer, self.app, self.scene = slicer, app, app.mrmlScene()
        self.installer, self.sample_data_sources = installer, []
        # What was raised in slots and observers: Slicer prints it and goes on, a test should not.
        self.errors = errors
        self.panel = self.views = None
        self._loop, self._dialogs, self._loaded, self._name = loop, dialogs, loaded, ""
        app._selector.moduleSelected.connect(self._on_module_selected)

    # -- the module

    def load_module(self, path: str | Path | None = None) -> ModuleType:
        """Run a scripted module's file unchanged, as Slicer does at start-up.

        By default the file that LIVERSEG_MODULE_FILE names, else the repository's LiverSeg/LiverSeg.py.
        """
        default = os.environ.get("LIVERSEG_MODULE_FILE", ROOT / "LiverSeg" / "LiverSeg.py")
        path = Path(path or default).resolve()
        self._name = path.stem
        self._forget_libraries_of_other_folders(path.parent)
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(self._name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[self._name] = module
        self._loaded.add(self._name)
        spec.loader.exec_module(module)
        parent = self.app.moduleManager().add(self._name, path=str(path), widgetRepresentation=lambda: self._parent)
        self._parent = None
        setattr(slicer.modules, self._name.lower(), parent)
        setattr(slicer.modules, f"{self._name}Instance", getattr(module, self._name)(parent))
        self.app.startupCompleted.emit()
        return module

    def _forget_libraries_of_other_folders(self, folder: Path) -> None:
        """So that a module that is installed elsewhere is tested with the library beside it."""
        library = sys.modules.get(f"{self._name}Lib")
        if library is not None and Path(library.__file__).resolve().parents[1] != folder:
            for name in [name for name in sys.modules if name.split(".")[0] == f"{self._name}Lib"]:
                del sys.modules[name]

    def open_panel(self):
        """Open the module: the first time its panel is made, then it is entered."""
        if self.panel is None:
            self._parent = qSlicerScriptedLoadableModuleWidget()
            self._parent.setLayout(QtWidgets.QVBoxLayout())
            self._parent.setMRMLScene(slicer.mrmlScene)
            # In Slicer the panel is a part of the main window, whose keys it shares.
            self._parent.setParent(slicer.util.mainWindow())
            self._parent.resize(480, 900)
            self.panel = getattr(sys.modules[self._name], f"{self._name}Widget")(self._parent)
            setattr(slicer.modules, f"{self._name}Widget", self.panel)
            self.panel.setup()
        if slicer.util.mainWindow() is not None:
            slicer.util.mainWindow().show()
        self._parent.show()
        self._parent.isEntered = True
        self.panel.enter()
        self.process_events()
        return self.panel

    def leave_panel(self) -> None:
        """Open another module."""
        self._parent.isEntered = False
        self.panel.exit()
        self._parent.hide()
        self.process_events()

    def unload_module(self) -> None:
        """What happens to the panel as Slicer ends or the module is reloaded."""
        self.app.moduleManager().moduleAboutToBeUnloaded.emit(self._name)
        if self.panel is not None:
            self._parent.hide()
            self._parent.deleteLater()
        self.panel = None
        self.process_events()

    def _on_module_selected(self, name: str) -> None:
        if self.panel is not None and name != self._name and self._parent.isEntered:
            self.leave_panel()

    # -- the person

    @property
    def dialogs(self) -> list[Dialog]:
        """The message boxes so far, as (kind, text); kind is "error", "warning", "info" or "question"."""
        return self._dialogs.shown

    def answer_with(self, *answers: bool) -> None:
        """Answer the questions to come: always so, or one after the other and then as the last."""
        self._dialogs.next_answers, self._dialogs.answer = list(answers[:-1]), answers[-1]

    def click(self, widget: QtWidgets.QWidget) -> None:
        """A click of the mouse on the middle of a widget that is visible and enabled."""
        self._need_usable(widget)
        QtTest.QTest.mouseClick(widget, QtCore.Qt.MouseButton.LeftButton, pos=self._where_it_can_be_hit(widget))
        self.process_events()

    def _where_it_can_be_hit(self, widget: QtWidgets.QWidget) -> QtCore.QPoint:
        middle = widget.rect.center()
        if isinstance(widget, widgets.ctkCollapsibleButton):
            return QtCore.QPoint(middle.x(), 5)
        # A check box answers only on its box and text, which lie at the left.
        return QtCore.QPoint(8, middle.y()) if isinstance(widget, QtWidgets.QCheckBox) else middle

    def _need_usable(self, widget: QtWidgets.QWidget) -> None:
        if not widget.visible or not widget.enabled:
            state = "hidden" if not widget.visible else "disabled"
            raise AssertionError(f"Nobody can click {widget.name or widget.className()}: it is {state}.")

    def choose(self, selector: QtWidgets.QWidget, choice: object) -> None:
        """Choose a node in a node selector (None for its first line), or a text in a combo box."""
        self._need_usable(selector)
        if isinstance(selector, widgets.qMRMLNodeComboBox):
            selector.setCurrentNode(choice)
            selector.nodeActivated.emit(choice)
        else:
            row = selector.findText(choice)
            if row < 0:
                raise AssertionError(f"{selector.name} does not offer {choice!r}.")
            selector.setCurrentIndex(row)
            selector.activated.emit(row)
        self.process_events()

    def press(self, key: str) -> None:
        """A key, by its name, such as "A" or "Esc": it goes to what has the focus, as in the main window."""
        window = slicer.util.mainWindow()
        window.activateWindow()
        combination = QtGui.QKeySequence(key)[0]
        QtTest.QTest.keyClick(QtWidgets.QApplication.focusWidget() or window, combination.key())
        self.process_events()

    def draw(self, view: str, *points: tuple[float, float, float], shift: bool = False) -> None:
        """A click in a slice view, or a line over several points, RAS mm in the world, with the left button."""
        self.begin_line(view, *points, shift=shift)
        self.end_line(view)

    def begin_line(self, view: str, *points: tuple[float, float, float], shift: bool = False) -> None:
        """The same, with the button held down at the end."""
        mouse = self.app.layoutManager().sliceWidget(view).sliceView().interactor()
        for number, point in enumerate(points):
            x, y = self._pixel(view, point)
            mouse.SetEventInformation(x, y, 0, int(shift))
            mouse.InvokeEvent("MouseMoveEvent")
            if number == 0:
                mouse.InvokeEvent("LeftButtonPressEvent")
        self.process_events()

    def end_line(self, view: str) -> None:
        """The left button is let go."""
        self.app.layoutManager().sliceWidget(view).sliceView().interactor().InvokeEvent("LeftButtonReleaseEvent")
        self.process_events()

    def _pixel(self, view: str, point: tuple[float, float, float]) -> tuple[int, int]:
        """Where a place of the patient is seen in a view; it need not lie on its slice."""
        matrix = vtk.vtkMatrix4x4()
        matrix.DeepCopy(self.app.layoutManager().sliceWidget(view).mrmlSliceNode().GetXYToRAS())
        matrix.Invert()
        x, y, _, _ = matrix.MultiplyPoint((*point, 1.0))
        return round(x), round(y)

    def grab(self, widget: QtWidgets.QWidget, path: str | Path) -> Path:
        """Write a PNG of a widget."""
        self.process_events()
        if not widget.grab().save(str(path)):
            raise OSError(f"Cannot write the picture {path}.")
        return Path(path)

    # -- the scene

    def close_scene(self) -> None:
        """File, Close Scene."""
        self.scene.Clear(0)
        self.process_events()

    def save_scene(self, path: str | Path) -> Path:
        """Save all as .mrb, or into a folder as scene.mrml with its data files beside it."""
        path = Path(path)
        if path.suffix == ".mrb":
            saved = self.scene.WriteToMRB(str(path))
        else:
            path.mkdir(parents=True, exist_ok=True)
            saved = self.scene.SaveSceneToSlicerDataBundleDirectory(str(path))
        if not saved:
            raise OSError(f"Cannot save the scene to {path}.")
        return path

    def load_scene(self, path: str | Path) -> None:
        """Close the scene and open one that was saved."""
        path = Path(path)
        self.scene.Clear(0)
        if path.suffix == ".mrb":
            loaded = self.scene.ReadFromMRB(str(path), False)
        else:
            files = [path] if path.suffix == ".mrml" else sorted(path.glob("*.mrml"))
            self.scene.SetURL(str(files[0]))
            loaded = self.scene.Import()
        if not loaded:
            raise OSError(f"Cannot load the scene {path}.")
        self.process_events()

    # -- the event loop

    def process_events(self) -> None:
        self._loop.process_events()

    def wait_until(self, condition: Callable[[], object], seconds: float = 60.0) -> None:
        """Turn the event loop until the condition holds; AssertionError when it does not in time."""
        if not self._loop.turn_until(condition, seconds):
            raise AssertionError(f"What the test waits for has not happened within {seconds:g} s.")


# ---- on and off ------------------------------------------------------------------------------------------------------


@contextmanager
def slicer_application(
    main_window: bool = True,
    testing: bool = False,
    hold_gil: bool = True,
    views: bool = False,
) -> Iterator[Application]:
    """Slicer as far as a scripted module needs it; afterwards slicer-core is as bare as before.

    Parameters
    ----------
    main_window
        False as with --no-main-window: no layout, error messages are only logged.
    testing
        True as with --testing: questions answer themselves with yes, errors are only logged.
    hold_gil
        Turn the event loop as Slicer does, see event_loop.py.
    views
        Slice and 3D views with Slicer's displayable managers (Testing/demo/views.py), as ``application.views``: with
        them the bench crashes where Slicer would, so that such a test belongs into a process of its own. OutputError
        where nothing can render off-screen.
    """
    with ExitStack() as stack:
        loaded = stack.enter_context(_everything_put_back())
        QtCore.QCoreApplication.setAttribute(QtCore.Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
        qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["Slicer"])
        stack.callback(pythonqt.install())
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="SlicerBench")))
        _settings_in(temporary)
        loop, dialogs, installer = EventLoop(hold_gil), Dialogs(), Installer()
        stack.callback(installer.restore)
        _install_qt(dialogs, loop)
        slicer.mrmlScene = slicer.vtkMRMLScene()
        app = SlicerApp(slicer.mrmlScene, loop, temporary, main_window, testing)
        errors: list[BaseException] = []
        sys.excepthook = lambda _kind, error, _traceback: errors.append(error)
        application = Application(app, loop, dialogs, installer, errors, loaded)
        _install_slicer(application)
        if views:
            application.views = Views(app.mrmlScene())
        try:
            yield application
        finally:
            application.unload_module()
            if application.views is not None:
                application.views.close()
            slicer.mrmlScene.Clear(1)
            app.close()
            loop.process_events()
            qt_application.processEvents()


@contextmanager
def _everything_put_back() -> Iterator[set[str]]:
    """Modules, the names in slicer and slicer.util, the search paths and the error hook, all as they were.

    Yields the names of the modules that go afterwards; more can be added.
    """
    spaces = [vars(slicer), vars(slicer.util)]
    before = [dict(space) for space in spaces]
    modules, paths, slicer_paths, hook = dict(sys.modules), list(sys.path), list(slicer.__path__), sys.excepthook
    gone = {"qt", "ctk", "PyTorchUtils", "SampleData"}
    try:
        yield gone
    finally:
        for space, old in zip(spaces, before, strict=True):
            for name in set(space) - set(old):
                del space[name]
            space.update(old)
        sys.path[:], slicer.__path__[:], sys.excepthook = paths, slicer_paths, hook
        # A library that was loaded from another folder goes; the usual one stays, with its classes what they were.
        if sys.modules.get("LiverSegLib") is not modules.get("LiverSegLib", sys.modules.get("LiverSegLib")):
            gone.add("LiverSegLib")
        for name in [name for name in sys.modules if name.split(".")[0] in gone or name.startswith("slicer.")]:
            del sys.modules[name]
        sys.modules.update({name: module for name, module in modules.items() if name not in sys.modules})


def _settings_in(folder: Path) -> None:
    """QSettings() of this test, in a file of its own."""
    QtCore.QCoreApplication.setOrganizationName("SlicerBench")
    QtCore.QCoreApplication.setApplicationName("Slicer")
    QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
    scope = QtCore.QSettings.Scope.UserScope
    QtCore.QSettings.setPath(QtCore.QSettings.Format.IniFormat, scope, str(folder))


def _install_qt(dialogs: Dialogs, loop: EventLoop) -> None:
    message_box = dialogs.message_box()
    sys.modules["qt"] = pythonqt.QtModule("qt", QMessageBox=message_box, QUiLoader=QUiLoader)
    kinds = {kind.__name__: kind for kind in widgets.CTK_WIDGETS}
    sys.modules["ctk"] = ctk = ModuleType("ctk")
    vars(ctk).update(kinds, ctkMessageBox=message_box)


def _install_slicer(application: Application) -> None:
    app = application.app
    slicer.app = app
    manager = app.moduleManager()
    slicer.modules = SimpleNamespace(**{name.lower(): manager.module(name) for name in manager.modulesNames()})
    for kind in (*widgets.MRML_WIDGETS, qSlicerScriptedLoadableModuleWidget):
        setattr(slicer, kind.__name__, kind)
    i18n = ModuleType("slicer.i18n")
    i18n.tr, i18n.translate = lambda text: text, lambda context, text: text
    stand_ins = {
        "slicer.ScriptedLoadableModule": scripted_module,
        "slicer.parameterNodeWrapper": parameter_node,
        "slicer.i18n": i18n,
    }
    source = os.environ.get("LIVERSEG_SLICER_SOURCE")
    if source:
        use_slicers_files(source)
        stand_ins = {}
    stand_ins["slicer.packaging"] = packaging_module(application.installer)
    for name, module in stand_ins.items():
        sys.modules[name] = module
        setattr(slicer, name.split(".")[1], module)
    sys.modules["PyTorchUtils"] = pytorch_module(application.installer)
    sys.modules["SampleData"] = _sample_data(application.sample_data_sources)


def _sample_data(sources: list[dict]) -> ModuleType:
    """The Sample Data module, as far as others register their samples with it."""

    class SampleDataLogic:
        @staticmethod
        def registerCustomSampleDataSource(category: str = "Custom", sampleName: str | None = None, **source) -> None:
            sources.append({"category": category, "sampleName": sampleName, **source})

    module = ModuleType("SampleData")
    module.SampleDataLogic = SampleDataLogic
    return module
