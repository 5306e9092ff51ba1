"""Segments, vessels and spleen in the panel, and a planned resection: figures at once, colours in the views."""

from __future__ import annotations

import re

import numpy as np
import pytest
import slicer.util

from LiverSegLib import messages, mrml
from LiverSegLib.data.resection import HEPATECTOMIES
from LiverSegLib.data.structures import COUINAUD
from Testing.widget.actions import LIVER_ID, open_section, segment, table_rows
from Testing.widget.stand_in import small_ct

SEGMENT_IDS = [mrml.ANATOMY_IDS[number] for number in range(1, 9)]


@pytest.fixture
def divided(application, quick_panel, ct_node):
    """A result with all that there is, and its section of the resection open."""
    ui = quick_panel.ui
    for box in (ui.tumourCheckBox, ui.segmentsCheckBox, ui.vesselsCheckBox, ui.spleenCheckBox):
        application.click(box)
    output = segment(application, quick_panel)
    open_section(application, ui.resectionSection)
    return output


def voxels(output, ct_node, segment_id):
    return slicer.util.arrayFromSegmentBinaryLabelmap(output, segment_id, ct_node) > 0


def colours(output):
    display = output.GetDisplayNode()
    return {number: tuple(display.GetSegmentColor(mrml.ANATOMY_IDS[number])) for number in range(1, 9)}


def own_colours():
    return {found.label: pytest.approx(np.array(found.colour) / 255, abs=1e-5) for found in COUINAUD}


def test_segments_add_up_to_the_liver_and_carry_names_and_colours(quick_panel, ct_node, divided):
    masks = [voxels(divided, ct_node, segment_id) for segment_id in SEGMENT_IDS]
    assert np.array_equal(np.sum(masks, axis=0), voxels(divided, ct_node, LIVER_ID))
    assert divided.GetSegmentation().GetSegment(SEGMENT_IDS[3]).GetName() == "Couinaud segment 4"
    assert voxels(divided, ct_node, mrml.ANATOMY_IDS[9]).any()
    assert colours(divided) == own_colours()


def test_the_liver_is_glass_round_its_segments_and_whole_again_without(application, quick_panel, ct_node, divided):
    drawn = divided.GetDisplayNode()
    assert drawn.GetSegmentOpacity3D(LIVER_ID) < 0.5 and not drawn.GetSegmentVisibility2DFill(LIVER_ID)
    for box in (quick_panel.ui.segmentsCheckBox, quick_panel.ui.vesselsCheckBox):
        application.click(box)
    segment(application, quick_panel)
    assert drawn.GetSegmentOpacity3D(LIVER_ID) == 1 and drawn.GetSegmentVisibility2DFill(LIVER_ID)
    assert not any(divided.GetSegmentation().GetSegment(segment_id) for segment_id in SEGMENT_IDS)


def test_vessels_are_seen_through_the_liver_and_its_segments(application, quick_panel, ct_node, divided):
    drawn = divided.GetDisplayNode()
    vessels, liver = (voxels(divided, ct_node, segment_id) for segment_id in (mrml.ANATOMY_IDS[10], LIVER_ID))
    assert vessels.any() and not (vessels & ~liver).any()
    assert drawn.GetSegmentOpacity3D(mrml.ANATOMY_IDS[10]) == 1 and drawn.GetSegmentOpacity3D(SEGMENT_IDS[4]) < 0.5
    application.click(quick_panel.ui.segmentsCheckBox)
    segment(application, quick_panel)
    assert drawn.GetSegmentOpacity3D(LIVER_ID) < 0.5
    application.click(quick_panel.ui.segmentsCheckBox)
    application.click(quick_panel.ui.vesselsCheckBox)
    segment(application, quick_panel)
    assert drawn.GetSegmentOpacity3D(SEGMENT_IDS[4]) == 1 and drawn.GetSegmentOpacity3D(LIVER_ID) < 0.5


def test_a_glass_that_the_user_made_clearer_stays(application, quick_panel, divided):
    divided.GetDisplayNode().SetSegmentOpacity3D(LIVER_ID, 0.05)
    segment(application, quick_panel)
    assert divided.GetDisplayNode().GetSegmentOpacity3D(LIVER_ID) == 0.05


def test_the_result_reads_like_a_report(quick_panel, divided):
    report, text = mrml.stored_report(divided), quick_panel.ui.anatomyLabel.text
    assert quick_panel.ui.anatomyLabel.visible
    for number, volume in report["segments_ml"].items():
        assert f"Couinaud segment {number}" in text and f"{volume:.0f} ml, " in text
    for words in (messages.VESSELS, messages.SPLEEN, "Tumour 1", "in segment"):
        assert words in text
    assert table_rows()["Couinaud segment 4"].endswith("%")


