"""Cancel: answers at once, and leaves the scene as it was."""

from __future__ import annotations

import pytest
from PySide6 import QtCore, QtTest

from LiverSegLib import messages, mrml
from LiverSegLib.errors import DeviceError
from Testing.mrml.snapshot import snapshot
from Testing.widget.actions import add_reference, choose_reference, liver_in, nodes, segment, start, wait_for_the_end
from Testing.widget.stand_in import small_ct


def test_cancel_answers_within_a_second_and_leaves_the_scene_as_it_was(application, quick_panel, stand_in, ct_node):
    before = snapshot(application.scene)
    start(application, quick_panel, stand_in)
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(lambda: quick_panel.ui.segmentButton.text == messages.SEGMENT_LIVER, seconds=1)
    application.wait_until(lambda: not stand_in.waiting.is_set(), seconds=1)
    assert quick_panel.ui.statusLabel.text == messages.CANCELLED and application.dialogs == []
    assert snapshot(application.scene) == before


def test_the_real_network_is_cancelled_within_a_second(application, panel, a_phantom):
    mrml.volume_from_ct(a_phantom.ct)
    application.process_events()
    before = snapshot(application.scene)
    application.click(panel.ui.segmentButton)
    application.wait_until(lambda: panel.ui.statusLabel.text.startswith(messages.FINDING_LIVER), seconds=60)
    application.click(panel.ui.segmentButton)
    application.wait_until(lambda: panel.ui.statusLabel.text == messages.CANCELLED, seconds=1)
    assert snapshot(application.scene) == before


def test_after_a_cancel_a_refilled_output_is_what_it_was(application, quick_panel, stand_in, ct_node):
    segment(application, quick_panel)
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=small_ct(seed=1)[1]))
    wait_for_the_end(application, quick_panel)
    before, dice = snapshot(application.scene), quick_panel.ui.diceLabel.text
    start(application, quick_panel, stand_in)
    application.click(quick_panel.ui.segmentButton)
    assert snapshot(application.scene) == before
    assert quick_panel.ui.diceLabel.text == dice != "–"
    assert not quick_panel.ui.undoButton.enabled


def test_after_a_cancel_the_next_run_works(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.click(quick_panel.ui.segmentButton)
    stand_in.release()
    output = segment(application, quick_panel)
    assert liver_in(output, ct_node).any() and quick_panel.ui.statusLabel.text == ""


def test_two_clicks_that_come_at_once_start_and_cancel(application, quick_panel, stand_in, ct_node):
    before = snapshot(application.scene)
    stand_in.hold()
    button = quick_panel.ui.segmentButton
    for _ in range(2):
        QtTest.QTest.mouseClick(button, QtCore.Qt.MouseButton.LeftButton, pos=button.rect.center())
    application.process_events()
    assert quick_panel.ui.statusLabel.text == messages.CANCELLED
    assert snapshot(application.scene) == before and nodes("Segmentation") == []


@pytest.mark.parametrize("error", [DeviceError("The GPU is gone; use the CPU."), RuntimeError("CUDA error")])
def test_a_run_that_fails_leaves_the_scene_as_it_was(application, quick_panel, stand_in, ct_node, error):
    before = snapshot(application.scene)
    stand_in.error = error
    segment(application, quick_panel)
    assert snapshot(application.scene) == before
    [dialog] = application.dialogs
    assert str(error) in dialog.text and quick_panel.ui.statusLabel.text == dialog.text


def test_a_result_that_cannot_be_written_leaves_no_new_output(application, quick_panel, ct_node, monkeypatch):
    def broken(node, *arguments):
        node.CreateDefaultDisplayNodes()
        raise MemoryError("no room")

    before = snapshot(application.scene)
    monkeypatch.setattr(mrml, "write_segmentation", broken)
    segment(application, quick_panel)
    assert snapshot(application.scene) == before


def another_input(application, panel):
    application.choose(panel.ui.inputSelector, mrml.volume_from_ct(small_ct("Another")[0]))


def another_output(application, panel):
    application.choose(panel.ui.outputSelector, application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode"))


def no_reference(application, panel):
    choose_reference(application, panel, None)


def undone(application, panel):
    application.click(panel.ui.undoButton)


def imported(application, panel):
    application.scene.StartState(application.scene.ImportState)
    application.scene.EndState(application.scene.ImportState)


@pytest.mark.parametrize("change", [another_input, another_output, no_reference, undone, imported])
def test_a_sentence_about_a_run_goes_when_something_else_is_chosen_or_shown(
    application, quick_panel, stand_in, ct_node, change
):
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=small_ct()[1]))
    for _ in range(2):
        segment(application, quick_panel)
    stand_in.error = DeviceError("The GPU is gone; use the CPU.")
    segment(application, quick_panel)
    application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Anything")
    assert quick_panel.ui.statusLabel.text == "The GPU is gone; use the CPU."
    change(application, quick_panel)
    application.process_events()
    assert quick_panel.ui.statusLabel.text == ""


def test_what_is_said_of_a_closed_scene_stays_until_the_next_ct(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.close_scene()
    assert quick_panel.ui.statusLabel.text == messages.SCENE_CLOSED
    mrml.volume_from_ct(small_ct("Next")[0])
    assert quick_panel.ui.statusLabel.text == ""


def test_a_sentence_about_what_changed_while_the_module_was_left_goes(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.click(quick_panel.ui.segmentButton)
    assert quick_panel.ui.statusLabel.text == messages.CANCELLED
    application.leave_panel()
    application.scene.RemoveNode(ct_node)
    mrml.volume_from_ct(small_ct("Next")[0])
    application.open_panel()
    assert quick_panel.ui.statusLabel.text == ""
