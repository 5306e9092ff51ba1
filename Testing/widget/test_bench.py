"""The bench itself: each stand-in behaves as Slicer's, and nothing of it is left afterwards."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import slicer
import slicer.util

from Testing.bench import slicer_application

MODULE = """
import enum
from typing import Annotated, Union

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import Choice, WithinRange, parameterNodeWrapper
from slicer.ScriptedLoadableModule import *


class Tiny(ScriptedLoadableModule):
    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Tiny")
        slicer.app.connect("startupCompleted()", self.onStarted)

    def onStarted(self):
        self.started = True


class Side(enum.Enum):
    LEFT = 1
    RIGHT = 2


@parameterNodeWrapper
class TinyParameters:
    volume: slicer.vtkMRMLScalarVolumeNode
    other: Union[slicer.vtkMRMLSegmentationNode, slicer.vtkMRMLScalarVolumeNode, None]
    text: str = "start"
    share: Annotated[float, WithinRange(0, 1)] = 0.5
    count: int = 3
    on: bool = True
    side: Side = Side.RIGHT
    device: Annotated[str, Choice(["auto", "cpu"])] = "auto"


class TinyLogic(ScriptedLoadableModuleLogic):
    def getParameterNode(self):
        return TinyParameters(super().getParameterNode())


class TinyWidget(ScriptedLoadableModuleWidget, slicer.util.VTKObservationMixin):
    def __init__(self, parent=None):
        ScriptedLoadableModuleWidget.__init__(self, parent)
        slicer.util.VTKObservationMixin.__init__(self)

    def setup(self):
        super().setup()
        self.clicks, self.modified, self.entered = [], 0, 0
        widget = slicer.util.loadUI(self.resourcePath("UI/Tiny.ui"))
        self.layout.addWidget(widget)
        self.ui = slicer.util.childWidgetVariables(widget)
        widget.setMRMLScene(slicer.mrmlScene)
        self.ui.button.connect("clicked(bool)", self.onClick)
        self.parameters = None
        self.showParameters()
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.showParameters)

    def showParameters(self, caller=None, event=None):
        self.cleanup()
        self.parameters = TinyLogic().getParameterNode()
        self.tag = self.parameters.connectGui(self.ui)
        self.addObserver(self.parameters, vtk.vtkCommand.ModifiedEvent, self.onModified)

    def enter(self):
        self.entered += 1

    def exit(self):
        self.entered -= 1

    def cleanup(self):
        if self.parameters is not None:
            self.parameters.disconnectGui(self.tag)
        self.removeObservers(self.onModified)

    def onClick(self):
        self.clicks.append(self.ui.button.text)

    def onModified(self, caller, event):
        self.modified += 1
