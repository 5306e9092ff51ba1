"""All frames of a sequence: the segmentation shows the liver of the frame that the browser is at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import slicer

from LiverSegLib import mrml
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.structures import LIVER, TUMOUR, VESSELS
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError
from LiverSegLib.inference.options import SegmentOptions
from Testing.anatomy_stand_in import anatomy_of
from Testing.mrml.snapshot import snapshot
from Testing.mrml.test_tables import reloaded
from Testing.mrml.transforms import add_transform

LIVER_ID, TUMOUR_ID = mrml.SEGMENT_IDS[LIVER.label], mrml.SEGMENT_IDS[TUMOUR.label]
TIMES = ["0", "0.5", "1", "1.5"]


@pytest.fixture
def frames(labels):
    """Labels of each frame: a liver that moves along the rows."""
    return [(time, np.roll(labels, n, axis=1)) for n, time in enumerate(TIMES)]


@pytest.fixture
def a_browser(a_scene, frames, affine):
    """A browser at the second frame of a CT sequence."""
    sequence = a_scene.AddNewNodeByClass("vtkMRMLSequenceNode", "CT sequence")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for time, labels in frames:
        frame = mrml.volume_from_ct(CTVolume((labels * 50).astype(np.int16), affine, f"CT at {time}"))
        sequence.SetDataNodeAtValue(frame, time)
        a_scene.RemoveNode(frame)
    browser = a_scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    browser.SetSelectedItemNumber(1)
    return browser


@pytest.fixture
def a_moving_volume(a_browser):
    return a_browser.GetProxyNode(a_browser.GetMasterSequenceNode())


def shown(browser, volume_node, segmentation_node):
    """The labels that the segmentation shows at each frame; the browser is moved there and back."""
    at, found = browser.GetSelectedItemNumber(), []
    for n in (3, 0, 2, 1):
        browser.SetSelectedItemNumber(n)
        found.append((TIMES[n], mrml.segmentation_to_labels(segmentation_node, volume_node)))
    browser.SetSelectedItemNumber(at)
    return sorted(found, key=lambda frame: frame[0])


def assert_shown(browser, volume_node, segmentation_node, frames):
    for (time, found), (_, labels) in zip(shown(browser, volume_node, segmentation_node), frames, strict=True):
        np.testing.assert_array_equal(found, labels, err_msg=time)


def test_a_volume_knows_its_browser_and_its_frames(a_browser, a_moving_volume, a_scene, frames, hu, affine):
    assert mrml.sequence_browser_of(a_moving_volume) is a_browser
    nodes = mrml.frame_nodes(a_moving_volume)
    assert [time for time, _ in nodes] == TIMES
    for (_, node), (_, labels) in zip(nodes, frames, strict=True):
        np.testing.assert_array_equal(mrml.volume_to_ct(node).hu, labels * 50)
    # Reading them does not move the browser.
    assert a_browser.GetSelectedItemNumber() == 1
    alone = mrml.volume_from_ct(CTVolume(hu, affine, "Another CT"))
    assert mrml.sequence_browser_of(alone) is None and mrml.frame_nodes(alone) == []
    a_scene.RemoveNode(alone)
    assert mrml.sequence_browser_of(alone) is None


@pytest.mark.parametrize("transform", ["none", "linear", "grid"])
def test_the_segmentation_follows_the_browser(
    a_scene, a_browser, a_moving_volume, a_segmentation_node, frames, transform
):
    a_moving_volume.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
    assert a_browser.GetSelectedItemNumber() == 1
    np.testing.assert_array_equal(mrml.segmentation_to_labels(a_segmentation_node, a_moving_volume), frames[1][1])
    assert_shown(a_browser, a_moving_volume, a_segmentation_node, frames)
    assert a_segmentation_node.GetTransformNodeID() == a_moving_volume.GetTransformNodeID()
    assert mrml.segmentation_of(a_moving_volume) is a_segmentation_node
    sequence = a_browser.GetSequenceNode(a_segmentation_node)
    assert (sequence.GetIndexName(), sequence.GetIndexUnit()) == ("time", "s")


def test_the_frames_are_named_and_coded_as_a_single_result(a_browser, a_moving_volume, a_segmentation_node, frames):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
    a_browser.SetSelectedItemNumber(3)
    assert list(a_segmentation_node.GetSegmentation().GetSegmentIDs()) == [LIVER_ID, TUMOUR_ID]
    assert a_segmentation_node.GetSegmentation().GetSegment(LIVER_ID).GetName() == "Liver"
    assert a_segmentation_node.GetDisplayNode() is not None


def test_a_second_run_refills_the_sequence(a_scene, a_browser, a_moving_volume, a_segmentation_node, frames):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
    count = a_scene.GetNumberOfNodes()
    smaller = [(time, np.where(labels == 2, labels, 0)) for time, labels in frames]
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, smaller, tumour=True)
    assert a_scene.GetNumberOfNodes() == count
    assert_shown(a_browser, a_moving_volume, a_segmentation_node, smaller)


def test_the_current_frame_alone_can_be_segmented_again(a_browser, a_moving_volume, a_segmentation_node, frames):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
    changed = [(time, labels if time != TIMES[1] else np.roll(labels, 1, axis=2)) for time, labels in frames]
    mrml.write_segmentation(a_segmentation_node, changed[1][1], a_moving_volume, tumour=True)
    assert_shown(a_browser, a_moving_volume, a_segmentation_node, changed)


def test_segments_of_the_user_stay_in_every_frame_at_their_place(
    a_scene, a_browser, a_moving_volume, a_segmentation_node, frames, labels, affine
):
    segment = slicer.vtkSegment()
    segment.SetName("Spleen")
    segment.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(labels > 0, affine))
    a_segmentation_node.GetSegmentation().AddSegment(segment, "Spleen")
    still = mrml.volume_from_ct(CTVolume(labels.astype(np.int16), affine, "Before"))
    a_moving_volume.SetAndObserveTransformNodeID(add_transform(a_scene, "linear"))
    for _ in range(2):
        mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
        assert_shown(a_browser, a_moving_volume, a_segmentation_node, frames)
        for n in range(len(frames)):
            a_browser.SetSelectedItemNumber(n)
            read, _ = mrml.reference_to_labels((a_segmentation_node, "Spleen"), still)
            np.testing.assert_array_equal(read, labels > 0)


def test_what_the_user_corrects_in_a_frame_stays_in_it(a_browser, a_moving_volume, a_segmentation_node, frames):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames)
    a_browser.SetSelectedItemNumber(2)
    segment = a_segmentation_node.GetSegmentation().GetSegment(LIVER_ID)
    segment.GetRepresentation(mrml.BINARY_LABELMAP).GetPointData().GetScalars().Fill(0)
    segment.GetRepresentation(mrml.BINARY_LABELMAP).Modified()
    found = dict(shown(a_browser, a_moving_volume, a_segmentation_node))
    assert not found[TIMES[2]].any() and all(found[time].any() for time in TIMES if time != TIMES[2])


def test_the_surface_is_shown_in_every_frame(a_browser, a_moving_volume, a_segmentation_node, frames):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames)
    mrml.set_surface(a_segmentation_node, True, 0.2)
    for n in range(len(frames)):
        a_browser.SetSelectedItemNumber(n)
        assert a_segmentation_node.GetClosedSurfaceInternalRepresentation(LIVER_ID).GetNumberOfPoints() > 0
    mrml.set_surface(a_segmentation_node, False, 0.2)
    a_browser.SetSelectedItemNumber(0)
    assert a_segmentation_node.GetClosedSurfaceInternalRepresentation(LIVER_ID) is None


def test_what_a_frame_lacks_keeps_its_looks(a_browser, a_moving_volume, a_segmentation_node, frames):
    options = SegmentOptions(segments=True, vessels=True, spleen=True)
    anatomies = {time: anatomy_of(labels, options) for time, labels in frames}
    anatomies[TIMES[1]], anatomies[TIMES[2]] = Anatomy(), replace(anatomies[TIMES[2]], vessels=None)
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, False, anatomies)
    assert list(a_segmentation_node.GetSegmentation().GetSegmentIDs()) == [LIVER_ID]
    drawn, vessels = a_segmentation_node.GetDisplayNode(), mrml.ANATOMY_IDS[VESSELS.label]
    assert drawn.GetSegmentOpacity3D(LIVER_ID) < 0.5
    a_browser.SetSelectedItemNumber(0)
    assert drawn.GetSegmentOpacity3D(mrml.ANATOMY_IDS[3]) < 0.5
    drawn.SetSegmentVisibility(vessels, False)
    for n in (2, 3):
        a_browser.SetSelectedItemNumber(n)
    assert a_segmentation_node.GetSegmentation().GetSegment(vessels) is not None
    assert not drawn.GetSegmentVisibility(vessels)


def test_the_frame_that_is_shown_is_known(a_browser, a_moving_volume, a_segmentation_node, frames, hu, affine):
    assert mrml.shown_frame(a_segmentation_node) is None
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames)
    for n, time in enumerate(TIMES):
        a_browser.SetSelectedItemNumber(n)
        assert mrml.shown_frame(a_segmentation_node) == mrml.shown_frame(a_moving_volume) == time


def surfaces_only(scene, node, frames):
    segmentation = node.GetSegmentation()
    segmentation.AddEmptySegment("Spleen", "Spleen")
    node.SetSourceRepresentationToClosedSurface()


@pytest.mark.parametrize(
    "spoil, problem",
    [
        (lambda scene, node, frames: frames.__setitem__(2, (TIMES[2], frames[2][1][1:])), "has changed"),
        (lambda scene, node, frames: frames.__setitem__(2, ("77", frames[2][1])), "no frame 77"),
        (surfaces_only, "surfaces"),
        (lambda scene, node, frames: scene.RemoveNode(node), "was deleted"),
    ],
    ids=["labels of another grid", "a frame that is gone", "an output of surfaces", "a deleted output"],
)
@pytest.mark.parametrize("second", [False, True])
def test_nothing_changes_if_a_frame_cannot_be_written(
    a_scene, a_browser, a_moving_volume, a_segmentation_node, frames, spoil, problem, second
):
    if second:
        mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames)
    frames = list(frames)
    spoil(a_scene, a_segmentation_node, frames)
    before = snapshot(a_scene)
    with pytest.raises(InputError, match=problem):
        mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames)
    assert snapshot(a_scene) == before


def test_the_frames_survive_saving_and_loading_the_scene(
    a_scene, a_browser, a_moving_volume, a_segmentation_node, frames, tmp_path
):
    mrml.write_frames(a_browser, a_moving_volume, a_segmentation_node, frames, tumour=True)
    files = {
        a_browser.GetMasterSequenceNode(): "ct.seq.nrrd",
        a_browser.GetSequenceNode(a_segmentation_node): "liver.seq.mrb",
        a_moving_volume: "ct.nrrd",
        a_segmentation_node: "liver.seg.nrrd",
    }
    for node, name in files.items():
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / name))
        assert node.GetStorageNode().WriteData(node)
    # Slicer unpacks a sequence of segmentations in its cache.
    cache = slicer.vtkCacheManager()
    cache.SetRemoteCacheDirectory(str(tmp_path))
    remote = slicer.vtkDataIOManager()
    remote.SetCacheManager(cache)
    a_scene.SetDataIOManager(remote)
    reloaded(a_scene, tmp_path)
    browser = a_scene.GetFirstNodeByName("Browser")
    volume_node = browser.GetProxyNode(browser.GetMasterSequenceNode())
    assert_shown(browser, volume_node, a_scene.GetFirstNodeByName("Result"), frames)
