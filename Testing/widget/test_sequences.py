"""Sequences: the current frame, or all frames on request."""

from __future__ import annotations

import numpy as np
import pytest
import slicer

from LiverSegLib import messages, mrml
from LiverSegLib.data.structures import SPLEEN, VESSELS
from LiverSegLib.inference.options import SegmentOptions
from Testing.anatomy_stand_in import anatomy_of
from Testing.mrml.snapshot import snapshot
from Testing.widget.actions import (
    LIVER_ID,
    add_reference,
    choose_reference,
    liver_in,
    nodes,
    open_advanced,
    segment,
    start,
    table_of_frames,
    wait_for_the_end,
)
from Testing.widget.stand_in import small_ct

TIMES = ("0", "0.5", "1")


@pytest.fixture
def browser(application):
    """A browser at the first of three frames."""
    scene = application.scene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "CT sequence")
    for seed, time in enumerate(TIMES):
        frame = mrml.volume_from_ct(small_ct(f"CT {seed}", seed)[0])
        if seed == 2:  # a liver of another size
            slicer.util.arrayFromVolume(frame)[:4] = -50
        sequence.SetDataNodeAtValue(frame, time)
        scene.RemoveNode(frame)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return browser


@pytest.fixture
def moving_ct(application, quick_panel, browser):
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    application.choose(quick_panel.ui.inputSelector, volume)
    open_advanced(application, quick_panel)
    return volume


@pytest.fixture
def all_frames(application, quick_panel, moving_ct):
    application.click(quick_panel.ui.allFramesCheckBox)


def go_to(browser, frame):
    browser.SetSelectedItemNumber(frame)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)


def expected(frame):
    labels = small_ct(seed=frame)[1] > 0
    if frame == 2:
        labels[:4] = False
    return labels


def test_volumes_of_all_frames_are_those_in_the_patient(application, quick_panel, browser, moving_ct, all_frames):
    scaling = application.scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    slicer.util.updateTransformMatrixFromArray(scaling, np.diag([2.0, 3.0, 1.0, 1.0]))
    moving_ct.SetAndObserveTransformNodeID(scaling.GetID())
    output = segment(application, quick_panel)
    told = [frame["liver_volume_ml"] for frame in mrml.stored_report(output)["frames"]]
    true = [6 * expected(n).sum() * small_ct()[0].voxel_volume_ml for n in range(3)]
    assert told == pytest.approx(true, abs=0.01)
    assert f"{min(true):.0f} to {max(true):.0f} ml" in quick_panel.ui.liverVolumeLabel.text
    assert [float(row["Liver volume, ml"]) for row in table_of_frames()] == pytest.approx(true, abs=0.06)


def test_by_default_the_current_frame_is_segmented(application, quick_panel, browser, moving_ct):
    go_to(browser, 1)
    output = segment(application, quick_panel)
    np.testing.assert_array_equal(liver_in(output, moving_ct), expected(1))
    assert mrml.sequence_browser_of(output) is None


def test_all_frames_are_segmented_on_request(application, quick_panel, stand_in, browser, moving_ct, all_frames):
    output = segment(application, quick_panel)
    assert len(stand_in.calls) == 3 and mrml.sequence_browser_of(output) is browser
    for frame in (2, 0, 1):
        go_to(browser, frame)
        np.testing.assert_array_equal(liver_in(output, moving_ct), expected(frame))
    assert application.dialogs == []


def test_the_numbers_of_all_frames_are_shown(application, quick_panel, browser, moving_ct, all_frames):
    segment(application, quick_panel)
    ml = [expected(frame).sum() * small_ct()[0].voxel_volume_ml for frame in range(3)]
    for frame in (0, 2):  # they hold whichever frame is shown
        go_to(browser, frame)
        shown = messages.RANGE_OF_VOLUMES.format(smallest=min(ml), largest=max(ml), count=3)
        assert quick_panel.ui.liverVolumeLabel.text == shown
    for row, time, volume in zip(table_of_frames(), TIMES, ml, strict=True):
        assert row == {"Frame": time, "Liver volume, ml": f"{volume:.2f}"}
    assert "3 frames" in quick_panel.ui.statusLabel.text


def test_the_stage_tells_the_frame(application, quick_panel, stand_in, moving_ct, all_frames):
    start(application, quick_panel, stand_in)
    application.wait_until(lambda: "Frame 1 of 3: Finding the liver" in quick_panel.ui.statusLabel.text)


def test_a_cancel_leaves_the_scene_as_it_was(application, quick_panel, stand_in, moving_ct, all_frames):
    before = snapshot(application.scene)
    start(application, quick_panel, stand_in)
    application.click(quick_panel.ui.segmentButton)
    assert quick_panel.ui.statusLabel.text == messages.CANCELLED and snapshot(application.scene) == before


def test_a_frame_that_fails_leaves_the_scene_as_it_was(application, quick_panel, stand_in, moving_ct, all_frames):
    before, calls = snapshot(application.scene), stand_in.calls
    segment_one = stand_in.segment

    def third_fails(*arguments, **options):
        stand_in.error = RuntimeError("out of luck") if len(calls) == 2 else None
        return segment_one(*arguments, **options)

    stand_in.segment = third_fails
    segment(application, quick_panel)
    assert len(calls) == 3 and "out of luck" in quick_panel.ui.statusLabel.text
    assert snapshot(application.scene) == before


def test_frames_that_cannot_be_written_leave_no_output(application, quick_panel, moving_ct, all_frames, monkeypatch):
    def broken(*arguments):
        raise MemoryError("no room")

    before = snapshot(application.scene)
    monkeypatch.setattr(mrml, "write_frames", broken)
    segment(application, quick_panel)
    assert "no room" in quick_panel.ui.statusLabel.text and snapshot(application.scene) == before


