"""The network is loaded while the user looks at the panel: the first click is quick, and nothing else changes."""

from __future__ import annotations

import threading

from LiverSegLib import messages, mrml
from LiverSegLib.errors import DeviceError
from Testing.mrml.snapshot import snapshot
from Testing.widget.actions import liver_in, segment


def test_an_open_panel_loads_the_network_and_shows_nothing_of_it(application, quick_panel, stand_in, ct_node):
    before = snapshot(application.scene)
    application.wait_until(lambda: stand_in.warm_ups == 1)
    assert stand_in.devices == ["auto"] and stand_in.calls == []
    assert quick_panel.ui.segmentButton.text == messages.SEGMENT_LIVER and not quick_panel.ui.progressBar.visible
    assert snapshot(application.scene) == before
    segment(application, quick_panel)
    assert stand_in.devices == ["auto"], "the run found it loaded"


def test_the_panel_is_open_before_anything_is_loaded(application, quick_panel, stand_in):
    assert stand_in.devices == [] and quick_panel._warmUp.DELAY_MS > 0


def test_the_chosen_device_is_warmed_up(application, quick_panel, stand_in):
    quick_panel._parameterNode.device = "cpu"
    application.leave_panel()
    application.open_panel()
    application.wait_until(lambda: stand_in.warm_ups == 1)
    assert stand_in.devices == ["cpu"]


def test_once_is_enough(application, quick_panel, stand_in):
    application.wait_until(lambda: stand_in.warm_ups == 1)
    application.leave_panel()
    application.open_panel()
    application.wait_until(lambda: not quick_panel._warmUp._timer.active)
    application.wait_until(lambda: not quick_panel._warmUp._runner.running)
    assert stand_in.warm_ups == 1


def test_a_click_in_the_middle_of_it_waits_for_the_network_and_runs(application, quick_panel, stand_in, ct_node):
    warming, go_on = threading.Event(), threading.Event()

    def slow():
        warming.set()
        go_on.wait(20)

    stand_in.warm_up = slow
    application.wait_until(warming.is_set)
    application.click(quick_panel.ui.segmentButton)
    go_on.set()
    application.wait_until(lambda: mrml.segmentation_of(ct_node) is not None)
    assert liver_in(mrml.segmentation_of(ct_node), ct_node).any() and application.dialogs == []


def test_without_the_packages_nothing_is_loaded_and_nothing_is_asked(application, quick_panel, stand_in):
    application.installer.hide("torch")
    application.wait_until(lambda: not quick_panel._warmUp._timer.active)
    assert stand_in.devices == [] and application.dialogs == [] and application.installer.calls == []


def test_a_failure_is_told_by_the_first_run_and_not_before(application, ct_node):
    calls = []

    def broken(device):
        calls.append(device)
        raise DeviceError("The GPU is gone; use the CPU.")

    application.load_module()._bundledSegmenter = broken
    panel = application.open_panel()
    application.wait_until(lambda: calls and not panel._warmUp._runner.running)
    assert application.dialogs == []
    segment(application, panel)
    [dialog] = application.dialogs
    assert "The GPU is gone" in dialog.text
