"""The bench itself: each stand-in behaves as Slicer's, and nothing of it is left afterwards."""

from __future__ import annotations

import importlib
import sys
import threading
import time

import pytest
import slicer
import slicer.util

from Testing.bench import slicer_application


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


def test_afterwards_slicer_core_is_as_bare_as_before():
    before = set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook
    with slicer_application() as application:
        application.load_module()
        application.open_panel()
    assert (set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook) == before
    assert not {"qt", "ctk", "slicer.parameterNodeWrapper", "PyTorchUtils"} & set(sys.modules)


def test_afterwards_qt_has_its_own_manners_again():
    from PySide6 import QtWidgets

    with slicer_application():
        assert QtWidgets.QLabel("CT").text == "CT"
    assert QtWidgets.QLabel("CT").text() == "CT"


def test_a_slot_that_raises_is_written_down(application):
    import qt

    button = qt.QPushButton("Go")
    button.clicked.connect(lambda: 1 / 0)
    button.show()
    application.click(button)
    assert [type(error) for error in application.errors] == [ZeroDivisionError]
    application.errors.clear()


def test_what_is_disabled_or_hidden_cannot_be_clicked(application):
    import qt

    button = qt.QPushButton("Go")
    with pytest.raises(AssertionError, match="it is hidden"):
        application.click(button)
    button.show()
    button.enabled = False
    with pytest.raises(AssertionError, match="it is disabled"):
        application.click(button)


def test_waiting_for_what_never_comes_fails(application):
    with pytest.raises(AssertionError, match=r"within 0\.1 s"):
        application.wait_until(lambda: False, seconds=0.1)


# ---- PythonQt's manners ----------------------------------------------------------------------------------------------


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


def test_a_signal_that_is_not_there_is_complained_of_and_not_raised(application):
    import qt

    assert not qt.QPushButton("Go").connect("pushed()", print)
    assert "pushed()" in str(application.errors.pop())


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


# ---- message boxes ---------------------------------------------------------------------------------------------------


def test_message_boxes_are_written_down_and_answered(application):
    slicer.util.errorDisplay("It broke.")
    slicer.util.infoDisplay("It works.")
    application.answer_with(False)
    assert not slicer.util.confirmYesNoDisplay("Go on?")
    application.answer_with(True)
    assert slicer.util.confirmOkCancelDisplay("Go on?")
    assert application.dialogs == [("error", "It broke."), ("info", "It works."), *[("question", "Go on?")] * 2]


def test_without_a_main_window_errors_are_only_logged():
    with slicer_application(main_window=False) as application:
        slicer.util.errorDisplay("It broke.")
        assert application.dialogs == []
        assert slicer.app.layoutManager() is None


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


def test_the_selector_tells_of_another_current_node(application, selector):
    got = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", got.append)
    selector.connect("currentNodeChanged(bool)", got.append)
    node = _volume(application)
    selector.setCurrentNode(node)
    selector.setCurrentNode(None)
    assert got == [node, True, None, False]


# ---- a module --------------------------------------------------------------------------------------------------------


# ---- installing packages ---------------------------------------------------------------------------------------------


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
