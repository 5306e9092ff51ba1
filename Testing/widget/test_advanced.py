"""The advanced section: it offers the devices that run a kernel here, and frames where there are any."""

from __future__ import annotations

import pytest

from LiverSegLib import messages, mrml
from Testing.widget.actions import open_advanced, segment, wait_for_the_end
from Testing.widget.stand_in import small_ct


@pytest.fixture
def devices(monkeypatch):
    """What PyTorch finds on this computer; to be changed by a test."""
    found = ["cpu", "cuda:0"]
    monkeypatch.setattr("LiverSegLib.model.devices.usable_devices", lambda: list(found))
    return found


def offered(panel):
    selector = panel.ui.deviceSelector
    return [selector.itemText(index) for index in range(selector.count)]


def test_pytorch_is_asked_for_devices_when_the_section_is_opened(application, quick_panel, devices):
    assert offered(quick_panel) == [messages.DEVICE_AUTOMATIC, "cpu"]
    open_advanced(application, quick_panel)
    assert offered(quick_panel) == [messages.DEVICE_AUTOMATIC, "cpu", "cuda:0"]


def test_without_a_gpu_only_the_cpu_is_offered(application, panel):
    open_advanced(application, panel)
    assert offered(panel) == [messages.DEVICE_AUTOMATIC, "cpu"] and application.dialogs == []


def test_the_devices_are_found_once(application, quick_panel, devices):
    open_advanced(application, quick_panel)
    devices.append("cuda:1")
    application.click(quick_panel.ui.advancedSection)
    open_advanced(application, quick_panel)
    assert "cuda:1" not in offered(quick_panel)


@pytest.mark.parametrize("choice, device", [(messages.DEVICE_AUTOMATIC, "auto"), ("cpu", "cpu"), ("cuda:0", "cuda:0")])
def test_the_chosen_device_runs_the_network(application, quick_panel, stand_in, ct_node, devices, choice, device):
    open_advanced(application, quick_panel)
    application.choose(quick_panel.ui.deviceSelector, choice)
    segment(application, quick_panel)
    # The panel may have warmed up the automatic choice before.
    assert stand_in.devices[-1] == device


def test_a_device_that_is_not_here_gives_way_to_the_automatic_choice(application, quick_panel, devices):
    quick_panel._parameterNode.device = "cuda:7"
    assert quick_panel.ui.deviceSelector.currentText == "cuda:7"
    open_advanced(application, quick_panel)
    assert quick_panel._parameterNode.device == "auto"
    assert quick_panel.ui.deviceSelector.currentText == messages.DEVICE_AUTOMATIC
    assert "cuda:7" not in offered(quick_panel)


def test_a_saved_device_that_is_here_stays(application, quick_panel, devices):
    quick_panel._parameterNode.device = "cuda:0"
    open_advanced(application, quick_panel)
    assert quick_panel._parameterNode.device == "cuda:0"
    assert quick_panel.ui.deviceSelector.currentText == "cuda:0"


def test_without_pytorch_the_section_opens_and_asks_nothing(application, quick_panel):
    application.installer.hide("torch", "nibabel")
    open_advanced(application, quick_panel)
    assert offered(quick_panel) == [messages.DEVICE_AUTOMATIC, "cpu"]
    assert application.dialogs == []


def test_with_the_first_run_the_devices_of_the_new_pytorch_come(application, quick_panel, ct_node, devices):
    application.installer.hide("torch")
    open_advanced(application, quick_panel)
    segment(application, quick_panel)
    application.wait_until(lambda: "cuda:0" in offered(quick_panel))


def test_a_search_that_was_cancelled_is_made_again(application, quick_panel, ct_node, devices):
    application.click(quick_panel.ui.advancedSection)
    quick_panel._runner.stop()
    application.click(quick_panel.ui.advancedSection)
    open_advanced(application, quick_panel)
    assert "cuda:0" in offered(quick_panel)


def test_a_section_that_is_opened_during_a_run_leaves_it_alone(application, quick_panel, stand_in, ct_node, devices):
    stand_in.hold()
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(stand_in.waiting.is_set)
    application.click(quick_panel.ui.advancedSection)
    assert stand_in.waiting.is_set() and quick_panel.ui.segmentButton.text == messages.CANCEL
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert mrml.segmentation_of(ct_node) is not None
    application.wait_until(lambda: "cuda:0" in offered(quick_panel))


def test_frames_are_offered_for_a_sequence_only(application, quick_panel, ct_node):
    open_advanced(application, quick_panel)
    assert not quick_panel.ui.allFramesCheckBox.enabled
    quick_panel._parameterNode.allFrames = True
    segment(application, quick_panel)
    assert mrml.segmentation_of(ct_node) is not None and small_ct()[1].any()


@pytest.mark.parametrize(
    "choice, modality", [(messages.DEVICE_AUTOMATIC, "auto"), ("CT", "ct"), (messages.MR_EXPERIMENTAL, "mr")]
)
def test_the_chosen_modality_is_what_the_volume_is_taken_for(
    application, quick_panel, stand_in, ct_node, choice, modality
):
    open_advanced(application, quick_panel)
    application.choose(quick_panel.ui.modalitySelector, choice)
    segment(application, quick_panel)
    assert stand_in.modalities[-1] == modality


def test_what_was_said_of_one_volume_is_not_said_of_the_next(application, quick_panel, ct_node):
    open_advanced(application, quick_panel)
    application.choose(quick_panel.ui.modalitySelector, messages.MR_EXPERIMENTAL)
    another = mrml.volume_from_ct(small_ct("another")[0])
    quick_panel._parameterNode.inputVolume = another
    assert quick_panel._parameterNode.modality == "auto"
    assert quick_panel.ui.modalitySelector.currentText == messages.DEVICE_AUTOMATIC


def test_a_result_of_mr_is_called_experimental_and_keeps_its_window(application, quick_panel, stand_in, ct_node):
    stand_in.modality = "MR"
    node = segment(application, quick_panel)
    assert node.GetName().endswith(messages.MR_EXPERIMENTAL)
    assert messages.MR_EXPERIMENTAL in quick_panel.ui.liverVolumeLabel.text
    assert ct_node.GetDisplayNode().GetAutoWindowLevel()