def test_what_table_and_panel_tell_adds_up(application, quick_panel, divided):
    liver = round(mrml.stored_report(divided)["liver_volume_ml"])
    for text in (" ".join(f"{name} {value}" for name, value in table_rows().items()), quick_panel.ui.anatomyLabel.text):
        segments = re.findall(r"Couinaud segment \d\D*(\d+) ml, (\d+) %", text)
        assert len(segments) == 8 and sum(int(ml) for ml, _ in segments) == liver
        assert sum(int(percent) for _, percent in segments) == 100
    for name in HEPATECTOMIES:
        application.choose(quick_panel.ui.hepatectomySelector, name.capitalize())
        parts = re.findall(r">(\d+) ml, (\d+) %<", quick_panel.ui.resectionLabel.text)
        assert len(parts) == 2 and sum(int(ml) for ml, _ in parts) == liver
        assert sum(int(percent) for _, percent in parts) == 100


def test_nothing_of_it_is_there_unless_it_is_asked_for(application, quick_panel, stand_in, ct_node):
    output = segment(application, quick_panel)
    assert not quick_panel.ui.anatomyLabel.visible and not quick_panel.ui.resectionSection.visible
    assert list(output.GetSegmentation().GetSegmentIDs()) == [LIVER_ID]


def test_a_hepatectomy_ticks_its_segments_and_tells_what_stays(application, quick_panel, divided):
    ui = quick_panel.ui
    assert not ui.resectionLabel.visible
    application.choose(ui.hepatectomySelector, "Right hepatectomy")
    assert [n for n in range(1, 9) if getattr(ui, f"removeCheckBox{n}").checked] == [5, 6, 7, 8]
    volumes = mrml.stored_report(divided)["segments_ml"]
    assert f"{sum(volumes[n] for n in '1234'):.0f} ml" in ui.resectionLabel.text
    assert messages.REMNANT_OF_WEIGHT not in ui.resectionLabel.text
    ui.weightSpinBox.value = 72
    ui.heightSpinBox.value = 180
    for words in (messages.REMNANT_OF_WEIGHT, messages.STANDARD_LIVER, "1610 ml"):
        assert words in ui.resectionLabel.text


def test_ticks_are_known_by_their_hepatectomy_or_are_others(application, quick_panel, divided):
    ui = quick_panel.ui
    for number in (6, 7):
        application.click(getattr(ui, f"removeCheckBox{number}"))
    assert ui.hepatectomySelector.currentText == "Right posterior sectionectomy"
    application.click(ui.removeCheckBox1)
    assert ui.hepatectomySelector.currentText == messages.OTHER_HEPATECTOMY
    application.choose(ui.hepatectomySelector, messages.NO_HEPATECTOMY)
    assert not ui.removeCheckBox6.checked and not ui.resectionLabel.visible


def test_what_is_removed_has_another_colour_and_its_own_again_afterwards(application, quick_panel, divided):
    ui, before = quick_panel.ui, [divided.GetSegmentation().GetSegment(found).GetColor() for found in SEGMENT_IDS]
    application.choose(ui.hepatectomySelector, "Left lateral sectionectomy")
    shown, own = colours(divided), own_colours()
    assert shown[2] == shown[3] != own[2] and {n: shown[n] for n in (1, 4, 8)} == {n: own[n] for n in (1, 4, 8)}
    assert [divided.GetSegmentation().GetSegment(found).GetColor() for found in SEGMENT_IDS] == before
    application.choose(ui.hepatectomySelector, messages.NO_HEPATECTOMY)
    assert colours(divided) == own


def test_another_patient_has_another_plan_and_another_body(application, quick_panel, divided):
    ui = quick_panel.ui
    application.choose(ui.hepatectomySelector, "Right hepatectomy")
    ui.weightSpinBox.value = 72
    application.choose(ui.inputSelector, mrml.volume_from_ct(small_ct("Another")[0]))
    assert ui.weightSpinBox.value == 0 and not ui.resectionSection.visible
    assert quick_panel._parameterNode.removedSegments == ""


def test_undo_brings_back_a_result_without_segments(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    application.click(quick_panel.ui.segmentsCheckBox)
    segment(application, quick_panel)
    assert quick_panel.ui.resectionSection.visible
    application.click(quick_panel.ui.undoButton)
    assert not quick_panel.ui.resectionSection.visible and not quick_panel.ui.anatomyLabel.visible
    assert output.GetDisplayNode().GetSegmentOpacity3D(LIVER_ID) == 1
