"""LiverSegLogic.segment on a real scene: the result, the report, and what happens when something is wrong."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import slicer.util

from LiverSeg import LiverSegLogic
from LiverSegLib import messages, mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, DeviceError, InputError
from Testing.mrml.transforms import TRANSFORMS, add_transform


@pytest.fixture
def a_logic(a_stand_in):
    return LiverSegLogic(segmenterFactory=lambda device: a_stand_in)


def described(scene):
    """Everything in the scene that a failed run could have changed."""
    nodes = [scene.GetNthNode(n) for n in range(scene.GetNumberOfNodes())]
    segmentations = [node for node in nodes if node.IsA("vtkMRMLSegmentationNode")]
    return (
        [(node.GetID(), node.GetName()) for node in nodes],
        [(node.GetTransformNodeID(), node.GetSegmentation().GetSegmentIDs()) for node in segmentations],
    )


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_the_liver_comes_out_with_its_dice(
    a_scene, a_logic, a_volume_node, a_segmentation_node, labels, affine, transform
):
    reference_node = mrml.labelmap_from_array(labels, affine, "Manual")
    transform_id = add_transform(a_scene, transform)
    for node in (a_volume_node, reference_node):
        node.SetAndObserveTransformNodeID(transform_id)
    report = a_logic.segment(a_volume_node, a_segmentation_node, reference=reference_node)
    assert report.dice == 1.0
    read = slicer.util.arrayFromSegmentBinaryLabelmap(a_segmentation_node, mrml.SEGMENT_IDS[LIVER.label], a_volume_node)
    np.testing.assert_array_equal(read, labels > 0)


def test_the_report_names_input_output_volume_and_time(a_logic, a_volume_node, a_segmentation_node, labels):
    report = a_logic.segment(a_volume_node, a_segmentation_node)
    assert (report.input, report.output, report.model["name"]) == ("CT", "Result", "stand-in")
    assert report.liver_volume_ml == pytest.approx(np.count_nonzero(labels) * 1.5 * 1.25 * 4.0 / 1000)
    assert report.seconds["total"] >= report.seconds["write"] > 0
    assert report.dice is None


def test_what_was_not_exact_about_the_reference_is_in_the_report(a_logic, a_volume_node, a_segmentation_node, labels):
    elsewhere = mrml.affine_of(a_volume_node) @ np.diag([1.1, 1.0, 1.0, 1.0])
    reference_node = mrml.labelmap_from_array(labels, elsewhere, "Manual")
    report = a_logic.segment(a_volume_node, a_segmentation_node, reference=reference_node)
    assert any("resampled" in warning for warning in report.warnings)
    assert 0.5 < report.dice < 1.0


def test_tumours_are_written_when_asked_for(a_logic, a_volume_node, a_segmentation_node):
    report = a_logic.segment(a_volume_node, a_segmentation_node, tumour=True)
    assert report.tumour_volume_ml > 0
    segmentation = a_segmentation_node.GetSegmentation()
    names = [segmentation.GetSegment(id).GetName() for id in segmentation.GetSegmentIDs()]
    assert names == [LIVER.name, TUMOUR.name]


def test_progress_is_passed_on(a_logic, a_volume_node, a_segmentation_node):
    shares = []
    a_logic.segment(a_volume_node, a_segmentation_node, progress=lambda share, stage: shares.append(share))
    assert shares == sorted(shares) and shares[0] >= 0.0 and shares[-1] < 1.0


def test_one_segmenter_is_kept_for_each_device(a_stand_in, a_volume_node, a_segmentation_node):
    made = []
    logic = LiverSegLogic(segmenterFactory=lambda device: made.append(device) or a_stand_in)
    for device in ("cpu", "auto", "cpu"):
        logic.segment(a_volume_node, a_segmentation_node, device=device)
    assert made == ["cpu", "auto"] and a_stand_in.calls == 3


@pytest.mark.parametrize("stage", [messages.COPYING_VOLUME, messages.WRITING_RESULT])
def test_a_cancel_leaves_the_scene_as_it_was(a_scene, a_logic, a_volume_node, a_segmentation_node, stage):
    before = described(a_scene)
    cancel = threading.Event()

    def stop(share, current):
        if current == stage:
            cancel.set()

    with pytest.raises(Cancelled):
        a_logic.segment(a_volume_node, a_segmentation_node, progress=stop, cancel=cancel)
    assert described(a_scene) == before


def test_a_result_that_cannot_be_written_leaves_the_former_one_and_nothing_to_redo(
    a_scene, a_logic, a_volume_node, a_segmentation_node, labels, monkeypatch
):
    a_logic.segment(a_volume_node, a_segmentation_node)
    write = mrml.write_segmentation

    def half_written(node, *arguments):
        write(node, np.zeros_like(labels), *arguments[1:])
        raise MemoryError()

    monkeypatch.setattr(mrml, "write_segmentation", half_written)
    with pytest.raises(MemoryError):
        a_logic.segment(a_volume_node, a_segmentation_node)
    assert np.array_equal(mrml.segmentation_to_labels(a_segmentation_node, a_volume_node) > 0, labels > 0)
    assert not a_logic.canRedo(a_segmentation_node)
    a_logic.undo(a_segmentation_node)
    assert not mrml.segmentation_to_labels(a_segmentation_node, a_volume_node).any()


def test_a_failing_network_leaves_the_scene_as_it_was(a_scene, a_volume_node, a_segmentation_node):
    def broken(device):
        raise DeviceError("There is no device cuda:9; choose auto or cpu.")

    before = described(a_scene)
    with pytest.raises(DeviceError):
        LiverSegLogic(segmenterFactory=broken).segment(a_volume_node, a_segmentation_node, device="cuda:9")
    assert described(a_scene) == before


def test_a_reference_elsewhere_is_refused_before_the_network_runs(
    a_scene, a_logic, a_stand_in, a_volume_node, a_segmentation_node, labels, affine
):
    away = affine.copy()
    away[:3, 3] += 400.0
    reference_node = mrml.labelmap_from_array(labels, away, "Manual")
    before = described(a_scene)
    with pytest.raises(InputError, match="overlap"):
        a_logic.segment(a_volume_node, a_segmentation_node, reference=reference_node)
    assert described(a_scene) == before and a_stand_in.calls == 0


def test_a_reference_in_the_output_node_is_kept_and_compared_with(
    a_logic, a_volume_node, a_segmentation_node, labels, affine
):
    manual = slicer.vtkSegment()
    manual.SetName("Liver")
    manual.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(labels > 0, affine))
    a_segmentation_node.GetSegmentation().AddSegment(manual)
    for _ in range(2):
        report = a_logic.segment(a_volume_node, a_segmentation_node, reference=a_segmentation_node)
        assert report.dice == 1.0
    assert a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 2
    assert a_segmentation_node.GetSegmentation().GetSegmentIdBySegment(manual)


@pytest.mark.parametrize(
    "make, problem",
    [
        (lambda scene, affine: None, "No CT volume is selected"),
        (lambda scene, affine: scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "CT"), "no image"),
        (lambda scene, affine: scene.AddNewNodeByClass("vtkMRMLModelNode", "CT"), "not a volume"),
        (lambda scene, affine: mrml.labelmap_from_array(np.eye(4)[None].astype(np.uint8), affine, "CT"), "labelmap"),
        (
            lambda scene, affine: slicer.util.addVolumeFromArray(
                np.zeros((4, 5, 6, 3), np.uint8), affine, "CT", "vtkMRMLVectorVolumeNode"
            ),
            "colour",
        ),
        (lambda scene, affine: slicer.util.addVolumeFromArray(np.zeros((4, 5, 6)), affine, "CT"), "constant"),
        (lambda scene, affine: slicer.util.addVolumeFromArray(np.full((4, 5, 6), np.nan), affine, "CT"), "NaN"),
        (
            lambda scene, affine: slicer.util.addVolumeFromArray(
                np.arange(120.0).reshape(4, 5, 6), np.diag([1.0, 1.0, 0.0, 1.0]), "CT"
            ),
            "position",
        ),
    ],
)
def test_what_is_no_ct_is_refused_in_one_sentence(
    a_scene, a_logic, a_stand_in, a_segmentation_node, affine, make, problem
):
    with pytest.raises(InputError, match=problem) as caught:
        a_logic.segment(make(a_scene, affine), a_segmentation_node)
    assert "\n" not in str(caught.value)
    assert a_stand_in.calls == 0 and a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 0


def test_an_output_that_is_no_segmentation_is_refused(a_logic, a_stand_in, a_volume_node):
    with pytest.raises(InputError, match="choose it as the output"):
        a_logic.segment(a_volume_node, a_volume_node)
    assert a_stand_in.calls == 0


def test_without_an_output_a_new_segmentation_is_named_after_the_volume(a_scene, a_logic, a_volume_node, labels):
    report = a_logic.segment(a_volume_node)
    node = a_scene.GetFirstNodeByName("CT liver segmentation")
    assert report.output == node.GetName()
    np.testing.assert_array_equal(mrml.segmentation_to_labels(node, a_volume_node) > 0, labels > 0)


def test_the_voxels_are_a_copy(a_volume_node):
    ct = mrml.volume_to_ct(a_volume_node)
    slicer.util.arrayFromVolume(a_volume_node)[:] = 0
    assert ct.hu.any() and isinstance(ct, CTVolume)