def test_deleting_the_ct_ends_the_run_over_all_frames(application, quick_panel, stand_in, moving_ct, all_frames):
    start(application, quick_panel, stand_in)
    application.scene.RemoveNode(moving_ct)
    assert quick_panel.ui.statusLabel.text == messages.INPUT_DELETED and nodes("Segmentation") == []


def test_the_result_of_one_frame_cannot_be_undone_into_a_node_of_all_frames(
    application, quick_panel, browser, moving_ct
):
    segment(application, quick_panel)
    segment(application, quick_panel)
    assert quick_panel.ui.undoButton.enabled
    application.click(quick_panel.ui.allFramesCheckBox)
    segment(application, quick_panel)
    assert not quick_panel.ui.undoButton.enabled and not quick_panel.ui.redoButton.enabled


def test_a_reference_is_compared_with_the_frame_that_is_shown(application, quick_panel, browser, moving_ct, all_frames):
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=expected(0)))
    segment(application, quick_panel)
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.diceLabel.text == "1.000" and "3 frames" in quick_panel.ui.statusLabel.text
    assert [row["Dice"] for row in table_of_frames()] == ["1.0000", "", ""]


@pytest.fixture
def all_anatomy(application, quick_panel, all_frames):
    ui = quick_panel.ui
    for box in (ui.tumourCheckBox, ui.segmentsCheckBox, ui.vesselsCheckBox, ui.spleenCheckBox):
        application.click(box)


def voxels(output, moving_ct, label):
    return slicer.util.arrayFromSegmentBinaryLabelmap(output, mrml.ANATOMY_IDS[label], moving_ct) > 0


def test_segments_vessels_and_spleen_follow_the_frame(application, quick_panel, browser, moving_ct, all_anatomy):
    output = segment(application, quick_panel)
    for frame in (2, 0, 1):
        go_to(browser, frame)
        found = anatomy_of(expected(frame).astype(np.uint8), SegmentOptions(segments=True, vessels=True, spleen=True))
        segments = [voxels(output, moving_ct, number) for number in range(1, 9)]
        for number, mask in enumerate(segments, start=1):
            np.testing.assert_array_equal(mask, found.segments == number)
        np.testing.assert_array_equal(np.sum(segments, axis=0), liver_in(output, moving_ct))
        np.testing.assert_array_equal(voxels(output, moving_ct, SPLEEN.label), found.spleen)
        np.testing.assert_array_equal(voxels(output, moving_ct, VESSELS.label), found.vessels)


def test_the_table_has_the_volumes_of_each_time_point_which_add_up(
    application, quick_panel, browser, moving_ct, all_anatomy
):
    output = segment(application, quick_panel)
    told = mrml.stored_report(output)["frames"]
    for row, frame, time in zip(table_of_frames(), told, TIMES, strict=True):
        assert row["Frame"] == time
        assert sum(frame["segments_ml"].values()) == pytest.approx(frame["liver_volume_ml"], abs=1e-6)
        assert sum(frame["segments_percent"].values()) == pytest.approx(100, abs=1e-6)
        for number, volume in frame["segments_ml"].items():
            assert row[f"Couinaud segment {number}, ml"] == f"{volume:.2f}"
        written = sum(float(row[f"Couinaud segment {number}, ml"]) for number in range(1, 9))
        assert written == pytest.approx(float(row["Liver volume, ml"]), abs=1e-6)
        assert row["Spleen, ml"] == f"{frame['spleen_volume_ml']:.2f}"
        assert row["Liver vessels, ml"] == f"{frame['vessels_volume_ml']:.2f}" and "Tumour volume, ml" in row


def test_the_panel_tells_the_range_of_each_measure_and_plans_no_resection(
    application, quick_panel, browser, moving_ct, all_anatomy
):
    output = segment(application, quick_panel)
    ui, frames = quick_panel.ui, mrml.stored_report(output)["frames"]
    volumes = [frame["segments_ml"]["4"] for frame in frames]
    told = messages.RANGE_IN_ML.format(smallest=min(volumes), largest=max(volumes))
    assert f"Couinaud segment 4&nbsp;&nbsp;</td><td>{told}<" in ui.anatomyLabel.text
    assert ui.anatomyLabel.visible and not ui.resectionSection.visible


def test_the_liver_is_glass_in_all_frames_and_whole_again_without(
    application, quick_panel, browser, moving_ct, all_anatomy
):
    output = segment(application, quick_panel)
    drawn, ui = output.GetDisplayNode(), quick_panel.ui
    drawn.SetSegmentVisibility(mrml.ANATOMY_IDS[4], False)
    for frame in (2, 0):
        go_to(browser, frame)
        assert drawn.GetSegmentOpacity3D(LIVER_ID) < 0.5 and drawn.GetSegmentOpacity3D(mrml.ANATOMY_IDS[5]) < 0.5
        assert not drawn.GetSegmentVisibility(mrml.ANATOMY_IDS[4])
    for box in (ui.segmentsCheckBox, ui.vesselsCheckBox, ui.spleenCheckBox):
        application.click(box)
    segment(application, quick_panel)
    assert drawn.GetSegmentOpacity3D(LIVER_ID) == 1 and set(table_of_frames()[0]) == {
        "Frame",
        "Liver volume, ml",
        "Tumour volume, ml",
    }
    for frame in range(3):
        go_to(browser, frame)
        assert not set(output.GetSegmentation().GetSegmentIDs()) & set(mrml.ANATOMY_IDS.values())


def test_turning_the_frames_off_segments_one_again(application, quick_panel, stand_in, moving_ct, all_frames):
    application.click(quick_panel.ui.allFramesCheckBox)
    segment(application, quick_panel)
    assert len(stand_in.calls) == 1
