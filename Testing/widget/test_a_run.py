"""From a click to the liver: what a run is given, what it leaves in the scene, and where."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import messages, mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.panel.texts import Progress
from Testing.mrml.snapshot import segments
from Testing.widget.actions import (
    LIVER_ID,
    add_reference,
    liver_in,
    nodes,
    segment,
    start,
    wait_for_the_end,
)
from Testing.widget.stand_in import small_ct


def test_a_click_gives_the_liver_in_a_new_segmentation_named_after_the_ct(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    assert output.GetName() == "CT liver segmentation" and nodes("Segmentation") == [output]
    np.testing.assert_array_equal(liver_in(output, ct_node), small_ct()[1] > 0)
    assert quick_panel.ui.outputSelector.currentNode() is output
    assert quick_panel.ui.statusLabel.text == "" and application.dialogs == []


def test_the_real_network_finds_the_liver_of_the_phantom(application, panel, a_phantom):
    volume = mrml.volume_from_ct(a_phantom.ct)
    output = segment(application, panel, seconds=120)
    found, wanted = liver_in(output, volume), a_phantom.labels > 0
    assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.85
    assert application.dialogs == []


def test_while_it_runs_the_button_cancels_and_nothing_else_can_be_chosen(application, quick_panel, stand_in, ct_node):
    ui = quick_panel.ui
    start(application, quick_panel, stand_in)
    application.wait_until(lambda: ui.progressBar.value > 0)
    assert ui.segmentButton.text == messages.CANCEL and ui.segmentButton.toolTip == messages.RUNNING_HINT
    assert ui.progressBar.visible and ui.statusLabel.text == "Finding the liver"
    assert not any(
        selector.enabled for selector in (ui.inputSelector, ui.outputSelector, ui.referenceSelector, ui.undoButton)
    )
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert ui.segmentButton.text == messages.SEGMENT_LIVER and ui.segmentButton.toolTip == messages.READY_HINT
    assert not ui.progressBar.visible
    assert ui.inputSelector.enabled and ui.outputSelector.enabled and ui.referenceSelector.enabled


def test_the_remaining_time_is_told_once_it_can_be_known(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.wait_until(lambda: "left" in quick_panel.ui.statusLabel.text)
    assert quick_panel.ui.statusLabel.text.startswith("Finding the liver, about ")


def test_the_remaining_time_counts_down_between_two_reports():
    progress = Progress()
    told = [progress.text(0.25, "Finding", seconds) for seconds in (2.0, 5.0, 7.6, 30.0)]
    assert told == [f"Finding, about {left} s left" for left in (6, 3, 1, 1)]
    assert progress.text(0.5, "Finding", 31.0) == "Finding, about 31 s left"
    assert progress.text(0.5, "Finding", 0.5) == progress.text(0.0, "Finding", 1.5) == "Finding"


def test_a_chosen_output_is_filled_and_its_other_segments_stay(application, quick_panel, ct_node):
    spleen = np.zeros((10, 16, 20), np.uint8)
    spleen[2:4, 1:3, 1:3] = 1
    output = add_reference(application.scene, Spleen=spleen)
    before = segments(output)
    application.choose(quick_panel.ui.outputSelector, output)
    assert segment(application, quick_panel) is output
    assert segments(output)[0] == before[0] and segments(output)[1][0] == LIVER_ID
    assert nodes("Segmentation") == [output]


def test_a_second_run_refills_the_same_output(application, quick_panel, ct_node):
    first = segment(application, quick_panel)
    before = segments(first)
    assert segment(application, quick_panel) is first
    assert segments(first) == before and nodes("Segmentation") == [first] and len(nodes("Table")) == 1


def test_after_the_output_was_deleted_a_run_makes_a_new_one(application, quick_panel, ct_node):
    application.scene.RemoveNode(segment(application, quick_panel))
    application.process_events()
    assert quick_panel.ui.outputSelector.currentNode() is None and quick_panel.ui.liverVolumeLabel.text == "–"
    output = segment(application, quick_panel)
    assert output is not None and nodes("Segmentation") == [output]


@pytest.mark.parametrize("wanted", [True, False])
def test_tumours_become_a_segment_when_they_are_asked_for(application, quick_panel, stand_in, ct_node, wanted):
    if wanted:
        application.click(quick_panel.ui.tumourCheckBox)
    output = segment(application, quick_panel)
    names = [name for _, name, _, _ in segments(output)]
    assert names == [LIVER.name, TUMOUR.name][: 1 + wanted]
    assert quick_panel.ui.tumourVolumeLabel.visible == quick_panel.ui.tumourVolumeCaption.visible == wanted
    assert stand_in.calls == [{"tumour": wanted}]


# ---- several volumes -------------------------------------------------------------------------------------------------


@pytest.fixture
def two_volumes(application):
    return [mrml.volume_from_ct(small_ct(name, seed)[0]) for name, seed in (("First", 0), ("Second", 3))]


def test_the_first_volume_that_comes_is_the_input(application, quick_panel, two_volumes):
    application.process_events()
    assert quick_panel.ui.inputSelector.currentNode() is two_volumes[0]
    assert quick_panel.ui.segmentButton.enabled


def test_volumes_that_are_loaded_all_at_once_are_seen_too(application, quick_panel):
    application.scene.StartState(slicer.vtkMRMLScene.BatchProcessState)
    first = mrml.volume_from_ct(small_ct()[0])
    assert quick_panel._parameterNode.inputVolume is None
    application.scene.EndState(slicer.vtkMRMLScene.BatchProcessState)
    application.process_events()
    assert quick_panel._parameterNode.inputVolume is first and quick_panel.ui.segmentButton.enabled


def test_labelmaps_and_hidden_volumes_are_not_taken_for_the_ct(application, quick_panel):
    ct, labels = small_ct()
    mrml.labelmap_from_array(labels, ct.affine, "Labels")
    hidden = application.scene.CreateNodeByClass("vtkMRMLScalarVolumeNode")
    hidden.SetHideFromEditors(True)
    application.scene.AddNode(hidden)
    application.process_events()
    assert quick_panel._parameterNode.inputVolume is None and not quick_panel.ui.segmentButton.enabled


def test_with_the_volume_its_own_result_comes_back(application, quick_panel, two_volumes):
    volumes = {}
    for node in two_volumes:
        application.choose(quick_panel.ui.inputSelector, node)
        assert quick_panel.ui.outputSelector.currentNode() is None
        volumes[node] = segment(application, quick_panel), quick_panel.ui.liverVolumeLabel.text
    for node, (output, shown) in volumes.items():
        application.choose(quick_panel.ui.inputSelector, node)
        assert quick_panel.ui.outputSelector.currentNode() is output
        assert quick_panel.ui.liverVolumeLabel.text == shown


def test_a_result_is_shown_with_its_ct_though_a_script_chose_another_meanwhile(
    application, quick_panel, stand_in, two_volumes
):
    start(application, quick_panel, stand_in)
    quick_panel._parameterNode.inputVolume = two_volumes[1]
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    [output] = nodes("Segmentation")
    assert quick_panel._parameterNode.inputVolume is two_volumes[0]
    assert quick_panel._parameterNode.outputSegmentation is output
    np.testing.assert_array_equal(liver_in(output, two_volumes[0]), small_ct()[1] > 0)


def test_a_volume_that_is_hidden_in_the_middle_of_its_run_gets_its_result(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    ct_node.SetHideFromEditors(True)
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    [output] = nodes("Segmentation")
    assert quick_panel._parameterNode.inputVolume is ct_node
    assert quick_panel._parameterNode.outputSegmentation is output


def test_nodes_may_be_renamed_between_runs_and_within(application, quick_panel, stand_in, ct_node):
    output = segment(application, quick_panel)
    ct_node.SetName("Renamed CT")
    output.SetName("My liver")
    start(application, quick_panel, stand_in)
    ct_node.SetName("Renamed again")
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert nodes("Segmentation") == [output] and output.GetName() == "My liver"
    assert quick_panel._parameterNode.outputSegmentation is output


def test_two_volumes_of_one_name_get_two_results(application, quick_panel):
    first, second = (mrml.volume_from_ct(small_ct("CT", seed)[0]) for seed in (0, 2))
    segment(application, quick_panel)
    application.choose(quick_panel.ui.inputSelector, second)
    output = segment(application, quick_panel)
    assert output.GetName() != mrml.segmentation_of(first).GetName()
    np.testing.assert_array_equal(liver_in(output, second), small_ct(seed=2)[1] > 0)


# ---- no liver --------------------------------------------------------------------------------------------------------


def test_no_liver_is_a_result_with_a_warning(application, quick_panel, stand_in):
    ct, _labels = small_ct()
    slicer.util.addVolumeFromArray(np.where(ct.hu > 60, 30, ct.hu).astype(np.int16), ct.affine, "CT")
    stand_in.warnings = (messages.NO_LIVER,)
    output = segment(application, quick_panel)
    assert quick_panel.ui.liverVolumeLabel.text == "0 ml" and messages.NO_LIVER in quick_panel.ui.warningsLabel.text
    assert quick_panel.ui.warningsLabel.visible and application.dialogs == []
    assert output.GetSegmentation().GetNumberOfSegments() == 1


def test_what_fails_after_the_run_is_told_too(application, quick_panel, ct_node, monkeypatch):
    def broken(*arguments):
        raise MemoryError("no room for the table")

    monkeypatch.setattr(mrml, "write_report_table", broken)
    segment(application, quick_panel)
    [dialog] = application.dialogs
    assert "no room for the table" in dialog.text and quick_panel.ui.statusLabel.text == dialog.text
    assert quick_panel.ui.segmentButton.text == messages.SEGMENT_LIVER and quick_panel.ui.segmentButton.enabled
