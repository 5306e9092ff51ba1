"""A reader corrects a result: draws in the slice views, takes back, deletes; and what may happen meanwhile."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import messages, mrml
from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.errors import DeviceError
from Testing.mrml.snapshot import segments, snapshot
from Testing.mrml.transforms import TRANSFORMS, add_transform
from Testing.widget.actions import (
    LIVER_ID,
    add_reference,
    choose_reference,
    compare,
    correct,
    draw,
    liver_in,
    nodes,
    open_section,
    segment,
    table_rows,
    tags,
    take,
    wait_for_correction,
    wait_for_the_end,
    world,
)
from Testing.widget.refiner_stand_in import corrected
from Testing.widget.stand_in import small_ct

# Beside the liver of small_ct(), and in it: (k, j, i).
OUTSIDE, OTHER_OUTSIDE, INSIDE = (5, 13, 17), (8, 10, 6), (4, 6, 8)


@pytest.fixture
def output(application, quick_panel, ct_node):
    """A result, and the section for corrections open."""
    found = segment(application, quick_panel)
    open_section(application, quick_panel.ui.correctSection)
    return found


def listed(panel):
    strokes = panel.ui.strokesList
    return [strokes.item(row).text() for row in range(strokes.count)] if strokes.visible else []


def expected(ct_node, *strokes):
    """The liver of small_ct() after strokes, each (is_liver, voxel, ...), as the stand-in makes it."""
    labels, drawn = small_ct()[1], []
    affine = mrml.affine_of(ct_node)
    for is_liver, *voxels in strokes:
        points = np.array([(affine @ [i, j, k, 1])[:3] for k, j, i in voxels])
        drawn.append(Stroke(points, is_liver))
        labels = corrected(labels, drawn, Geometry(labels.shape, affine))
    return labels > 0


def nearly(found, wanted):
    """The same but for the rim: the mouse is where a pixel is."""
    return (found != wanted).sum() <= 0.04 * wanted.sum()


# ---- tools -----------------------------------------------------------------------------------------------------------


def test_there_is_nothing_to_correct_before_there_is_a_result(application, quick_panel, ct_node):
    section = quick_panel.ui.correctSection
    assert not section.visible
    segment(application, quick_panel)
    assert section.visible and section.collapsed and quick_panel.ui.addButton.enabled


def test_a_click_adds_liver_there_and_another_tool_takes_it_away(application, quick_panel, ct_node, output):
    correct(application, quick_panel, ct_node, OUTSIDE)
    assert nearly(liver_in(output, ct_node), expected(ct_node, (True, OUTSIDE)))
    assert liver_in(output, ct_node)[OUTSIDE] and listed(quick_panel) == ["Add, slice 6"]
    correct(application, quick_panel, ct_node, INSIDE, button="removeButton")
    assert nearly(liver_in(output, ct_node), expected(ct_node, (True, OUTSIDE), (False, INSIDE)))
    assert not liver_in(output, ct_node)[INSIDE] and listed(quick_panel) == ["Add, slice 6", "Remove, slice 5"]
    assert not quick_panel.ui.addButton.checked and quick_panel.ui.removeButton.checked


def test_a_line_is_a_stroke_with_its_length(application, quick_panel, ct_node, output):
    correct(application, quick_panel, ct_node, (5, 13, 5), (5, 13, 10), (5, 13, 15))
    assert listed(quick_panel) == ["Add, slice 6, 15 mm"]
    assert liver_in(output, ct_node)[5, 13, 5:16].all()


def test_panel_table_and_report_follow(application, quick_panel, ct_node, output):
    before = float(table_rows()[messages.MEASURE_LIVER_VOLUME])
    correct(application, quick_panel, ct_node, OUTSIDE)
    added = (liver_in(output, ct_node) & ~(small_ct()[1] > 0)).sum() * small_ct()[0].voxel_volume_ml
    rows = table_rows()
    assert float(rows[messages.MEASURE_LIVER_VOLUME]) == pytest.approx(before + added, abs=0.11)
    assert rows[messages.MEASURE_STROKES] == "1" and rows[messages.MEASURE_ADDED] == f"{added:.1f} ml"
    assert quick_panel.ui.correctionsLabel.text == f"1 stroke: +{added:.1f} ml, −0.0 ml"
    assert quick_panel.ui.liverVolumeLabel.text == f"{before + added:.0f} ml"
    report = mrml.stored_report(output)
    assert report["corrected_voxels"] == round(added / small_ct()[0].voxel_volume_ml) and report["removed_ml"] == 0


def test_keys_take_and_put_down_the_tools(application, quick_panel, ct_node, output):
    ui = quick_panel.ui
    application.press("A")
    assert ui.addButton.checked and ui.correctNoteLabel.text == messages.TOOL_HINT.format(tool="Add")
    application.press("R")
    assert ui.removeButton.checked and not ui.addButton.checked
    application.press("Esc")
    assert not ui.removeButton.checked and not ui.correctNoteLabel.visible
    draw(application, ct_node, OUTSIDE)
    wait_for_correction(application, quick_panel)
    assert listed(quick_panel) == []


def test_keys_belong_to_others_where_nobody_corrects(application, quick_panel, ct_node, output):
    ui = quick_panel.ui
    ui.checkedByEdit.setFocus()
    for key in "AR":
        application.press(key)
    assert ui.checkedByEdit.text.lower() == "ar" and not ui.addButton.checked and not ui.removeButton.checked
    ui.checkedByEdit.clearFocus()
    application.click(ui.correctSection)
    application.press("A")
    assert not ui.addButton.checked
    application.leave_panel()
    application.press("A")
    application.open_panel()
    assert not ui.addButton.checked


def test_the_mouse_is_slicers_own_without_a_tool_and_with_a_key(application, quick_panel, ct_node, output):
    heard = []
    mouse = application.app.layoutManager().sliceWidget("Red").sliceView().interactor()
    mouse.AddObserver("LeftButtonPressEvent", lambda caller, event: heard.append(event), 0.0)
    draw(application, ct_node, OUTSIDE)
    assert len(heard) == 1
    take(application, quick_panel)
    draw(application, ct_node, OUTSIDE)
    assert len(heard) == 1
    application.draw("Red", world(ct_node, *OUTSIDE), shift=True)
    assert len(heard) == 2
    wait_for_correction(application, quick_panel)
    assert listed(quick_panel) == ["Add, slice 6"]


def test_placing_a_markup_puts_the_tool_down(application, quick_panel, ct_node, output):
    take(application, quick_panel)
    mode = application.app.applicationLogic().GetInteractionNode()
    mode.SetCurrentInteractionMode(mode.Place)
    assert not quick_panel.ui.addButton.checked
    draw(application, ct_node, OUTSIDE)
    wait_for_correction(application, quick_panel)
    assert listed(quick_panel) == []
    take(application, quick_panel)
    assert mode.GetCurrentInteractionMode() == mode.ViewTransform


def test_a_tool_stays_in_the_hand_in_another_layout(application, quick_panel, ct_node, output):
    take(application, quick_panel)
    application.app.layoutManager().layoutChanged.emit(3)
    draw(application, ct_node, OUTSIDE, view="Yellow")
    wait_for_correction(application, quick_panel)
    assert listed(quick_panel) == ["Add, slice 6"] and quick_panel.ui.addButton.checked


@pytest.mark.parametrize("kind", TRANSFORMS)
@pytest.mark.parametrize("view", ["Red", "Green", "Yellow", "oblique"])
def test_what_is_marked_is_where_the_mouse_was(application, quick_panel, ct_node, kind, view):
    ct_node.SetAndObserveTransformNodeID(add_transform(application.scene, kind))
    output = segment(application, quick_panel)
    if view == "oblique":
        view, node = "Green", application.app.layoutManager().sliceWidget("Green").mrmlSliceNode()
        node.SetSliceToRASByNTP(0.3, 0.9, 0.2, 0.8, -0.1, 0.5, 0, 0, 0, 0)
    correct(application, quick_panel, ct_node, OUTSIDE, view=view)
    assert nearly(liver_in(output, ct_node), expected(ct_node, (True, OUTSIDE)))
    assert liver_in(output, ct_node)[OUTSIDE] and listed(quick_panel) == ["Add, slice 6"]


def test_a_click_outside_of_the_ct_is_told_and_changes_nothing(application, quick_panel, ct_node, output):
    take(application, quick_panel)
    wait_for_correction(application, quick_panel)
    before = snapshot(application.scene)
    draw(application, ct_node, (5, 40, 10))
    wait_for_correction(application, quick_panel)
    assert quick_panel.ui.correctNoteLabel.text == messages.CLICK_OUTSIDE.format(name="CT")
    assert [one for one in snapshot(application.scene) if "SliceNode" not in one[0]] == [
        one for one in before if "SliceNode" not in one[0]
    ]
    assert quick_panel.ui.addButton.checked and application.dialogs == []


# ---- one step after the other ----------------------------------------------------------------------------------------


def test_steps_are_undone_and_redone(application, quick_panel, ct_node, output):
    states = [segments(output)]
    for voxel in (OUTSIDE, OTHER_OUTSIDE):
        correct(application, quick_panel, ct_node, voxel)
        states.append(segments(output))
    for state, count in zip(states[-2::-1], (1, 0), strict=True):
        application.click(quick_panel.ui.undoStrokeButton)
        assert segments(output) == state and len(listed(quick_panel)) == count
    assert not quick_panel.ui.undoStrokeButton.enabled
    for state in states[1:]:
        application.click(quick_panel.ui.redoButton)
        assert segments(output) == state
    assert len(listed(quick_panel)) == 2


def test_a_stroke_is_deleted_and_the_others_stay(application, quick_panel, ct_node, output):
    for voxel in (OUTSIDE, OTHER_OUTSIDE, (1, 2, 2)):
        correct(application, quick_panel, ct_node, voxel)
    quick_panel.ui.strokesList.setCurrentRow(1)
    application.click(quick_panel.ui.deleteStrokeButton)
    wait_for_correction(application, quick_panel)
    assert nearly(liver_in(output, ct_node), expected(ct_node, (True, OUTSIDE), (True, (1, 2, 2))))
    assert listed(quick_panel) == ["Add, slice 6", "Add, slice 2"]
    application.click(quick_panel.ui.undoStrokeButton)
    assert len(listed(quick_panel)) == 3 and liver_in(output, ct_node)[OTHER_OUTSIDE]


def test_without_its_last_stroke_the_result_is_the_automatic_one(application, quick_panel, ct_node, output):
    before = segments(output)
    for voxel in (OUTSIDE, INSIDE):
        correct(application, quick_panel, ct_node, voxel, button="addButton" if voxel == OUTSIDE else "removeButton")
    for _ in range(2):
        quick_panel.ui.strokesList.setCurrentRow(0)
        application.click(quick_panel.ui.deleteStrokeButton)
        wait_for_correction(application, quick_panel)
    assert segments(output) == before and listed(quick_panel) == []
    assert "corrections" not in mrml.stored_report(output) and output.GetAttribute("LiverSeg.Corrections") is None


def test_what_was_painted_by_hand_stays_when_a_stroke_goes(application, quick_panel, ct_node, output):
    correct(application, quick_panel, ct_node, OUTSIDE)
    painted = liver_in(output, ct_node)
    painted[9, 0:2, 0:2] = True
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted.astype(np.uint8), output, LIVER_ID, ct_node)
    quick_panel.ui.strokesList.setCurrentRow(0)
    application.click(quick_panel.ui.deleteStrokeButton)
    wait_for_correction(application, quick_panel)
    found = liver_in(output, ct_node)
    assert found[9, 0:2, 0:2].all() and not found[OUTSIDE]


def test_what_is_drawn_while_the_network_works_comes_next(application, quick_panel, refiner, ct_node, output):
    take(application, quick_panel)
    wait_for_correction(application, quick_panel)
    refiner.hold()
    for voxel in (OUTSIDE, OTHER_OUTSIDE, (1, 2, 2)):
        draw(application, ct_node, voxel)
    application.wait_until(refiner.waiting.is_set)
    refiner.release()
    wait_for_correction(application, quick_panel)
    assert len(listed(quick_panel)) == 3
    assert all(liver_in(output, ct_node)[voxel] for voxel in (OUTSIDE, OTHER_OUTSIDE, (1, 2, 2)))
    assert refiner.made == 1 and refiner.calls == 3


def test_undo_takes_back_what_is_still_worked_on(application, quick_panel, refiner, ct_node, output):
    take(application, quick_panel)
    wait_for_correction(application, quick_panel)
    before = segments(output)
    refiner.hold()
    draw(application, ct_node, OUTSIDE)
    application.wait_until(refiner.waiting.is_set)
    application.click(quick_panel.ui.undoStrokeButton)
    assert not quick_panel._correct.running and segments(output) == before
    refiner.release()
    correct(application, quick_panel, ct_node, OTHER_OUTSIDE)
    assert listed(quick_panel) == ["Add, slice 9"]


def test_segments_and_tumours_follow_the_liver(application, quick_panel, ct_node):
    ui = quick_panel.ui
    for box in (ui.tumourCheckBox, ui.segmentsCheckBox, ui.spleenCheckBox):
        application.click(box)
    output = segment(application, quick_panel)
    correct(application, quick_panel, ct_node, OUTSIDE)
    correct(application, quick_panel, ct_node, (4, 7, 11), button="removeButton")

    def voxels(segment_id):
        return slicer.util.arrayFromSegmentBinaryLabelmap(output, segment_id, ct_node) > 0

    liver = liver_in(output, ct_node)
    assert np.array_equal(np.sum([voxels(mrml.ANATOMY_IDS[n]) for n in range(1, 9)], axis=0), liver)
    tumour = voxels(mrml.SEGMENT_IDS[2])
    assert np.array_equal(tumour, (small_ct()[1] == 2) & liver) and not tumour[4, 7, 11]
    assert not (voxels(mrml.ANATOMY_IDS[9]) & liver).any()
    report = mrml.stored_report(output)
    assert sum(report["segments_ml"].values()) == pytest.approx(report["liver_volume_ml"], abs=0.05)


def test_measures_against_a_reference_follow_and_the_tool_stays(application, quick_panel, ct_node, output):
    wanted = expected(ct_node, (True, OUTSIDE))
    compare(application, quick_panel, add_reference(application.scene, Liver=wanted.astype(np.uint8)))
    before = float(quick_panel.ui.diceLabel.text)
    correct(application, quick_panel, ct_node, OUTSIDE)
    assert float(quick_panel.ui.diceLabel.text) > max(before, 0.97) and quick_panel.ui.addButton.checked


# ---- in the middle of a click ----------------------------------------------------------------------------------------


@pytest.fixture
def click(application, quick_panel, refiner, ct_node, output):
    """A click on which the network works; gives the scene before the tool was taken."""
    correct(application, quick_panel, ct_node, OTHER_OUTSIDE)
    application.press("Esc")
    before = segments(output), listed(quick_panel), mrml.stored_report(output)
    take(application, quick_panel)
    refiner.hold()
    draw(application, ct_node, OUTSIDE)
    application.wait_until(refiner.waiting.is_set)
    assert quick_panel.ui.correctNoteLabel.text == messages.CORRECTING
    return before


def end_all(application, panel, refiner):
    refiner.release()
    application.wait_until(lambda: not refiner.waiting.is_set() and not panel._correct.busy)
    wait_for_the_end(application, panel)
    assert application.dialogs == []


def test_escape_leaves_the_result_as_it_was(application, quick_panel, refiner, ct_node, output, click):
    application.press("Esc")
    assert not quick_panel._correct.running and not quick_panel.ui.addButton.checked
    end_all(application, quick_panel, refiner)
    assert (segments(output), listed(quick_panel), mrml.stored_report(output)) == click


def test_leaving_the_panel_leaves_the_result_as_it_was(application, quick_panel, refiner, ct_node, output, click):
    application.leave_panel()
    assert strokes_in_views() == {}
    refiner.release()
    application.open_panel()
    end_all(application, quick_panel, refiner)
    assert (segments(output), listed(quick_panel), mrml.stored_report(output)) == click


def test_a_run_ends_the_click_and_begins_anew(application, quick_panel, refiner, ct_node, output, click):
    application.click(quick_panel.ui.segmentButton)
    end_all(application, quick_panel, refiner)
    assert np.array_equal(liver_in(output, ct_node), small_ct()[1] > 0) and listed(quick_panel) == []
    application.click(quick_panel.ui.undoButton)
    assert (segments(output), listed(quick_panel)) == click[:2]


@pytest.mark.parametrize("gone", ["CT", "result", "scene"])
def test_what_is_needed_may_go(application, quick_panel, refiner, ct_node, output, click, gone):
    if gone == "scene":
        application.close_scene()
    else:
        application.scene.RemoveNode(ct_node if gone == "CT" else output)
    application.process_events()
    assert not quick_panel._correct.busy and not quick_panel.ui.addButton.enabled
    assert [node.GetName() for node in nodes("Model") if node.GetNodeReferenceID("LiverSeg.StrokesOf")] == []
    end_all(application, quick_panel, refiner)
    if gone == "CT":
        assert segments(output) == click[0]


def test_another_output_ends_the_click(application, quick_panel, refiner, ct_node, output, click):
    application.choose(quick_panel.ui.outputSelector, None)
    assert not quick_panel._correct.busy and not quick_panel.ui.correctSection.visible
    end_all(application, quick_panel, refiner)
    application.choose(quick_panel.ui.outputSelector, output)
    assert (segments(output), listed(quick_panel)) == click[:2] and not quick_panel.ui.addButton.checked


def test_what_is_painted_meanwhile_is_not_lost(application, quick_panel, refiner, ct_node, output, click):
    painted = liver_in(output, ct_node)
    painted[9, 0:2, 0:2] = True
    slicer.util.updateSegmentBinaryLabelmapFromArray(painted.astype(np.uint8), output, LIVER_ID, ct_node)
    refiner.release()
    wait_for_correction(application, quick_panel)
    assert np.array_equal(liver_in(output, ct_node), painted)
    assert quick_panel.ui.correctNoteLabel.text == messages.RESULT_CHANGED_MEANWHILE


def test_an_error_is_told_and_changes_nothing(application, quick_panel, refiner, ct_node, output, click):
    refiner.error = DeviceError("The GPU is gone; use the CPU.")
    refiner.release()
    wait_for_correction(application, quick_panel)
    assert quick_panel.ui.correctNoteLabel.text == "The GPU is gone; use the CPU." and application.dialogs == []
    assert (segments(output), listed(quick_panel), mrml.stored_report(output)) == click
    refiner.error = None
    correct(application, quick_panel, ct_node, OUTSIDE)
    assert len(listed(quick_panel)) == 2


def test_an_error_that_nobody_foresaw_is_shown_in_a_box(application, quick_panel, refiner, ct_node, output, click):
    refiner.error = RuntimeError("CUDA error")
    refiner.release()
    wait_for_correction(application, quick_panel)
    [dialog] = application.dialogs
    assert "CUDA error" in dialog.text
    assert (segments(output), listed(quick_panel), mrml.stored_report(output)) == click


def test_a_reference_that_is_chosen_meanwhile_waits_for_its_turn(
    application, quick_panel, refiner, ct_node, output, click
):
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=small_ct()[1]))
    assert quick_panel._correct.running
    end_all(application, quick_panel, refiner)
    assert len(listed(quick_panel)) == 2 and quick_panel.ui.diceLabel.text not in ("–", "1.000")


def test_a_result_that_cannot_be_written_is_what_it_was(
    application, quick_panel, refiner, ct_node, output, click, monkeypatch
):
    def broken(node, *arguments):
        node.GetSegmentation().RemoveAllSegments()
        raise MemoryError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(mrml, "write_segmentation", broken)
        refiner.release()
        wait_for_correction(application, quick_panel)
    assert (segments(output), listed(quick_panel), mrml.stored_report(output)) == click
    assert len(application.dialogs) == 1


# ---- in the scene ----------------------------------------------------------------------------------------------------


def strokes_in_views():
    return {node.GetName(): node for node in nodes("Model") if node.GetNodeReferenceID("LiverSeg.StrokesOf")}


def test_strokes_are_seen_while_the_section_is_open(application, quick_panel, refiner, ct_node, output):
    take(application, quick_panel)
    wait_for_correction(application, quick_panel)
    refiner.hold()
    draw(application, ct_node, OUTSIDE, (5, 13, 12), hold=True)
    [line] = strokes_in_views().values()
    bounds = np.zeros(6)
    line.GetRASBounds(bounds)
    ends = np.array([world(ct_node, *OUTSIDE), world(ct_node, 5, 13, 12)])
    assert np.allclose(bounds[::2], ends.min(axis=0) - 1.5, atol=0.3)
    assert np.allclose(bounds[1::2], ends.max(axis=0) + 1.5, atol=0.3)
    application.end_line("Red")
    assert len(strokes_in_views()) == 1
    refiner.release()
    wait_for_correction(application, quick_panel)
    correct(application, quick_panel, ct_node, INSIDE, button="removeButton")
    assert set(strokes_in_views()) == {messages.STROKES_LIVER, messages.STROKES_NO_LIVER}
    application.click(quick_panel.ui.correctSection)
    assert strokes_in_views() == {}
    application.click(quick_panel.ui.correctSection)
    assert len(strokes_in_views()) == 2
    application.leave_panel()
    assert strokes_in_views() == {}


@pytest.mark.parametrize("name", ["scene.mrb", "folder"])
def test_strokes_come_back_with_a_saved_scene_and_can_be_deleted(
    application, quick_panel, ct_node, output, tmp_path, name
):
    for voxel in (OUTSIDE, OTHER_OUTSIDE):
        correct(application, quick_panel, ct_node, voxel)
    was = listed(quick_panel)
    path = application.save_scene(tmp_path / name)
    assert not [found for found in path.rglob("*") if "stroke" in found.name.lower()] if path.is_dir() else True
    application.load_scene(path)
    [output], [ct_node] = nodes("Segmentation"), nodes("ScalarVolume")
    assert listed(quick_panel) == was and quick_panel.ui.correctSection.visible
    assert len(strokes_in_views()) == 1
    quick_panel.ui.strokesList.setCurrentRow(0)
    application.click(quick_panel.ui.deleteStrokeButton)
    wait_for_correction(application, quick_panel)
    assert nearly(liver_in(output, ct_node), expected(ct_node, (True, OTHER_OUTSIDE)))


@pytest.mark.parametrize("text", ["", "no JSON", "{}", "[]", '{"strokes": [], "first": [0, 0, 0], "shape": [9e9]}'])
def test_strokes_of_another_version_break_nothing(application, quick_panel, ct_node, output, text):
    correct(application, quick_panel, ct_node, OUTSIDE)
    output.SetAttribute("LiverSeg.Corrections", text)
    application.leave_panel()
    application.open_panel()
    assert listed(quick_panel) == []
    correct(application, quick_panel, ct_node, OTHER_OUTSIDE)
    assert listed(quick_panel) == ["Add, slice 9"] and liver_in(output, ct_node)[OTHER_OUTSIDE]


def test_a_click_on_a_stroke_shows_it_in_all_views(application, quick_panel, ct_node, output):
    for voxel in (OUTSIDE, OTHER_OUTSIDE):
        correct(application, quick_panel, ct_node, voxel)
    quick_panel.ui.strokesList.setCurrentRow(0)
    for node in nodes("Slice"):
        matrix = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())
        assert np.allclose(matrix[:3, 3], world(ct_node, *OUTSIDE), atol=0.2)


def test_a_dicom_export_tells_that_a_reader_corrected(application, quick_panel, ct_node, output):
    assert tags(output) == ["AUTOMATIC", "LiverSeg"]
    correct(application, quick_panel, ct_node, OUTSIDE)
    assert tags(output) == ["SEMIAUTOMATIC", "LiverSeg, 1 corrections"]
    application.click(quick_panel.ui.undoStrokeButton)
    assert tags(output) == ["AUTOMATIC", "LiverSeg"]
