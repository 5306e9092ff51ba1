"""What a user can get wrong in the panel: each ends in one sentence that names the next step, and changes nothing."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np
import pytest
import slicer
import slicer.util
import vtk

from LiverSegLib import messages, mrml
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot
from Testing.mrml.transforms import add_warp
from Testing.widget.actions import add_reference, choose_reference, segment, wait_for_the_end
from Testing.widget.computers import Lost, a_full_disk, segmenter_on_a_gpu
from Testing.widget.stand_in import small_ct

OBLIQUE_NOWHERE = np.diag([1.0, 1.0, 0.0, 1.0])


def snapshot_without(scene, *ids):
    """The scene but for some nodes, and for what the module itself notes down of its choices."""
    names = {*ids, *(node.GetID() for node in slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode"))}
    # The subject hierarchy notes when it last heard of a node.
    names.add(slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene).GetID())
    return [node for node in snapshot(scene) if node[0] not in names]


@contextmanager
def one_sentence(application, panel):
    """What is done within ends in one message, a single sentence, on the status line too; the scene stays as it is.

    Gives a list that holds the sentence afterwards.
    """
    shown, before, sentences = len(application.dialogs), snapshot(application.scene), []
    yield sentences
    application.wait_until(lambda: not panel._runner.running)
    assert snapshot(application.scene) == before
    [dialog] = [dialog for dialog in application.dialogs[shown:] if dialog.kind != "question"]
    assert dialog.kind == "error" and panel.ui.statusLabel.text == dialog.text
    assert "\n" not in dialog.text and dialog.text.endswith(".")
    assert panel.ui.segmentButton.text == messages.SEGMENT_LIVER and not panel.ui.progressBar.visible
    sentences.append(dialog.text)


# ---- the CT ----------------------------------------------------------------------------------------------------------


def test_without_a_volume_the_button_is_off_and_a_line_says_what_to_load(application, panel):
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == panel.ui.segmentButton.toolTip == messages.NO_VOLUME_HINT
    assert application.dialogs == []


def noise():
    """Values as neither CT nor MR has them: none below 0, and no background all round."""
    values = np.random.default_rng(0).gamma(3.0, 150.0, (12, 64, 64))
    values[:, :8] = 0.0
    return values.astype(np.int16)


def ramp():
    return np.arange(4 * 5 * 6, dtype=np.int16).reshape(4, 5, 6)


@pytest.mark.parametrize(
    "make, next_step",
    [
        (lambda: slicer.util.addVolumeFromArray(noise(), np.diag([-2.0, -2, 3, 1]), "MR"), "give a CT in HU"),
        (lambda: slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT"), "load the CT again"),
        (lambda: slicer.util.addVolumeFromArray(ramp()[:0], np.eye(4), "CT"), "load the CT again"),
        (lambda: slicer.util.addVolumeFromArray(ramp(), OBLIQUE_NOWHERE, "CT"), "convert it again"),
    ],
    ids=["MR", "no image", "no voxels", "singular matrix"],
)
def test_a_volume_that_is_no_ct_is_refused(application, panel, make, next_step):
    node = make()
    application.choose(panel.ui.inputSelector, node)
    with one_sentence(application, panel) as sentences:
        application.click(panel.ui.segmentButton)
    assert next_step in sentences[0] and node.GetName() in sentences[0]


def test_a_labelmap_is_not_offered_as_input_and_is_refused_by_the_logic(application, quick_panel, stand_in):
    ct, labels = small_ct()
    labelmap = mrml.labelmap_from_array(labels, ct.affine, "Manual")
    application.process_events()
    assert quick_panel.ui.inputSelector.nodeCount() == 0 and not quick_panel.ui.segmentButton.enabled
    before = snapshot(application.scene)
    with pytest.raises(InputError, match="choose the CT as the input"):
        quick_panel.logic.segment(labelmap)
    assert snapshot(application.scene) == before and stand_in.calls == []


# ---- its transform ---------------------------------------------------------------------------------------------------


def folding_grid(scene):
    """Everything within 20 mm of x = 0 is mirrored."""
    return add_warp(scene, lambda x, y, z: np.stack([-2 * np.clip(x, -20, 20), 0 * y, 0 * z], axis=-1))


def test_a_transform_that_folds_is_refused_before_the_network_runs(application, quick_panel, stand_in, ct_node):
    ct_node.SetAndObserveTransformNodeID(folding_grid(application.scene))
    with one_sentence(application, quick_panel) as sentences:
        application.click(quick_panel.ui.segmentButton)
    assert "take CT out of it" in sentences[0] and "folds" in sentences[0]
    assert stand_in.calls == []


# ---- the reference ---------------------------------------------------------------------------------------------------


def reference_of(scene, **segments):
    """A segmentation with a segment of each name, where the given labels are set, on the grid of small_ct()."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")
    for name, mask in segments.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(mask, small_ct()[0].affine))
        node.GetSegmentation().AddSegment(segment)
    return node


