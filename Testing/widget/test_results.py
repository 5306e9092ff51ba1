"""What the panel shows of a result: its numbers, a table, undo and redo, and how it is drawn."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from LiverSegLib import messages, mrml
from Testing.mrml.snapshot import segments
from Testing.widget.actions import (
    LIVER_ID,
    add_reference,
    choose_reference,
    compare,
    liver_in,
    nodes,
    open_section,
    segment,
    table_rows,
)
from Testing.widget.stand_in import small_ct


def surface(output):
    return output.GetSegmentation().ContainsRepresentation(mrml.CLOSED_SURFACE)


def smoothing(output):
    return float(output.GetSegmentation().GetConversionParameter("Smoothing factor"))


def shown(panel):
    ui = panel.ui
    return [label.text for label in (ui.liverVolumeLabel, ui.tumourVolumeLabel, ui.timeLabel)]


def test_volumes_time_and_device_are_shown(application, quick_panel, ct_node):
    assert shown(quick_panel) == ["–", "–", "–"]
    application.click(quick_panel.ui.tumourCheckBox)
    segment(application, quick_panel)
    ct, labels = small_ct()
    liver, tumour = ((labels >= label).sum() * ct.voxel_volume_ml for label in (1, 2))
    assert shown(quick_panel)[:2] == [f"{liver:.0f} ml", f"{tumour:.1f} ml"]
    assert shown(quick_panel)[2].endswith(" s on cpu")
    assert not quick_panel.ui.warningsLabel.visible


def test_the_quality_is_a_word_where_the_network_tells_it(application, quick_panel, stand_in, ct_node):
    quality = quick_panel.ui.qualityLabel
    segment(application, quick_panel)
    assert not quality.visible and not quick_panel.ui.qualityCaption.visible
    stand_in.quality = 0.9712
    segment(application, quick_panel)
    assert quality.visible and quality.text == messages.QUALITY_GOOD and "Dice 0.97" in quality.toolTip
    assert table_rows()[messages.MEASURE_QUALITY] == "0.971"
    stand_in.warnings = ("The slices are 8 mm apart; look at the result.",)
    segment(application, quick_panel)
    assert quality.text == messages.QUALITY_CHECK


def test_there_is_no_result_to_look_at_before_there_is_one(application, quick_panel, ct_node):
    assert not quick_panel.ui.resultsSection.visible and not quick_panel.ui.statusLabel.visible
    segment(application, quick_panel)
    assert quick_panel.ui.timeLabel.visible and quick_panel.ui.timeLabel.text.startswith("Done in ")
    assert not quick_panel.ui.tumourVolumeLabel.visible


def test_the_segment_editor_opens_with_the_result_and_its_ct(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    application.click(quick_panel.ui.editButton)
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert application.app._selector._selected == "SegmentEditor"
    assert (editor.segmentationNode, editor.sourceVolumeNode) == (output, ct_node)
    assert not quick_panel.parent.isEntered


def test_warnings_are_shown_as_they_are(application, quick_panel, stand_in, ct_node):
    stand_in.warnings = ("A liver of 3 ml < 500 ml is unusual; look at the result.",)
    segment(application, quick_panel)
    assert quick_panel.ui.warningsLabel.visible and "3 ml &lt; 500 ml" in quick_panel.ui.warningsLabel.text
    assert messages.CHECK_RESULT in quick_panel.ui.warningsLabel.text


def test_a_table_node_holds_the_numbers_and_is_refilled(application, quick_panel, stand_in, ct_node):
    segment(application, quick_panel)
    first = table_rows()
    assert float(first[messages.MEASURE_LIVER_VOLUME]) > 0 and first[messages.MEASURE_DEVICE] == "cpu"
    compare(application, quick_panel, add_reference(application.scene, Liver=small_ct(seed=1)[1]))
    dice = float(table_rows()[messages.MEASURE_DICE])
    assert 0 < dice < 1 and quick_panel.ui.diceLabel.text == f"{dice:.3f}"
    segment(application, quick_panel)
    assert messages.MEASURE_DICE in table_rows()


@pytest.mark.parametrize("report", ["{}", '{"seconds": {}}', "[]", "no JSON", '{"liver_volume_ml": 3}'])
def test_a_report_of_another_version_breaks_nothing(application, quick_panel, ct_node, report):
    output = segment(application, quick_panel)
    output.SetAttribute("LiverSeg.Report", report)
    application.leave_panel()
    application.open_panel()
    assert shown(quick_panel)[1:] == ["–", "–"]
    assert shown(quick_panel)[0] == ("3 ml" if "ml" in report else "–")


def test_a_segmentation_that_is_not_ours_shows_no_numbers(application, quick_panel, ct_node):
    segment(application, quick_panel)
    application.choose(quick_panel.ui.outputSelector, add_reference(application.scene, Liver=small_ct()[1]))
    assert shown(quick_panel) == ["–", "–", "–"]
    assert not quick_panel.ui.undoButton.enabled and not quick_panel.ui.redoButton.enabled


# ---- undo and redo ---------------------------------------------------------------------------------------------------


@pytest.fixture
def two_results(application, quick_panel, ct_node):
    """A result, and another on top of it, of the same CT with other values."""
    output = segment(application, quick_panel)
    first = segments(output), shown(quick_panel)
    voxels = slicer.util.arrayFromVolume(ct_node)
    voxels[voxels > 60] = -50
    voxels[4:6, 4:9, 5:9] = 110
    slicer.util.arrayFromVolumeModified(ct_node)
    segment(application, quick_panel)
    return output, first, (segments(output), shown(quick_panel))


def test_a_second_run_is_undone_and_redone(application, quick_panel, two_results):
    output, first, second = two_results
    assert first[0] != second[0] and not quick_panel.ui.redoButton.enabled
    application.click(quick_panel.ui.undoButton)
    assert (segments(output), shown(quick_panel)) == first
    assert float(table_rows()[messages.MEASURE_LIVER_VOLUME]) == pytest.approx(float(first[1][0].split()[0]), abs=0.6)
    assert not quick_panel.ui.undoButton.enabled
    application.click(quick_panel.ui.redoButton)
    assert (segments(output), shown(quick_panel)) == second
    assert quick_panel.ui.undoButton.enabled and not quick_panel.ui.redoButton.enabled


def test_after_an_undo_the_reference_is_compared_anew(application, quick_panel, two_results):
    compare(application, quick_panel, add_reference(application.scene, Liver=small_ct()[1]))
    assert quick_panel.ui.diceLabel.text != "1.000"
    application.click(quick_panel.ui.undoButton)
    application.wait_until(lambda: quick_panel.ui.diceLabel.text == "1.000")


def test_an_undone_surface_is_that_of_the_former_result(application, quick_panel, two_results):
    output = two_results[0]
    application.click(quick_panel.ui.undoButton)
    bounds = np.zeros(6)
    assert surface(output)
    output.GetSegmentation().GetNthSegment(0).GetRepresentation(mrml.CLOSED_SURFACE).GetBounds(bounds)
    points = np.argwhere(liver_in(output, nodes("ScalarVolume")[0]))[:, 0]
    assert bounds[5] - bounds[4] > 4.0 * (np.ptp(points) - 1)


def test_a_run_into_a_chosen_empty_output_can_be_undone(application, quick_panel, ct_node):
    output = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    application.choose(quick_panel.ui.outputSelector, output)
    segment(application, quick_panel)
    application.click(quick_panel.ui.undoButton)
    assert segments(output) == [] and shown(quick_panel) == ["–", "–", "–"] and table_rows() == {}
    application.click(quick_panel.ui.redoButton)
    assert len(segments(output)) == 1 and shown(quick_panel)[0] != "–"


def test_a_new_output_offers_no_undo(application, quick_panel, ct_node):
    segment(application, quick_panel)
    assert not quick_panel.ui.undoButton.enabled


# ---- how it is drawn -------------------------------------------------------------------------------------------------


@pytest.fixture
def display(application, quick_panel):
    """The panel with its section of the display open."""
    open_section(application, quick_panel.ui.displaySection)
    return quick_panel


def test_the_anatomy_under_a_new_result_can_be_judged(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    drawn = output.GetDisplayNode()
    assert drawn.GetOpacity2DFill() <= 0.3 and drawn.GetOpacity2DOutline() == 1.0
    assert drawn.GetSliceIntersectionThickness() >= 2
    drawn.SetOpacity2DFill(0.8)
    segment(application, quick_panel)
    assert drawn.GetOpacity2DFill() == 0.8


def window_of(volume):
    shown = volume.GetDisplayNode()
    return shown.GetWindow(), shown.GetLevel()


def test_a_ct_in_its_default_window_gets_that_of_the_abdomen_once(application, quick_panel, ct_node):
    segment(application, quick_panel)
    assert window_of(ct_node) == (400, 40)
    ct_node.GetDisplayNode().AutoWindowLevelOn()
    chosen = window_of(ct_node)
    segment(application, quick_panel)
    assert window_of(ct_node) == chosen != (400, 40)


def test_a_window_that_the_user_chose_stays(application, quick_panel, ct_node):
    ct_node.GetDisplayNode().AutoWindowLevelOff()
    ct_node.GetDisplayNode().SetWindowLevel(150, 90)
    segment(application, quick_panel)
    assert window_of(ct_node) == (150, 90)


def test_the_surface_is_shown_and_can_be_taken_away(application, display, ct_node):
    output = segment(application, display)
    assert surface(output) and output.GetDisplayNode().GetVisibility3D()
    application.click(display.ui.show3DCheckBox)
    application.wait_until(lambda: not surface(output))
    assert not output.GetDisplayNode().GetVisibility3D() and not display.ui.smoothingSlider.enabled
    segment(application, display)
    assert not surface(output)
    application.click(display.ui.show3DCheckBox)
    application.wait_until(lambda: surface(output))


def test_the_slider_smooths_the_surface_and_not_the_segment(application, display, ct_node):
    output = segment(application, display)
    before, points = segments(output), surface_points(output)
    assert smoothing(output) == 0.5
    display.ui.smoothingSlider.value = 0.0
    application.wait_until(lambda: smoothing(output) == 0.0 and surface(output))
    assert segments(output) == before and surface_points(output) != points


def surface_points(output):
    data = output.GetSegmentation().GetNthSegment(0).GetRepresentation(mrml.CLOSED_SURFACE)
    return [data.GetPoint(n) for n in range(0, data.GetNumberOfPoints(), 50)]


def test_a_slider_that_is_dragged_builds_the_surface_once(application, display, ct_node, monkeypatch):
    output, built = segment(application, display), []
    set_surface = mrml.set_surface
    monkeypatch.setattr(mrml, "set_surface", lambda *arguments: (built.append(arguments), set_surface(*arguments)))
    for step in range(1, 8):
        display.ui.smoothingSlider.value = 0.1 * step
        application.process_events()
    application.wait_until(lambda: built and not display._results._timer.active)
    assert len(built) == 1 and smoothing(output) == pytest.approx(0.7)


@pytest.mark.parametrize("name, getter", [("outline", "GetVisibility2DOutline"), ("fill", "GetVisibility2DFill")])
def test_outline_and_fill_follow_their_boxes(application, display, ct_node, name, getter):
    drawn = segment(application, display).GetDisplayNode()
    assert getattr(drawn, getter)()
    application.click(getattr(display.ui, f"{name}CheckBox"))
    assert not getattr(drawn, getter)()
    segment(application, display)
    assert not getattr(drawn, getter)()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_views_are_centred_if_wanted(application, display, ct_node, wanted):
    layout = application.app.layoutManager()
    mrml.show_in_slices(ct_node)
    if not wanted:
        application.click(display.ui.frameLiverCheckBox)
    before, resets = slices(layout), layout.reset_3d_views
    segment(application, display)
    assert (slices(layout) != before) == wanted and (layout.reset_3d_views > resets) == wanted


@pytest.mark.parametrize("centred", [True, False])
def test_the_slices_show_the_ct_that_was_segmented_and_not_another(application, display, ct_node, centred):
    mrml.show_in_slices(mrml.volume_from_ct(small_ct("Another")[0]))
    if not centred:
        application.click(display.ui.frameLiverCheckBox)
    segment(application, display)
    assert mrml.is_in_slices(ct_node)


def slices(layout):
    nodes = [layout.sliceWidget(name).mrmlSliceNode() for name in layout.sliceViewNames()]
    return [(node.GetFieldOfView(), [node.GetSliceToRAS().GetElement(row, 3) for row in range(3)]) for node in nodes]


def test_a_result_that_is_merely_chosen_keeps_the_surface_that_it_has(application, display, ct_node):
    first = segment(application, display)
    application.choose(display.ui.inputSelector, mrml.volume_from_ct(small_ct("Another")[0]))
    second = segment(application, display)
    application.click(display.ui.show3DCheckBox)
    application.wait_until(lambda: not surface(second))
    application.choose(display.ui.inputSelector, ct_node)
    assert surface(first) and not display._results._timer.active


# ---- two CT ----------------------------------------------------------------------------------------------------------


def seen(output):
    display = output.GetDisplayNode()
    ids = output.GetSegmentation().GetSegmentIDs()
    return [segment_id for segment_id in ids if display.GetVisibility() and display.GetSegmentVisibility(segment_id)]


def test_the_liver_of_another_ct_is_hidden_and_comes_back_with_its_ct(application, quick_panel, ct_node):
    first = add_reference(application.scene, Spleen=small_ct()[1])
    [spleen] = first.GetSegmentation().GetSegmentIDs()
    application.choose(quick_panel.ui.outputSelector, first)
    segment(application, quick_panel)
    another = mrml.volume_from_ct(small_ct("Another")[0])
    application.choose(quick_panel.ui.inputSelector, another)
    assert seen(first) == [spleen]
    second = segment(application, quick_panel)
    assert seen(first) == [spleen] and seen(second) == [LIVER_ID]
    application.choose(quick_panel.ui.inputSelector, ct_node)
    assert seen(first) == [spleen, LIVER_ID] and seen(second) == []


def test_a_liver_that_the_user_has_hidden_stays_hidden(application, quick_panel, ct_node):
    first = segment(application, quick_panel)
    first.GetDisplayNode().SetSegmentVisibility(LIVER_ID, False)
    for node in (mrml.volume_from_ct(small_ct("Another")[0]), ct_node):
        application.choose(quick_panel.ui.inputSelector, node)
        assert seen(first) == []


def test_the_liver_of_another_ct_that_is_the_reference_stays_seen(application, quick_panel, ct_node):
    first = segment(application, quick_panel)
    choose_reference(application, quick_panel, first)
    application.choose(quick_panel.ui.inputSelector, mrml.volume_from_ct(small_ct("Another")[0]))
    segment(application, quick_panel)
    assert seen(first) == [LIVER_ID] and quick_panel.ui.diceLabel.text == "1.000"
