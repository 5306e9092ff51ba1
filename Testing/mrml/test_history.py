"""Undo brings back what a run replaced, redo the run, whatever the user did in between."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import slicer
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.data.volume import CTVolume
from Testing.mrml.snapshot import segments, snapshot
from Testing.mrml.transforms import add_transform

LIVER_ID, TUMOUR_ID = mrml.SEGMENT_IDS[LIVER.label], mrml.SEGMENT_IDS[TUMOUR.label]


@pytest.fixture
def a_history():
    return mrml.History()


@pytest.fixture
def run(a_history, a_volume_node, a_segmentation_node):
    """A run as the logic does it: remember, then write."""

    def run(labels, volume_node=a_volume_node, tumour=False):
        a_history.save(a_segmentation_node)
        mrml.write_segmentation(a_segmentation_node, labels, volume_node, tumour)
        mrml.store_report(a_segmentation_node, {"liver_volume_ml": int((labels > 0).sum())})

    return run


def cut(labels, slices):
    return np.where(np.arange(labels.shape[0])[:, None, None] < slices, labels, 0).astype(np.uint8)


def test_nothing_can_be_undone_before_the_first_run(a_history, a_scene, a_segmentation_node):
    before = snapshot(a_scene)
    assert not a_history.can_undo(a_segmentation_node) and not a_history.can_redo(a_segmentation_node)
    assert not a_history.can_undo(None) and not a_history.can_redo(None)
    a_history.undo(a_segmentation_node)
    a_history.redo(a_segmentation_node)
    assert snapshot(a_scene) == before


def test_several_runs_are_undone_and_redone_one_by_one(a_history, run, a_segmentation_node, labels):
    states = [segments(a_segmentation_node)]
    for slices, tumour in ((10, True), (6, False), (5, True)):
        run(cut(labels, slices), tumour=tumour)
        states.append(segments(a_segmentation_node))
    for state in states[-2::-1]:
        assert a_history.can_undo(a_segmentation_node)
        a_history.undo(a_segmentation_node)
        assert segments(a_segmentation_node) == state
    assert not a_history.can_undo(a_segmentation_node)
    for state in states[1:]:
        assert a_history.can_redo(a_segmentation_node)
        a_history.redo(a_segmentation_node)
        assert segments(a_segmentation_node) == state
    assert not a_history.can_redo(a_segmentation_node)


def test_a_new_run_after_an_undo_takes_the_place_of_what_was_undone(a_history, run, a_segmentation_node, labels):
    run(labels)
    first = segments(a_segmentation_node)
    run(cut(labels, 5))
    a_history.undo(a_segmentation_node)
    run(cut(labels, 4))
    assert not a_history.can_redo(a_segmentation_node)
    a_history.undo(a_segmentation_node)
    assert segments(a_segmentation_node) == first


def test_what_the_user_drew_after_a_run_comes_back_with_redo(a_history, run, a_segmentation_node, labels, affine):
    run(labels)
    segmentation = a_segmentation_node.GetSegmentation()
    segmentation.AddEmptySegment("Spleen", "Spleen")
    mrml.voxels_of(segmentation.GetSegment(LIVER_ID).GetRepresentation(mrml.BINARY_LABELMAP))[0] = 0
    edited = segments(a_segmentation_node)
    a_history.undo(a_segmentation_node)
    assert segments(a_segmentation_node) == []
    a_history.redo(a_segmentation_node)
    assert segments(a_segmentation_node) == edited


def test_edits_after_an_undo_are_not_lost_by_a_redo(a_history, run, a_segmentation_node, labels):
    run(labels)
    a_history.undo(a_segmentation_node)
    a_segmentation_node.GetSegmentation().AddEmptySegment("Spleen", "Spleen")
    edited = segments(a_segmentation_node)
    a_history.redo(a_segmentation_node)
    a_history.undo(a_segmentation_node)
    assert segments(a_segmentation_node) == edited


def test_names_colours_and_visibility_of_the_user_come_back(a_history, run, a_segmentation_node, labels):
    run(labels)
    segment, display = a_segmentation_node.GetSegmentation().GetSegment(LIVER_ID), a_segmentation_node.GetDisplayNode()
    segment.SetName("My liver")
    segment.SetColor(0.1, 0.2, 0.3)
    display.SetSegmentVisibility(LIVER_ID, False)
    display.SetSegmentOpacity3D(LIVER_ID, 0.25)
    display.SetSegmentOpacity2DFill(LIVER_ID, 0.75)
    run(cut(labels, 5))
    display.SetSegmentVisibility(LIVER_ID, True)
    display.SetSegmentOpacity3D(LIVER_ID, 1.0)
    a_history.undo(a_segmentation_node)
    segment = a_segmentation_node.GetSegmentation().GetSegment(LIVER_ID)
    assert segment.GetName() == "My liver" and segment.GetColor() == (0.1, 0.2, 0.3)
    assert not display.GetSegmentVisibility(LIVER_ID)
    assert (display.GetSegmentOpacity3D(LIVER_ID), display.GetSegmentOpacity2DFill(LIVER_ID)) == (0.25, 0.75)
    a_history.redo(a_segmentation_node)
    assert display.GetSegmentVisibility(LIVER_ID) and display.GetSegmentOpacity3D(LIVER_ID) == 1.0


def test_transform_volume_and_report_come_back(a_history, run, a_scene, a_volume_node, a_segmentation_node, labels, hu):
    run(labels)
    other = mrml.volume_from_ct(CTVolume(hu, np.diag([2.0, 2.0, 2.0, 1.0]), "Other CT"))
    other.SetAndObserveTransformNodeID(add_transform(a_scene, "linear"))
    before = snapshot(a_scene)
    run(cut(labels, 5), other)
    after = snapshot(a_scene)
    assert mrml.segmentation_of(other) is a_segmentation_node
    a_history.undo(a_segmentation_node)
    assert snapshot(a_scene) == before
    assert mrml.segmentation_of(a_volume_node) is a_segmentation_node
    a_history.redo(a_segmentation_node)
    assert snapshot(a_scene) == after


def test_a_transform_that_was_deleted_meanwhile_is_left_out(a_history, run, a_scene, a_volume_node, labels):
    node = mrml.nodes_of_class(a_scene, "vtkMRMLSegmentationNode")[0]
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "linear"))
    run(labels)
    transform = a_volume_node.GetParentTransformNode()
    a_volume_node.SetAndObserveTransformNodeID(None)
    run(cut(labels, 5))
    a_scene.RemoveNode(transform)
    a_history.undo(node)
    assert node.GetTransformNodeID() is None
    np.testing.assert_array_equal(mrml.segmentation_to_labels(node, a_volume_node), labels > 0)


def test_a_surface_that_was_shown_is_shown_again(a_history, run, a_segmentation_node, labels):
    run(labels)
    mrml.set_surface(a_segmentation_node, True, 0.3)
    run(cut(labels, 5))
    mrml.set_surface(a_segmentation_node, False, 0.3)
    a_history.undo(a_segmentation_node)
    surface = a_segmentation_node.GetClosedSurfaceInternalRepresentation(LIVER_ID)
    assert surface is not None and surface.GetNumberOfPoints() > 0


def test_only_the_last_five_steps_are_kept(a_history, run, a_segmentation_node, labels):
    for slices in range(3, 11):
        run(cut(labels, slices))
    steps = 0
    while a_history.can_undo(a_segmentation_node):
        a_history.undo(a_segmentation_node)
        steps += 1
    assert steps == 5


def test_a_run_that_came_to_nothing_is_forgotten(a_history, run, a_segmentation_node, labels):
    run(labels)
    a_history.save(a_segmentation_node)
    a_history.forget(a_segmentation_node)
    a_history.undo(a_segmentation_node)
    assert segments(a_segmentation_node) == [] and not a_history.can_undo(a_segmentation_node)


def test_each_node_has_steps_of_its_own(a_history, run, a_scene, a_segmentation_node, labels):
    other = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Other")
    run(labels)
    assert a_history.can_undo(a_segmentation_node) and not a_history.can_undo(other)


def test_a_deleted_node_is_neither_kept_alive_nor_touched(a_history, run, a_scene, a_segmentation_node, labels):
    run(labels)
    node = vtk.vtkWeakReference()
    node.Set(a_segmentation_node)
    a_scene.RemoveNode(a_segmentation_node)
    assert not a_history.can_undo(a_segmentation_node)
    before = segments(a_segmentation_node)
    a_history.undo(a_segmentation_node)
    assert segments(a_segmentation_node) == before
    # A node of the same id is another one.
    again = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")
    assert not a_history.can_undo(again)
    a_history.save(again)
    assert a_history.can_undo(again)


def test_a_closed_scene_leaves_no_node_alive(a_scene, a_volume_node, labels):
    history = mrml.History()
    made = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    history.save(made)
    mrml.write_segmentation(made, labels, a_volume_node)
    node = vtk.vtkWeakReference()
    node.Set(made)
    del made
    a_scene.Clear()
    gc.collect()
    assert node.Get() is None


def test_a_node_without_a_display_can_be_undone(a_history, a_scene, a_volume_node, labels):
    node = slicer.vtkMRMLSegmentationNode()
    a_scene.AddNode(node)
    a_history.save(node)
    mrml.write_segmentation(node, labels, a_volume_node)
    a_history.undo(node)
    assert segments(node) == []