def somewhere():
    mask = np.zeros((10, 16, 20), bool)
    mask[2:5, 2:5, 2:5] = True
    return mask


def without_the_segment(scene):
    return reference_of(scene, Spleen=somewhere(), Kidney=~somewhere())


def without_any_segment(scene):
    return reference_of(scene)


def with_an_empty_segment(scene):
    return reference_of(scene, Liver=np.zeros((10, 16, 20), bool))


def elsewhere(scene):
    ct, labels = small_ct()
    away = ct.affine.copy()
    away[:3, 3] += 500.0
    return mrml.labelmap_from_array(labels, away, "Manual")


BAD_REFERENCES = [
    (without_the_segment, "name that one Liver"),
    (without_any_segment, "name that one Liver"),
    (with_an_empty_segment, "choose another reference"),
    (elsewhere, "check that both belong to the same scan"),
]


@pytest.mark.parametrize("make, next_step", BAD_REFERENCES)
def test_a_reference_that_does_not_fit_holds_up_no_run_and_the_panel_says_so(
    application, quick_panel, stand_in, ct_node, make, next_step
):
    choose_reference(application, quick_panel, make(application.scene))
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(lambda: not quick_panel._runner.running)
    assert mrml.stored_report(quick_panel._parameterNode.outputSegmentation)["liver_volume_ml"] > 0
    assert next_step in quick_panel.ui.statusLabel.text and quick_panel.ui.diceLabel.text == "–"
    assert application.dialogs == [] and len(stand_in.calls) == 1


def test_a_bad_reference_that_comes_with_a_file_opens_no_box(application, quick_panel, ct_node, tmp_path):
    output = segment(application, quick_panel)
    choose_reference(application, quick_panel, output)
    wait_for_the_end(application, quick_panel)
    application.dialogs.clear()
    application.load_scene(application.save_scene(tmp_path / "scene.mrb"))
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.statusLabel.text == messages.REFERENCE_IS_THE_RESULT.format(name="CT liver segmentation")
    assert application.dialogs == []


def test_a_reference_that_is_left_when_another_ct_is_chosen_interrupts_nobody(application, quick_panel, ct_node):
    reference = add_reference(application.scene, Liver=small_ct()[1])
    choose_reference(application, quick_panel, reference)
    far = small_ct("Far")[0]
    far.affine[:3, 3] += 900
    far_node = mrml.volume_from_ct(far)
    for node in (ct_node, far_node, ct_node, far_node):
        application.choose(quick_panel.ui.inputSelector, node)
        segment(application, quick_panel)
        fits = node is ct_node
        assert (quick_panel.ui.diceLabel.text != "–") == fits
        assert quick_panel.ui.statusLabel.text == ("" if fits else messages.NO_OVERLAP)
    application.choose(quick_panel.ui.inputSelector, ct_node)
    wait_for_the_end(application, quick_panel)
    application.choose(quick_panel.ui.inputSelector, far_node)
    wait_for_the_end(application, quick_panel)
    assert quick_panel.ui.statusLabel.text == messages.NO_OVERLAP and application.dialogs == []


