"""The reference: chosen, compared at once, its disagreement on the slices; and what is no reference."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import messages, mrml
from LiverSegLib.data.metrics import compare as measure
from Testing.widget.actions import (
    LIVER_ID,
    add_reference,
    choose_reference,
    click_disagreement,
    compare,
    nodes,
    scene_without,
    segment,
    start,
    table_rows,
    wait_for_the_end,
)
from Testing.widget.stand_in import small_ct

NO_MEASURES = ["–"] * 5


def measures(panel):
    ui = panel.ui
    labels = (ui.diceLabel, ui.iouLabel, ui.hd95Label, ui.assdLabel, ui.volumeDifferenceLabel)
    return [label.text for label in labels]


def another_liver():
    """What a reader drew: one row off."""
    return np.roll((small_ct()[1] > 0).astype(np.uint8), 1, axis=1)


def expected(reference):
    ct, labels = small_ct()
    found = measure(labels > 0, reference > 0, ct.spacing)
    patterns = ("{:.3f}", "{:.3f}", "{:.1f} mm", "{:.1f} mm", "{:+.1f} %")
    return [pattern.format(value) for pattern, value in zip(patterns, found.values(), strict=True)]


@pytest.fixture(params=["labelmap", "segmentation"])
def reference(request, application):
    if request.param == "labelmap":
        return mrml.labelmap_from_array(another_liver(), small_ct()[0].affine, "Manual")
    return add_reference(application.scene, Liver=another_liver())


def test_a_reference_that_is_chosen_after_the_run_is_compared_at_once(application, quick_panel, ct_node, reference):
    segment(application, quick_panel)
    assert measures(quick_panel) == NO_MEASURES
    compare(application, quick_panel, reference)
    assert measures(quick_panel) == expected(another_liver())
    assert quick_panel.ui.statusLabel.text == "" and application.dialogs == []


def test_a_reference_that_is_chosen_before_the_run_is_compared_with_it(application, quick_panel, ct_node, reference):
    choose_reference(application, quick_panel, reference)
    assert measures(quick_panel) == NO_MEASURES
    segment(application, quick_panel)
    assert measures(quick_panel) == expected(another_liver())
    assert table_rows()[messages.MEASURE_IOU].startswith(quick_panel.ui.iouLabel.text[:4])


def test_the_run_itself_compares_and_nothing_is_compared_twice(
    application, quick_panel, ct_node, reference, monkeypatch
):
    compared = []
    monkeypatch.setattr(quick_panel.logic, "compareSteps", lambda *nodes: compared.append(nodes))
    choose_reference(application, quick_panel, reference)
    segment(application, quick_panel)
    assert measures(quick_panel) != NO_MEASURES and compared == []


def test_without_the_reference_the_measures_go(application, quick_panel, ct_node, reference):
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    compare(application, quick_panel, None)
    assert measures(quick_panel) == NO_MEASURES


def test_a_reference_on_another_grid_is_compared_with_a_note(application, quick_panel, ct_node):
    segment(application, quick_panel)
    ct, labels = small_ct()
    coarse = ct.affine @ np.diag([2.0, 2.0, 1.0, 1.0])
    compare(application, quick_panel, mrml.labelmap_from_array(labels[:, ::2, ::2].copy(), coarse, "Coarse"))
    assert 0.5 < float(quick_panel.ui.diceLabel.text) < 1
    assert quick_panel.ui.referenceNoteLabel.visible and "another voxel grid" in quick_panel.ui.referenceNoteLabel.text


def test_no_liver_found_is_compared_as_it_is(application, quick_panel, stand_in):
    ct, _labels = small_ct()
    slicer.util.addVolumeFromArray(np.where(ct.hu > 60, 30, ct.hu).astype(np.int16), ct.affine, "CT")
    segment(application, quick_panel)
    compare(application, quick_panel, add_reference(application.scene, Liver=another_liver()))
    assert measures(quick_panel) == ["0.000", "0.000", "–", "–", "-100.0 %"]
    assert application.dialogs == [] and messages.MEASURE_HD95 not in table_rows()
    segment(application, quick_panel)
    assert measures(quick_panel) == ["0.000", "0.000", "–", "–", "-100.0 %"] and application.dialogs == []


def test_the_section_is_closed_until_there_is_a_reference(application, quick_panel, ct_node, reference):
    assert quick_panel.ui.referenceSection.collapsed
    quick_panel._parameterNode.reference = reference
    assert not quick_panel.ui.referenceSection.collapsed and not quick_panel.ui.diceLabel.visible
    segment(application, quick_panel)
    assert quick_panel.ui.diceLabel.visible and quick_panel.ui.diceCaption.visible
    compare(application, quick_panel, None)
    assert not quick_panel.ui.diceLabel.visible


# ---- which segment ---------------------------------------------------------------------------------------------------


def segments_offered(panel):
    selector = panel.ui.referenceSegmentSelector
    return [selector.itemText(index) for index in range(selector.count)]


def test_the_segment_can_be_chosen(application, quick_panel, ct_node):
    segment(application, quick_panel)
    everything = np.ones((10, 16, 20), np.uint8)
    compare(application, quick_panel, add_reference(application.scene, Liver=another_liver(), Body=everything))
    assert segments_offered(quick_panel) == [messages.WHOLE_LIVER_REFERENCE, "Liver", "Body"]
    application.choose(quick_panel.ui.referenceSegmentSelector, "Body")
    wait_for_the_end(application, quick_panel)
    assert measures(quick_panel) == expected(everything)
    application.choose(quick_panel.ui.referenceSegmentSelector, messages.WHOLE_LIVER_REFERENCE)
    wait_for_the_end(application, quick_panel)
    assert measures(quick_panel) == expected(another_liver())


def test_the_run_compares_with_the_segment_that_is_chosen(application, quick_panel, ct_node):
    unclear = add_reference(application.scene, A=another_liver(), B=np.ones((10, 16, 20), np.uint8))
    choose_reference(application, quick_panel, unclear)
    application.choose(quick_panel.ui.referenceSegmentSelector, "A")
    segment(application, quick_panel)
    assert measures(quick_panel) == expected(another_liver()) and application.dialogs == []


def test_a_labelmap_has_no_segments_to_choose_from(application, quick_panel, ct_node):
    labelmap = mrml.labelmap_from_array(another_liver(), small_ct()[0].affine, "Manual")
    choose_reference(application, quick_panel, labelmap)
    assert not quick_panel.ui.referenceSegmentSelector.enabled
    assert segments_offered(quick_panel) == [messages.WHOLE_LIVER_REFERENCE]


def test_with_another_reference_its_liver_is_looked_for_anew(application, quick_panel, ct_node):
    """Segments of different segmentations often have the same ids."""
    both = []
    for _ in range(2):
        node = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")
        for name, labels in (("Segment_1", np.ones((10, 16, 20), np.uint8)), ("Liver", another_liver())):
            part = slicer.vtkSegment()
            part.SetName(name)
            part.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(labels > 0, small_ct()[0].affine))
            node.GetSegmentation().AddSegment(part, name)
        both.append(node)
    segment(application, quick_panel)
    compare(application, quick_panel, both[0])
    application.choose(quick_panel.ui.referenceSegmentSelector, "Segment_1")
    wait_for_the_end(application, quick_panel)
    compare(application, quick_panel, both[1])
    assert quick_panel._parameterNode.referenceSegment == "" and measures(quick_panel) == expected(another_liver())


# ---- what changes ----------------------------------------------------------------------------------------------------


def test_a_reference_that_was_edited_is_compared_anew(application, quick_panel, ct_node, reference):
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    application.leave_panel()
    labels = small_ct()[1] > 0
    if reference.IsA("vtkMRMLVolumeNode"):
        slicer.util.updateVolumeFromArray(reference, labels.astype(np.uint8))
    else:
        segment_id = reference.GetSegmentation().GetNthSegmentID(0)
        slicer.util.updateSegmentBinaryLabelmapFromArray(labels.astype(np.uint8), reference, segment_id, ct_node)
    application.open_panel()
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.diceLabel.text == "1.000"


def test_a_result_that_was_edited_is_compared_anew(application, quick_panel, ct_node, reference):
    output = segment(application, quick_panel)
    compare(application, quick_panel, reference)
    application.leave_panel()
    slicer.util.updateSegmentBinaryLabelmapFromArray(another_liver(), output, LIVER_ID, ct_node)
    application.open_panel()
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.diceLabel.text == "1.000"


def test_what_was_compared_is_not_compared_again_on_coming_back(
    application, quick_panel, ct_node, reference, monkeypatch
):
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    before = measures(quick_panel)
    monkeypatch.setattr(quick_panel.logic, "compareSteps", None)
    application.leave_panel()
    application.open_panel()
    assert measures(quick_panel) == before


def test_a_reference_that_a_script_chooses_during_a_run_is_compared_after_it(
    application, quick_panel, stand_in, ct_node, reference
):
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=small_ct()[1]))
    start(application, quick_panel, stand_in)
    quick_panel._parameterNode.reference = reference
    stand_in.release()
    wait_for_the_end(application, quick_panel)
    assert measures(quick_panel) == expected(another_liver())


# ---- disagreement ----------------------------------------------------------------------------------------------------


def disagreement():
    found = [node for node in nodes("Segmentation") if node.GetName().endswith("against the reference")]
    return found[0] if found else None


def mask(node, name, ct_node):
    segment_id = node.GetSegmentation().GetSegmentIdBySegmentName(name)
    return slicer.util.arrayFromSegmentBinaryLabelmap(node, segment_id, ct_node) > 0


def test_the_disagreement_is_shown_and_taken_away(application, quick_panel, ct_node, reference):
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    assert disagreement() is None
    click_disagreement(application, quick_panel)
    found, wanted = small_ct()[1] > 0, another_liver() > 0
    np.testing.assert_array_equal(mask(disagreement(), messages.MISSED, ct_node), wanted & ~found)
    np.testing.assert_array_equal(mask(disagreement(), messages.EXTRA, ct_node), found & ~wanted)
    click_disagreement(application, quick_panel)
    assert disagreement() is None


def test_a_second_run_refills_the_disagreement(application, quick_panel, ct_node, reference):
    choose_reference(application, quick_panel, reference)
    click_disagreement(application, quick_panel)
    segment(application, quick_panel)
    first = disagreement()
    segment(application, quick_panel)
    assert disagreement() is first is not None


def test_the_disagreement_goes_with_its_reference_and_with_its_ct(application, quick_panel, ct_node, reference):
    click_disagreement(application, quick_panel)
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    assert disagreement() is not None
    compare(application, quick_panel, None)
    assert disagreement() is None
    compare(application, quick_panel, reference)
    application.choose(quick_panel.ui.inputSelector, mrml.volume_from_ct(small_ct("Other")[0]))
    assert disagreement() is None


# ---- no reference ----------------------------------------------------------------------------------------------------


def test_our_own_result_is_no_reference_for_itself(application, quick_panel, ct_node):
    output = segment(application, quick_panel)
    before = scene_without(application.scene)
    compare(application, quick_panel, output)
    [dialog] = application.dialogs
    assert dialog.text == messages.REFERENCE_IS_THE_RESULT.format(name=output.GetName())
    assert quick_panel.ui.statusLabel.text == dialog.text and measures(quick_panel) == NO_MEASURES
    assert scene_without(application.scene) == before


def test_after_a_wrong_reference_a_right_one_is_compared(application, quick_panel, ct_node, reference):
    output = segment(application, quick_panel)
    compare(application, quick_panel, output)
    compare(application, quick_panel, reference)
    assert measures(quick_panel) == expected(another_liver())


def test_a_reference_that_is_deleted_leaves_nobody_in_its_place(application, quick_panel, ct_node, reference):
    segment(application, quick_panel)
    compare(application, quick_panel, reference)
    application.scene.RemoveNode(reference)
    application.process_events()
    assert quick_panel.ui.referenceSelector.currentNode() is None and measures(quick_panel) == NO_MEASURES
    assert application.dialogs == []