"""


def _widget(kind: str, name: str, **properties: str) -> str:
    texts = "".join(f'<property name="{key}">{value}</property>' for key, value in properties.items() if key != "bound")
    if "bound" in properties:
        value = f'<string notr="true">{properties["bound"]}</string>'
        texts += f'<property name="SlicerParameterName" stdset="0">{value}</property>'
    return f'<item><widget class="{kind}" name="{name}">{texts}</widget></item>'


UI = f"""<ui version="4.0"><class>Tiny</class>
<widget class="qMRMLWidget" name="Tiny"><layout class="QVBoxLayout" name="column">
{
    _widget(
        "qMRMLNodeComboBox",
        "selector",
        nodeTypes="<stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist>",
        noneEnabled="<bool>true</bool>",
        bound="volume",
    )
}
{
    _widget(
        "qMRMLNodeComboBox",
        "otherSelector",
        noneEnabled="<bool>true</bool>",
        bound="other",
    )
}
{_widget("QPushButton", "button", text="<string>Go</string>")}
{_widget("QCheckBox", "check", text="<string>On</string>", bound="on")}
{_widget("QComboBox", "combo", bound="device")}
{_widget("ctkSliderWidget", "slider", singleStep="<double>0.05</double>", bound="share")}
<item><widget class="ctkCollapsibleButton" name="section"><property name="text"><string>More</string></property>
<property name="collapsed"><bool>true</bool></property><layout class="QVBoxLayout" name="inner">
{_widget("QLabel", "inside", text="<string>inside</string>")}</layout></widget></item>
</layout></widget>
<connections><connection><sender>Tiny</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>selector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection>
<connection><sender>Tiny</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>
<receiver>otherSelector</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections></ui>"""


@pytest.fixture
def tiny_file(tmp_path):
    """A scripted module of a page, with its .ui file."""
    (tmp_path / "Resources" / "UI").mkdir(parents=True)
    (tmp_path / "Resources" / "UI" / "Tiny.ui").write_text(UI)
    (tmp_path / "Tiny.py").write_text(MODULE)
    return tmp_path / "Tiny.py"


@pytest.fixture
def tiny(application, tiny_file):
    application.load_module(tiny_file)
    return application.open_panel()


@pytest.fixture
def selector(application):
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.noneEnabled = True
    selector.setMRMLScene(application.scene)
    return selector


def _volume(application, name="CT"):
    return application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def _names(selector):
    return [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]


# ---- on and off ------------------------------------------------------------------------------------------------------


def test_afterwards_slicer_core_is_as_bare_as_before(tiny_file):
    before = set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook
    with slicer_application() as application:
        application.load_module(tiny_file)
        application.open_panel()
    assert (set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook) == before
    assert not {"qt", "ctk", "Tiny", "slicer.parameterNodeWrapper", "PyTorchUtils"} & set(sys.modules)
    assert not hasattr(slicer, "app")


def test_afterwards_qt_has_its_own_manners_again():
    from PySide6 import QtWidgets

    with slicer_application():
        assert QtWidgets.QLabel("CT").text == "CT"
    assert QtWidgets.QLabel("CT").text() == "CT"


def test_two_applications_one_after_the_other_share_nothing(tiny_file):
    for _ in range(2):
        with slicer_application() as application:
            assert application.scene.GetNumberOfNodesByClass("vtkMRMLScriptedModuleNode") == 0
            assert not slicer.app.settings().contains("Tiny/seen")
            slicer.app.settings().setValue("Tiny/seen", "yes")
            application.load_module(tiny_file)
            assert application.open_panel().entered == 1


def test_a_slot_that_raises_is_written_down(application):
    import qt

    button = qt.QPushButton("Go")
    button.clicked.connect(lambda: 1 / 0)
    button.show()
    application.click(button)
    assert [type(error) for error in application.errors] == [ZeroDivisionError]
    application.errors.clear()


def test_waiting_for_what_never_comes_fails(application):
    with pytest.raises(AssertionError, match=r"within 0\.1 s"):
        application.wait_until(lambda: False, seconds=0.1)


# ---- PythonQt's manners ----------------------------------------------------------------------------------------------


def test_properties_are_attributes(application):
    import qt

    button = qt.QPushButton("Go")
    button.text, button.enabled, button.toolTip = "Stop", False, "stops"
    assert (button.text, button.enabled, button.toolTip) == ("Stop", False, "stops")


def test_a_misspelt_property_is_an_error(application):
    import qt

    with pytest.raises(AttributeError, match="txet"):
        qt.QLabel("CT").txet = "MR"


@pytest.mark.parametrize("name, value", [("text", None), ("clicked", 1), ("setText", 1), ("width", 3)])
def test_what_pythonqt_refuses_is_refused(application, name, value):
    import qt

    with pytest.raises(AttributeError):
        setattr(qt.QPushButton("Go"), name, value)


def test_a_deleted_widget_says_so(application):
    import qt

    label = qt.QLabel("CT")
    label.delete()
    with pytest.raises(ValueError, match="destroyed"):
        _ = label.text


def test_a_slot_gets_as_many_values_as_it_names(application):
    import qt

    got = []
    box = qt.QCheckBox("On")
    box.connect("clicked(bool)", lambda: got.append("none"))
    box.connect("clicked(bool)", lambda checked: got.append(checked))
    box.connect("clicked(bool)", lambda *values: got.append(values))
    box.click()
    assert got == ["none", True, (True,)]


def test_a_slot_can_be_disconnected_by_signature(application):
    import qt

    got = []
    button = qt.QPushButton("Go")
    button.connect("clicked()", got.append)
    assert button.disconnect("clicked()", got.append)
    button.click()
    assert got == []


def test_a_signal_that_is_not_there_is_complained_of_and_not_raised(application):
    import qt

    assert not qt.QPushButton("Go").connect("pushed()", print)
    assert "pushed()" in str(application.errors.pop())


def test_a_timer_fires_while_a_test_waits(application):
    import qt

    fired = []
    timer = qt.QTimer()
    timer.interval, timer.singleShot = 1, True
    timer.timeout.connect(lambda: fired.append(True))
    timer.start()
    application.wait_until(lambda: fired)
    assert not timer.active


# ---- the event loop --------------------------------------------------------------------------------------------------


def test_a_worker_stands_still_while_the_event_loop_idles_as_in_slicer():
    turns = {}
    for hold_gil in (True, False):
        with slicer_application(hold_gil=hold_gil) as application:
            if hold_gil and not application._loop.holds_gil:
                pytest.skip("Qt's library is not where it is on Linux")
            count, stop = [0], threading.Event()
            worker = threading.Thread(target=_count, args=(count, stop), daemon=True)
            worker.start()
            end = time.monotonic() + 0.5
            application.wait_until(lambda end=end: time.monotonic() > end)
            stop.set()
            worker.join()
            turns[hold_gil] = count[0]
    assert turns[True] < turns[False] / 3


def _count(count: list[int], stop: threading.Event) -> None:
    while not stop.is_set():
        time.sleep(0.001)
        count[0] += 1


def test_a_block_of_the_event_loop_is_measured(application):
    import qt

    application.watch_event_loop()
    done = []
    qt.QTimer.singleShot(20, lambda: (time.sleep(0.2), done.append(True)))
    application.wait_until(lambda: done)
    application.process_events()
    assert application.longest_block() >= 0.2


# ---- message boxes ---------------------------------------------------------------------------------------------------


def test_message_boxes_are_written_down_and_answered(application):
    slicer.util.errorDisplay("It broke.")
    slicer.util.infoDisplay("It works.")
    application.answer_with(False)
    assert not slicer.util.confirmYesNoDisplay("Go on?")
    application.answer_with(True)
    assert slicer.util.confirmOkCancelDisplay("Go on?")
    assert application.dialogs == [("error", "It broke."), ("info", "It works."), *[("question", "Go on?")] * 2]


def test_answers_are_given_in_turn(application):
    application.answer_with(True, False)
    assert [slicer.util.confirmYesNoDisplay("Go on?") for _ in range(3)] == [True, False, False]


def test_an_error_in_a_with_block_is_shown_and_raised(application):
    with pytest.raises(ZeroDivisionError), slicer.util.tryWithErrorDisplay("It broke."):
        _ = 1 / 0
    assert application.dialogs[0].text.startswith("It broke.")


def test_without_a_main_window_errors_are_only_logged():
    with slicer_application(main_window=False) as application:
        slicer.util.errorDisplay("It broke.")
        assert application.dialogs == []
        assert slicer.app.layoutManager() is None


def test_in_testing_mode_nothing_is_asked():
    with slicer_application(testing=True) as application:
        slicer.util.confirmOkCancelDisplay("Go on?")
        slicer.util.errorDisplay("It broke.")
        assert application.dialogs == []


# ---- the node selector -----------------------------------------------------------------------------------------------


def test_the_selector_follows_the_scene(application, selector):
    first, second = _volume(application, "A"), _volume(application, "B")
    assert _names(selector) == ["A", "B"]
    first.SetName("renamed")
    assert _names(selector) == ["renamed", "B"]
    second.SetHideFromEditors(True)
    assert _names(selector) == ["renamed"]
    application.scene.RemoveNode(first)
    assert _names(selector) == []


def test_the_selector_shows_its_types_only(application, selector):
    application.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    assert _names(selector) == ["labels"]
    selector.showChildNodeTypes = False
    assert _names(selector) == []


def test_the_selector_tells_of_another_current_node(application, selector):
    got = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    selector.connect("currentNodeChanged(bool)", got.append)
    node = _volume(application)
    selector.setCurrentNode(node)
    selector.setCurrentNode(None)
    assert got == [node, True, None, False]


def test_a_new_node_from_the_selector_is_current(application, selector):
    selector.baseName = "Fresh"
    assert selector.addNode() is selector.currentNode()
    assert selector.currentNode().GetName() == "Fresh"


def test_a_selector_without_none_moves_on_when_its_node_is_removed(application, selector):
    selector.noneEnabled = False
    first, second = _volume(application, "A"), _volume(application, "B")
    selector.setCurrentNode(second)
    application.scene.RemoveNode(second)
    assert selector.currentNode() is first


def test_a_selector_without_a_scene_is_disabled(application):
    assert not slicer.qMRMLNodeComboBox().enabled


# ---- a module --------------------------------------------------------------------------------------------------------


def test_the_module_starts_as_in_slicer(application, tiny):
    assert slicer.modules.TinyInstance.started
    assert slicer.util.modulePath("Tiny").endswith("Tiny.py")


def test_the_scene_reaches_the_selector_through_the_ui_file(application, tiny):
    assert tiny.ui.selector.mrmlScene() is application.scene


def test_the_panel_is_entered_and_left(application, tiny):
    assert tiny.entered == 1 and tiny.parent.isEntered
    slicer.util.selectModule("Data")
    assert tiny.entered == 0 and not tiny.parent.isEntered


def test_a_click_reaches_the_slot(application, tiny):
    application.click(tiny.ui.button)
    assert tiny.clicks == ["Go"]


def test_what_is_disabled_or_hidden_cannot_be_clicked(application, tiny):
    tiny.ui.button.enabled = False
    with pytest.raises(AssertionError, match="button: it is disabled"):
        application.click(tiny.ui.button)
    with pytest.raises(AssertionError, match="inside: it is hidden"):
        application.click(tiny.ui.inside)


def test_a_section_opens_at_a_click(application, tiny):
    got = []
    tiny.ui.section.connect("contentsCollapsed(bool)", got.append)
    application.click(tiny.ui.section)
    assert got == [False]
    assert tiny.ui.inside.visible


def test_widgets_and_parameters_follow_each_other(application, tiny):
    application.click(tiny.ui.check)
    assert not tiny.parameters.on
    application.choose(tiny.ui.combo, "cpu")
    assert tiny.parameters.device == "cpu"
    tiny.parameters.share = 0.25
    assert tiny.ui.slider.value == 0.25
    tiny.ui.slider.value = 0.75
    assert tiny.parameters.share == 0.75
    volume = _volume(application)
    application.choose(tiny.ui.selector, volume)
    assert tiny.parameters.volume is volume


def test_a_selector_of_two_kinds_of_node_is_bound_to_a_union(application, tiny):
    segmentation = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    assert tuple(tiny.ui.otherSelector.nodeTypes) == ("vtkMRMLSegmentationNode", "vtkMRMLScalarVolumeNode")
    application.choose(tiny.ui.otherSelector, segmentation)
    assert tiny.parameters.other is segmentation
    application.choose(tiny.ui.otherSelector, None)
    assert tiny.parameters.other is None


def test_a_selector_bound_to_an_abstract_class_fails_as_in_slicer(application, tiny_file):
    text = tiny_file.read_text()
    tiny_file.write_text(text.replace("volume: slicer.vtkMRMLScalarVolumeNode", "volume: slicer.vtkMRMLNode"))
    application.load_module(tiny_file)
    with pytest.raises(TypeError, match="abstract"):
        application.open_panel()


def test_widgets_stay_alone_after_disconnecting(application, tiny):
    tiny.parameters.disconnectGui(tiny.tag)
    tiny.ui.check.checked = False
    assert tiny.parameters.on


@pytest.mark.parametrize("name, value", [("share", 1.5), ("count", "many"), ("device", "tpu"), ("volume", "CT")])
def test_a_parameter_refuses_what_it_must_not_be(application, tiny, name, value):
    with pytest.raises((ValueError, TypeError)):
        setattr(tiny.parameters, name, value)


def test_observers_hear_of_a_changed_parameter_once(application, tiny):
    tiny.modified = 0
    tiny.parameters.text = "changed"
    assert tiny.modified == 1


@pytest.fixture
def saved_parameters(application, tiny, tmp_path):
    """Saves a scene with a volume and with all parameters changed, and closes it."""

    def save(target):
        volume = slicer.util.addVolumeFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4), name="CT")
        tiny.parameters.volume = tiny.parameters.other = volume
        tiny.parameters.text, tiny.parameters.share, tiny.parameters.on = "kept", 0.25, False
        tiny.parameters.side = type(tiny.parameters.side).LEFT
        saved = application.save_scene(tmp_path / target)
        application.close_scene()
        return saved

    return save


@pytest.mark.parametrize("target", ["scene.mrb", "folder"])
def test_parameters_survive_saving_and_loading_the_scene(application, tiny, saved_parameters, target):
    saved = saved_parameters(target)
    assert tiny.ui.selector.currentNode() is None
    application.load_scene(saved)
    parameters = tiny.parameters
    assert (parameters.text, parameters.share, parameters.on, parameters.count) == ("kept", 0.25, False, 3)
    assert parameters.side.name == "LEFT"
    assert parameters.volume is parameters.other
    assert (slicer.util.arrayFromVolume(parameters.volume).ravel() == np.arange(24)).all()
    assert tiny.ui.selector.currentNode() is parameters.volume


def test_a_wrapper_made_before_a_scene_was_loaded_does_not_know_its_nodes(application, tiny, saved_parameters):
    """So it is with Slicer's own wrapper: a panel has to make a new one."""
    saved = saved_parameters("scene.mrb")
    old = tiny.parameters
    application.load_scene(saved)
    assert old.volume is None
    assert tiny.parameters.volume is not None