@pytest.mark.parametrize("make, next_step", BAD_REFERENCES)
def test_a_reference_that_does_not_fit_is_refused_once_after_a_run(application, quick_panel, ct_node, make, next_step):
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(lambda: not quick_panel._runner.running)
    reference = make(application.scene)
    before = snapshot_without(application.scene)
    choose_reference(application, quick_panel, reference)
    application.wait_until(lambda: application.dialogs and not quick_panel._runner.running)
    quick_panel._parameterNode.Modified()  # whatever else the user does, nobody asks again
    application.process_events()
    [dialog] = application.dialogs
    assert next_step in dialog.text and "\n" not in dialog.text
    assert quick_panel.ui.statusLabel.text == dialog.text and quick_panel.ui.diceLabel.text == "–"
    assert snapshot_without(application.scene) == before


# ---- the output ------------------------------------------------------------------------------------------------------


def test_an_output_made_of_surfaces_is_refused(application, quick_panel, stand_in, ct_node):
    sphere = vtk.vtkSphereSource()
    output = application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Surfaces")
    output.SetSourceRepresentationToClosedSurface()
    output.AddSegmentFromClosedSurfaceRepresentation(_output_of(sphere), "Ball", [1.0, 0.0, 0.0])
    application.choose(quick_panel.ui.outputSelector, output)
    with one_sentence(application, quick_panel) as sentences:
        application.click(quick_panel.ui.segmentButton)
    assert "choose another segmentation" in sentences[0] and stand_in.calls == []


def _output_of(source):
    source.Update()
    return source.GetOutput()


# ---- the computer ----------------------------------------------------------------------------------------------------


def test_a_run_needs_no_temporary_file_so_a_full_disk_does_not_matter(
    application, panel, a_phantom, monkeypatch, tmp_path
):
    mrml.volume_from_ct(a_phantom.ct)
    with a_full_disk(monkeypatch, tmp_path / "gone"):
        with pytest.raises(OSError), open(tmp_path / "file", "w") as file:
            file.write("x")
        application.click(panel.ui.segmentButton)
        application.wait_until(lambda: not panel._runner.running, 60)
    assert application.dialogs == [] and panel._parameterNode.outputSegmentation is not None


def test_a_full_disk_during_the_installation_is_told_as_its_reason(application, panel, ct_node):
    application.installer.hide("nibabel")
    application.installer.error = OSError(28, "No space left on device")
    with one_sentence(application, panel) as sentences:
        application.click(panel.ui.segmentButton)
    assert "No space left on device" in sentences[0] and "free disk space" in sentences[0]


def test_a_gpu_lost_in_the_middle_of_a_run_gives_the_result_of_the_cpu_and_says_so(application, a_phantom, monkeypatch):
    application.load_module()._bundledSegmenter = segmenter_on_a_gpu(monkeypatch, Lost)
    panel = application.open_panel()
    mrml.volume_from_ct(a_phantom.ct)
    application.click(panel.ui.segmentButton)
    application.wait_until(lambda: not panel._runner.running, 60)
    output = panel._parameterNode.outputSegmentation
    [warning] = [text for text in mrml.stored_report(output)["warnings"] if "CUDA error" in text]
    assert "unspecified launch failure" in warning and "Restart the program" in warning and "\n" not in warning
    assert "unspecified launch failure" in panel.ui.warningsLabel.text
    assert panel.ui.timeLabel.text.endswith("on cpu") and application.dialogs == []


@pytest.mark.parametrize("error", [RuntimeError("CUDA error: out of luck\nmore\nlines"), KeyError(), ValueError("")])
def test_what_nobody_foresaw_is_one_sentence_and_the_log_holds_all_of_it(
    application, quick_panel, stand_in, ct_node, caplog, error
):
    stand_in.error = error
    with one_sentence(application, quick_panel) as sentences:
        application.click(quick_panel.ui.segmentButton)
    assert "View > Error Log" in sentences[0]
    assert {record.exc_info[1] for record in caplog.records if record.exc_info} == {error}


# ---- the person ------------------------------------------------------------------------------------------------------


def test_three_clicks_in_a_row_run_once_more_to_the_end(application, quick_panel, stand_in, ct_node):
    stand_in.hold()
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(stand_in.waiting.is_set)
    application.click(quick_panel.ui.segmentButton)
    application.click(quick_panel.ui.segmentButton)
    stand_in.release()
    application.wait_until(lambda: not quick_panel._runner.running)
    assert application.dialogs == []
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 1
