"""The bench itself: each stand-in behaves as Slicer's, and nothing of it is left afterwards."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable

import pytest
import slicer
import slicer.util

from Testing.bench import slicer_application

# ---- on and off ------------------------------------------------------------------------------------------------------


def test_afterwards_slicer_core_is_as_bare_as_before():
    before = set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook
    with slicer_application() as application:
        application.load_module()
        application.open_panel()
    assert (set(vars(slicer)), set(vars(slicer.util)), list(sys.path), sys.excepthook) == before
    assert not {"qt", "ctk", "slicer.parameterNodeWrapper", "PyTorchUtils"} & set(sys.modules)


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
    free, took = _turns_of_a_worker(hold_gil=False, enough=lambda turns, seconds: turns >= 100)
    held, _ = _turns_of_a_worker(hold_gil=True, enough=lambda turns, seconds: seconds >= took)
    assert held < free / 3


def _turns_of_a_worker(hold_gil: bool, enough: Callable[[int, float], bool]) -> tuple[int, float]:
    """How many turns a thread gets until they are enough, or the seconds, and these seconds."""
    with slicer_application(hold_gil=hold_gil) as application:
        if hold_gil and not application._loop.holds_gil:
            pytest.skip("Qt's library is not where it is on Linux")
        count, stop, began = [0], threading.Event(), time.monotonic()
        worker = threading.Thread(target=_count, args=(count, stop), daemon=True)
        worker.start()
        application.wait_until(lambda: enough(count[0], time.monotonic() - began))
        stop.set()
        worker.join()
        return count[0], time.monotonic() - began


def _count(count: list[int], stop: threading.Event) -> None:
    while not stop.is_set():
        time.sleep(0.001)
        count[0] += 1


# ---- other surroundings ----------------------------------------------------------------------------------------------


def test_a_module_that_lies_elsewhere_is_tested_with_its_own_library(application, tmp_path, monkeypatch):
    for folder in (tmp_path / "one", tmp_path / "two"):
        (folder / "OwnLib").mkdir(parents=True)
        (folder / "OwnLib" / "__init__.py").write_text(f"WHERE = {folder.name!r}")
        (folder / "Own.py").write_text("from OwnLib import WHERE\nclass Own:\n    def __init__(self, parent): ...")
        monkeypatch.setenv("LIVERSEG_MODULE_FILE", str(folder / "Own.py"))
        where = application.load_module().WHERE
        assert where == folder.name