def test_the_panel_is_cleaned_up_as_the_module_is_unloaded(application, tiny):
    application.unload_module()
    assert not tiny.hasObserver(tiny.parameters, "ModifiedEvent", tiny.onModified)


def test_a_picture_of_the_panel_is_written(application, tiny, tmp_path):
    assert application.grab(tiny.parent, tmp_path / "panel.png").read_bytes().startswith(b"\x89PNG")


# ---- installing packages ---------------------------------------------------------------------------------------------


def test_a_hidden_package_comes_back_unharmed(application):
    import nibabel

    application.installer.hide("nibabel")
    with pytest.raises(ModuleNotFoundError):
        import nibabel as hidden  # noqa: F401
    slicer.util.pip_install("nibabel>=5")
    assert __import__("nibabel") is nibabel
    assert application.installer.calls == [("pip_install", ["nibabel>=5"])]


def test_slicer_5_10_has_no_packaging():
    with slicer_application(packaging=None) as application:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module("slicer.packaging")
        slicer.util.pip_install(["nibabel"])
        assert application.installer.calls == [("slicer.util.pip_install", ["nibabel"])]


def test_declining_an_installation_raises_as_in_slicer(application):
    application.installer.hide("nibabel")
    application.answer_with(False)
    with pytest.raises(RuntimeError):
        importlib.import_module("slicer.packaging").pip_ensure(["nibabel"])
    assert application.installer.calls == []


# ---- other surroundings ----------------------------------------------------------------------------------------------


def test_a_module_that_lies_elsewhere_is_tested_with_its_own_library(application, tmp_path, monkeypatch):
    for folder in (tmp_path / "one", tmp_path / "two"):
        (folder / "OwnLib").mkdir(parents=True)
        (folder / "OwnLib" / "__init__.py").write_text(f"WHERE = {folder.name!r}")
        (folder / "Own.py").write_text("from OwnLib import WHERE\nclass Own:\n    def __init__(self, parent): ...")
        monkeypatch.setenv("LIVERSEG_MODULE_FILE", str(folder / "Own.py"))
        where = application.load_module().WHERE
        assert where == folder.name


def test_the_bench_needs_no_display_and_no_settings(tiny_file):
    code = dedent(f"""
        from Testing.bench import slicer_application
        with slicer_application() as application:
            application.load_module({str(tiny_file)!r})
            print(application.open_panel().ui.button.text)
    """)
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}, cwd=root)
    assert done.stdout.strip() == "Go"
