"""Strokes on a result in the scene, without the panel."""

from __future__ import annotations

import numpy as np
import pytest

import LiverSeg
from LiverSegLib import messages, mrml
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.data.structures import LIVER
from LiverSegLib.errors import InputError
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.mrml.scene_run import run_to_end
from Testing.mrml.snapshot import segments, snapshot
from Testing.mrml.transforms import TRANSFORMS, add_transform
from Testing.widget.refiner_stand_in import RefinerStandIn

LIVER_ID = mrml.SEGMENT_IDS[LIVER.label]
OUTSIDE = (5, 13, 17)


@pytest.fixture
def logic(a_stand_in):
    made = LiverSeg.LiverSegLogic(lambda device: a_stand_in, RefinerStandIn())
    yield made
    made.close()


@pytest.fixture
def a_result(logic, a_volume_node):
    options = SegmentOptions(segments=True, spleen=True)
    return run_to_end(logic.segmentSteps(a_volume_node, None, None, options)).segmentation_node


def stroke_at(affine, k, j, i, is_liver=True):
    return Stroke((affine @ [i, j, k, 1])[None, :3], is_liver)


def state(node):
    return segments(node), mrml.stored_report(node), len(mrml.stored_corrections(node).strokes)


def surfaces(node):
    segmentation = node.GetSegmentation()
    ids = segmentation.GetSegmentIDs()
    return {one: segmentation.GetSegment(one).GetRepresentation(mrml.CLOSED_SURFACE) for one in ids}


def test_a_script_corrects_and_takes_back(logic, a_volume_node, a_result, affine):
    before = state(a_result)
    logic.correct(a_result, [stroke_at(affine, *OUTSIDE), stroke_at(affine, 4, 6, 8, is_liver=False)])
    found = mrml.segmentation_to_labels(a_result, a_volume_node)
    assert found[OUTSIDE] == 1 and found[4, 6, 8] == 0
    assert mrml.stored_report(a_result)["corrections"] == 2
    logic.undo(a_result)
    assert state(a_result) == before


def test_only_surfaces_of_what_changed_are_made_anew(logic, a_result, affine):
    mrml.set_surface(a_result, True, 0.0)
    before = surfaces(a_result)
    logic.correct(a_result, [stroke_at(affine, *OUTSIDE)])
    after, unlike = surfaces(a_result), {"LiverSeg_Couinaud1", "LiverSeg_Couinaud2"}
    assert all(after[segment_id] is before[segment_id] for segment_id in unlike)
    bounds = after[LIVER_ID].GetBounds()
    x, y, z, _ = affine @ [*OUTSIDE[::-1], 1]
    assert bounds[0] <= x <= bounds[1] and bounds[2] <= y <= bounds[3] and bounds[4] <= z <= bounds[5]
    old = before[LIVER_ID].GetBounds()
    assert not (old[0] <= x <= old[1] and old[2] <= y <= old[3])


def test_a_surface_that_is_not_shown_is_not_made(logic, a_result, affine):
    logic.correct(a_result, [stroke_at(affine, *OUTSIDE)])
    assert not a_result.GetSegmentation().ContainsRepresentation(mrml.CLOSED_SURFACE)


def test_whenever_it_is_left_the_result_is_whole(logic, a_scene, a_result, affine):
    mrml.set_surface(a_result, True, 0.0)
    before, whole = state(a_result), None
    for count in range(1, 1000):
        steps = logic.correctSteps(a_result, [stroke_at(affine, *OUTSIDE)])
        ended = sum(1 for _ in zip(range(count), steps, strict=False)) < count
        steps.close()
        if state(a_result) != before:
            whole = whole or state(a_result)
            assert state(a_result) == whole and None not in surfaces(a_result).values()
            logic.undo(a_result)
        assert state(a_result) == before
        if ended:
            break
    assert whole is not None and ended


@pytest.mark.parametrize("kind", TRANSFORMS)
def test_a_stroke_in_the_world_is_one_in_the_frame_of_the_ct(a_scene, a_volume_node, affine, kind):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, kind))
    own, world = (affine @ [17, 13, 5, 1])[:3], np.zeros(3)
    a_volume_node.TransformPointToWorld(own, world)
    stroke = mrml.stroke_in(a_volume_node, [tuple(world)], True)
    assert np.allclose(stroke.points_mm, own, atol=1e-3) and stroke.is_liver
    assert mrml.slice_of(a_volume_node, stroke.points_mm[0]) == 5


def test_what_is_drawn_past_the_border_ends_there(a_volume_node, affine):
    points = [tuple((affine @ [i, 4, 5, 1])[:3]) for i in (-5, 2, 4)]
    assert len(mrml.stroke_in(a_volume_node, points, True).points_mm) == 2
    with pytest.raises(InputError):
        mrml.stroke_in(a_volume_node, points[:1], True)


def test_a_segmentation_of_others_is_refused(logic, a_scene, a_volume_node, a_segmentation_node, affine):
    before = snapshot(a_scene)
    with pytest.raises(InputError, match=messages.NOTHING_TO_CORRECT.partition("}")[2][:10]):
        logic.correct(a_segmentation_node, [stroke_at(affine, *OUTSIDE)])
    assert snapshot(a_scene) == before


def test_the_frames_of_a_sequence_are_not_corrected(logic, a_volume_node, a_result):
    assert mrml.volume_to_correct(a_result) is a_volume_node
    mrml.store_report(a_result, {**mrml.stored_report(a_result), "frames": []})
    assert mrml.volume_to_correct(a_result) is None and mrml.volume_to_correct(None) is None


def test_shown_strokes_are_not_saved(a_scene, a_result, affine, tmp_path):
    mrml.show_strokes(a_result, [stroke_at(affine, *OUTSIDE)])
    assert [node.GetName() for node in mrml.nodes_of_class(a_scene, "vtkMRMLModelNode")] == [messages.STROKES_LIVER]
    a_scene.SetURL(str(tmp_path / "scene.mrml"))
    assert a_scene.Commit() and messages.STROKES_LIVER not in (tmp_path / "scene.mrml").read_text()
    mrml.remove_strokes(a_result)
    assert mrml.nodes_of_class(a_scene, "vtkMRMLModelNode") == []
