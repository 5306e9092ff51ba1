"""Places to check: a click shows them in all views, a tick says that somebody has looked, and a name who it was."""

from __future__ import annotations

import numpy as np
import pytest
import slicer.util

from LiverSegLib import messages, mrml
from LiverSegLib.data.places import Place
from Testing.mrml.transforms import TRANSFORMS, add_transform
from Testing.widget.actions import correct, nodes, open_section, segment, table_rows, tags, world
from Testing.widget.stand_in import small_ct


def place(k, j, i, **others):
    position = tuple(float(mm) for mm in (small_ct()[0].affine @ [i, j, k, 1])[:3])
    return Place(k, position, **{"ml": 12.4, "side": "right", "height": "upper", "inside": True, **others})


PLACES = (place(6, 4, 5), place(3, 10, 12, ml=2.0, side="left", height="middle", inside=False))


@pytest.fixture
def output(application, quick_panel, stand_in, ct_node):
    """A result with two places to check, and their section open."""
    stand_in.places = PLACES
    found = segment(application, quick_panel)
    open_section(application, quick_panel.ui.correctSection)
    return found


def seen(panel):
    ticks = [getattr(panel.ui, f"placeCheckBox{number}") for number in range(1, 6)]
    return [tick.checked for tick in ticks if tick.visible]


def write(application, panel, name):
    edit = panel.ui.checkedByEdit
    edit.setFocus()
    edit.setText(name)
    edit.clearFocus()
    edit.editingFinished.emit()
    application.process_events()


def test_the_title_counts_them_while_the_section_is_closed(application, quick_panel, stand_in, ct_node):
    stand_in.places = PLACES
    segment(application, quick_panel)
    section = quick_panel.ui.correctSection
    assert section.collapsed and section.text == "Correct: 2 to check"
    application.click(section)
    for number in (1, 2):
        application.click(getattr(quick_panel.ui, f"placeCheckBox{number}"))
    assert section.text == "Correct"


def test_they_are_told_in_few_words_and_in_more_in_the_tooltip(quick_panel, output):
    buttons = [getattr(quick_panel.ui, f"placeButton{number}") for number in range(1, 6)]
    assert [button.text for button in buttons if button.visible] == [
        "Slice 7, upper right, 12 ml",
        "Slice 4, middle left, 2 ml",
    ]
    assert str(PLACES[1]) in buttons[1].toolTip


def test_without_places_there_is_no_list(application, quick_panel, ct_node):
    segment(application, quick_panel)
    open_section(application, quick_panel.ui.correctSection)
    assert not quick_panel.ui.placesCaption.visible and not quick_panel.ui.placeButton1.visible
    assert quick_panel.ui.addButton.visible and seen(quick_panel) == []


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_click_goes_there_in_all_views(application, quick_panel, ct_node, output, kind):
    ct_node.SetAndObserveTransformNodeID(add_transform(application.scene, kind))
    application.click(quick_panel.ui.placeButton2)
    for node in nodes("Slice"):
        centre = slicer.util.arrayFromVTKMatrix(node.GetSliceToRAS())[:3, 3]
        assert np.allclose(centre, world(ct_node, 3, 10, 12), atol=1e-3)


def test_ticks_and_name_are_kept_with_the_result(application, quick_panel, ct_node, output, tmp_path):
    application.click(quick_panel.ui.placeCheckBox2)
    write(application, quick_panel, " Dr Röntgen ")
    assert table_rows()[messages.MEASURE_PLACES_CHECKED] == "1 of 2"
    assert table_rows()[messages.MEASURE_CHECKED_BY] == "Dr Röntgen"
    report = mrml.stored_report(output)
    assert [entry.get("seen", False) for entry in report["places"]] == [False, True]
    assert report["checked_by"] == "Dr Röntgen"
    assert tags(output) == ["AUTOMATIC", "LiverSeg, checked by Dr Röntgen"]
    application.load_scene(application.save_scene(tmp_path / "scene.mrb"))
    assert seen(quick_panel) == [False, True] and quick_panel.ui.checkedByEdit.text == "Dr Röntgen"


def test_a_stroke_and_its_undo_leave_ticks_and_name_alone(application, quick_panel, ct_node, output):
    correct(application, quick_panel, ct_node, (5, 13, 17))
    application.click(quick_panel.ui.placeCheckBox1)
    write(application, quick_panel, "Dr R")
    assert tags(output) == ["SEMIAUTOMATIC", "LiverSeg, 1 corrections, checked by Dr R"]
    application.click(quick_panel.ui.undoStrokeButton)
    assert seen(quick_panel) == [True, False] and quick_panel.ui.checkedByEdit.text == "Dr R"
    assert quick_panel.ui.strokesList.count == 0 and tags(output) == ["AUTOMATIC", "LiverSeg, checked by Dr R"]


def test_a_new_run_is_not_checked_and_its_undo_brings_the_ticks_back(
    application, quick_panel, stand_in, ct_node, output
):
    application.click(quick_panel.ui.placeCheckBox1)
    write(application, quick_panel, "Dr R")
    stand_in.places = (place(2, 3, 5),)
    segment(application, quick_panel)
    assert seen(quick_panel) == [False] and quick_panel.ui.checkedByEdit.text == ""
    application.click(quick_panel.ui.undoButton)
    assert seen(quick_panel) == [True, False] and quick_panel.ui.checkedByEdit.text == "Dr R"


@pytest.mark.parametrize("places", [None, 3, [3], [{}], [{"slice": 1, "position_mm": [1], "side": "top"}]])
def test_places_of_another_version_are_left_out(application, quick_panel, ct_node, output, places):
    mrml.store_report(output, {**mrml.stored_report(output), "places": places, "checked_by": 7, "corrections": [4]})
    application.leave_panel()
    application.open_panel()
    assert seen(quick_panel) == [] and quick_panel.ui.checkedByEdit.text == ""
    write(application, quick_panel, "Dr R")
    assert table_rows()[messages.MEASURE_CHECKED_BY] == "Dr R"
