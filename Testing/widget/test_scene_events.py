"""What happens to the scene and to the panel while a run is going on ends it cleanly."""

from __future__ import annotations

import pytest
import slicer

from LiverSegLib import messages, mrml
from Testing.mrml.snapshot import snapshot
from Testing.widget.actions import (
    add_reference,
    choose_reference,
    click_disagreement,
    compare,
    nodes,
    scene_without,
    segment,
    start,
    wait_for_the_end,
)
from Testing.widget.stand_in import small_ct


def remove(application, stand_in, node):
    """Take a node out of the scene; give what else was there before."""
    before = scene_without(application.scene, node.GetID())
    application.scene.RemoveNode(node)
    application.process_events()
    application.wait_until(lambda: not stand_in.waiting.is_set())
    return before


def assert_ended(application, panel, text):
    assert not panel._runner.running and panel.ui.segmentButton.text == messages.SEGMENT_LIVER
    assert panel.ui.statusLabel.text == text and application.dialogs == []


def test_deleting_the_ct_ends_its_run(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    before = remove(application, stand_in, ct_node)
    assert_ended(application, quick_panel, messages.INPUT_DELETED)
    assert scene_without(application.scene) == before
    assert not quick_panel.ui.segmentButton.enabled


def test_deleting_the_output_ends_the_run(application, quick_panel, stand_in, ct_node):
    output = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    application.choose(quick_panel.ui.outputSelector, output)
    start(application, quick_panel, stand_in)
    before = remove(application, stand_in, output)
    assert_ended(application, quick_panel, messages.OUTPUT_DELETED)
    assert scene_without(application.scene) == before


def test_deleting_the_reference_ends_the_run_and_names_it(application, quick_panel, stand_in, ct_node):
    ct, labels = small_ct()
    reference = mrml.labelmap_from_array(labels, ct.affine, "Manual")
    choose_reference(application, quick_panel, reference)
    start(application, quick_panel, stand_in)
    before = remove(application, stand_in, reference)
    assert_ended(application, quick_panel, messages.REFERENCE_DELETED.format(name="Manual"))
    assert scene_without(application.scene) == before


def test_deleting_another_node_does_not_disturb_the_run(application, quick_panel, stand_in, ct_node):
    other = mrml.volume_from_ct(small_ct("Other")[0])
    start(application, quick_panel, stand_in)
    application.scene.RemoveNode(other)
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert len(nodes("Segmentation")) == 1 and quick_panel.ui.statusLabel.text == ""


def test_a_comparison_whose_reference_is_deleted_ends_without_a_word(application, quick_panel, ct_node):
    segment(application, quick_panel)
    reference = add_reference(application.scene, Liver=small_ct(seed=1)[1])
    # Without a turn of the event loop: the comparison has begun and cannot end.
    quick_panel._parameterNode.reference = reference
    assert quick_panel._runner.running
    application.scene.RemoveNode(reference)
    assert not quick_panel._runner.running
    assert quick_panel.ui.statusLabel.text == "" and quick_panel.ui.diceLabel.text == "–"
    assert application.dialogs == []


def test_closing_the_scene_ends_the_run_and_says_so(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.close_scene()
    application.wait_until(lambda: not stand_in.waiting.is_set())
    assert_ended(application, quick_panel, messages.SCENE_CLOSED)
    assert nodes("Segmentation") == [] and nodes("ScalarVolume") == []


def test_after_the_scene_was_closed_the_next_ct_can_be_segmented(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.close_scene()
    stand_in.release()
    mrml.volume_from_ct(small_ct("Next")[0])
    assert segment(application, quick_panel).GetName() == "Next liver segmentation"


def test_leaving_the_module_ends_the_run(application, quick_panel, stand_in, ct_node):
    before = snapshot(application.scene)
    start(application, quick_panel, stand_in)
    slicer.util.selectModule("Data")
    application.wait_until(lambda: not stand_in.waiting.is_set())
    assert snapshot(application.scene) == before
    application.open_panel()
    assert_ended(application, quick_panel, messages.CANCELLED)


def test_while_the_module_is_left_the_scene_may_change_as_it_likes(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    application.leave_panel()
    application.scene.RemoveNode(output)
    application.scene.RemoveNode(ct_node)
    other = mrml.volume_from_ct(small_ct("Other")[0])
    application.open_panel()
    assert quick_panel.ui.inputSelector.currentNode() is other
    assert quick_panel.ui.outputSelector.currentNode() is None


def test_a_scene_closed_while_the_module_is_left_is_found_empty(application, quick_panel, ct_node):
    segment(application, quick_panel)
    application.leave_panel()
    application.close_scene()
    application.open_panel()
    assert quick_panel.ui.inputSelector.currentNode() is None and quick_panel.ui.liverVolumeLabel.text == "–"
    assert not quick_panel.ui.segmentButton.enabled


def test_a_scene_loaded_in_the_middle_of_a_run_does_not_disturb_it(
    application, quick_panel, stand_in, ct_node, tmp_path
):
    saved = application.save_scene(tmp_path / "scene.mrb")
    start(application, quick_panel, stand_in)
    application.scene.ReadFromMRB(str(saved), False)  # File, Add Data: the scene is not closed before
    application.process_events()
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert quick_panel._parameterNode.inputVolume is ct_node
    assert mrml.segmentation_of(ct_node) is quick_panel._parameterNode.outputSegmentation
    assert application.dialogs == []


@pytest.mark.parametrize("what", ["output", "reference"])
def test_a_result_takes_its_disagreement_with_it(application, quick_panel, ct_node, what):
    output = segment(application, quick_panel)
    reference = add_reference(application.scene, Liver=small_ct(seed=1)[1])
    compare(application, quick_panel, reference)
    click_disagreement(application, quick_panel)
    assert len(nodes("Segmentation")) == 3
    application.scene.RemoveNode(output if what == "output" else reference)
    wait_for_the_end(application, quick_panel)
    assert len(nodes("Segmentation")) == 1 and quick_panel.ui.diceLabel.text == "–"


def test_a_result_that_is_deleted_while_the_module_is_left_takes_its_disagreement_with_it(
    application, quick_panel, ct_node
):
    click_disagreement(application, quick_panel)
    output = segment(application, quick_panel)
    reference = add_reference(application.scene, Liver=small_ct(seed=1)[1])
    compare(application, quick_panel, reference)
    application.leave_panel()
    application.scene.RemoveNode(output)
    assert nodes("Segmentation") == [reference]


def test_a_comparison_that_is_left_is_made_on_coming_back(application, quick_panel, ct_node):
    segment(application, quick_panel)
    # Without a turn of the event loop: the comparison has begun and cannot end.
    quick_panel._parameterNode.reference = add_reference(application.scene, Liver=small_ct(seed=1)[1])
    assert quick_panel._runner.running
    application.leave_panel()
    application.open_panel()
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.diceLabel.text != "–" and quick_panel.ui.statusLabel.text == ""
