"""The panel's state: saved with the scene, kept when it is closed, and back when the module is entered again."""

from __future__ import annotations

import pytest
import slicer

from LiverSegLib import mrml
from Testing.bench import slicer_application
from Testing.widget.actions import (
    add_reference,
    choose_reference,
    compare,
    nodes,
    open_advanced,
    open_section,
    segment,
    wait_for_the_end,
)
from Testing.widget.stand_in import StandIn, small_ct

CHOICES = {
    "device": "cpu",
    "tumour": True,
    "show3D": False,
    "surfaceSmoothing": 0.25,
    "showOutline": False,
    "showFill": False,
    "frameLiver": False,
    "showDisagreement": True,
}
BOXES = {
    "tumour": "tumourCheckBox",
    "show3D": "show3DCheckBox",
    "showOutline": "outlineCheckBox",
    "showFill": "fillCheckBox",
    "frameLiver": "frameLiverCheckBox",
    "showDisagreement": "disagreementCheckBox",
}


def make_choices(application, panel):
    """Operate every control so that no choice is as it was at first."""
    open_advanced(application, panel)
    for section in (panel.ui.displaySection, panel.ui.referenceSection):
        open_section(application, section)
    panel.ui.smoothingSlider.value = CHOICES["surfaceSmoothing"]
    application.choose(panel.ui.deviceSelector, CHOICES["device"])
    for name in BOXES.values():
        application.click(getattr(panel.ui, name))


def choices(panel):
    return {name: getattr(panel._parameterNode, name) for name in CHOICES}


def widgets(panel):
    shown = {name: getattr(panel.ui, box).checked for name, box in BOXES.items()}
    return {**shown, "device": panel.ui.deviceSelector.currentText, "surfaceSmoothing": panel.ui.smoothingSlider.value}


def shown(panel):
    ui = panel.ui
    labels = (ui.liverVolumeLabel, ui.tumourVolumeLabel, ui.timeLabel, ui.diceLabel, ui.hd95Label)
    selectors = (ui.inputSelector, ui.outputSelector, ui.referenceSelector)
    names = [node.GetName() if node is not None else None for node in (s.currentNode() for s in selectors)]
    return [label.text for label in labels], names, ui.referenceSegmentSelector.currentText


def test_every_control_changes_its_choice(application, quick_panel):
    assert all(getattr(quick_panel._parameterNode, name) != value for name, value in CHOICES.items())
    make_choices(application, quick_panel)
    assert choices(quick_panel) == CHOICES == widgets(quick_panel)


@pytest.fixture
def a_full_panel(application, quick_panel, ct_node):
    """Everything chosen, a result, and a reference with the segment that is meant."""
    make_choices(application, quick_panel)
    reference = add_reference(application.scene, A=small_ct(seed=1)[1], B=small_ct(seed=2)[1])
    choose_reference(application, quick_panel, reference)
    application.choose(quick_panel.ui.referenceSegmentSelector, "B")
    segment(application, quick_panel)
    assert quick_panel.ui.diceLabel.text != "–"
    return quick_panel


@pytest.mark.parametrize("target", ["scene.mrb", "folder"])
def test_choices_and_results_come_back_with_the_scene(application, a_full_panel, tmp_path, target):
    before = shown(a_full_panel)
    saved = application.save_scene(tmp_path / target)
    application.close_scene()
    assert shown(a_full_panel)[0] == ["–"] * 5
    application.load_scene(saved)
    wait_for_the_end(application, a_full_panel)
    assert shown(a_full_panel) == before and choices(a_full_panel) == CHOICES == widgets(a_full_panel)
    assert application.dialogs == []


@pytest.mark.parametrize("scene_first", [False, True])
def test_they_come_back_in_another_slicer_opened_before_or_after_the_module(
    application, a_full_panel, tmp_path, scene_first
):
    before = shown(a_full_panel)
    saved = application.save_scene(tmp_path / "scene.mrb")
    application.unload_module()
    with slicer_application() as other:
        other.load_module()._bundledSegmenter = StandIn()
        steps = [lambda: other.load_scene(saved), other.open_panel]
        for step in steps if scene_first else reversed(steps):
            step()
        panel = other.panel
        wait_for_the_end(other, panel)
        assert shown(panel) == before and choices(panel) == CHOICES == widgets(panel)
        # The result is ours: a run refills it.
        output = panel._parameterNode.outputSegmentation
        assert segment(other, panel) is output and other.errors == []


def test_choices_stay_when_the_scene_is_closed(application, quick_panel, ct_node):
    make_choices(application, quick_panel)
    application.close_scene()
    assert choices(quick_panel) == CHOICES == widgets(quick_panel)


def test_choices_stay_when_the_scene_is_closed_from_another_module(application, quick_panel, ct_node):
    make_choices(application, quick_panel)
    application.close_scene()
    application.click(quick_panel.ui.tumourCheckBox)
    application.leave_panel()
    application.close_scene()
    application.open_panel()
    assert choices(quick_panel) == {**CHOICES, "tumour": False}


def test_leaving_and_coming_back_changes_nothing(application, a_full_panel):
    before = shown(a_full_panel), choices(a_full_panel)
    application.leave_panel()
    application.open_panel()
    assert (shown(a_full_panel), choices(a_full_panel)) == before


def test_of_two_nodes_with_one_name_the_chosen_one_is_taken(application, quick_panel):
    first, second = (mrml.volume_from_ct(small_ct("CT", seed)[0]) for seed in (0, 2))
    application.process_events()
    assert quick_panel._parameterNode.inputVolume is first
    application.choose(quick_panel.ui.inputSelector, second)
    assert quick_panel._parameterNode.inputVolume is second
    outputs = [application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result") for _ in range(2)]
    for output in outputs:
        application.choose(quick_panel.ui.outputSelector, output)
        assert quick_panel._parameterNode.outputSegmentation is output


def test_a_deleted_output_leaves_nobody_in_its_place(application, quick_panel, ct_node):
    """Slicer's selector would go on to the segmentation above, and the next run would write into it."""
    add_reference(application.scene, Liver=small_ct()[1])
    output = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    application.choose(quick_panel.ui.outputSelector, output)
    application.scene.RemoveNode(output)
    application.process_events()
    assert quick_panel._parameterNode.outputSegmentation is None
    assert quick_panel.ui.outputSelector.currentNode() is None


def test_a_new_output_can_be_made_in_the_selector(application, quick_panel, ct_node):
    output = quick_panel.ui.outputSelector.addNode()
    assert segment(application, quick_panel) is output and nodes("Segmentation") == [output]


def test_the_module_can_be_reloaded(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    compare(application, quick_panel, add_reference(application.scene, Liver=small_ct(seed=1)[1]))
    before = shown(quick_panel)
    application.unload_module()
    panel = application.open_panel()
    wait_for_the_end(application, panel)
    assert panel is not quick_panel and shown(panel) == before
    assert segment(application, panel) is output
    assert isinstance(slicer.modules.LiverSegWidget, type(panel))
