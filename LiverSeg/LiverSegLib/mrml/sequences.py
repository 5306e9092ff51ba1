"""Results for all frames of a sequence: as a sequence of segmentations that plays along with that of the CT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import slicer

from .. import messages
from ..data.anatomy import Anatomy
from ..errors import InputError
from .images import affine_of, geometry_of
from .scene import nodes_of_class, unique_name
from .segmentation import (
    GEOMETRY_PARAMETER,
    VOLUME_ROLE,
    check_output,
    check_same_grid,
    fill_segments,
    make_display,
    move,
    other_segments,
    put_into_study_of,
    put_under_transform_of,
    show_inside_of_liver,
    what_is_inside,
)
from .transforms import matrix_between


def sequence_browser_of(node: slicer.vtkMRMLNode) -> slicer.vtkMRMLSequenceBrowserNode | None:
    """The browser that moves this volume, or segmentation, through a sequence; None if it is no frame of one."""
    for browser in nodes_of_class(node.GetScene(), "vtkMRMLSequenceBrowserNode"):
        if browser.GetSequenceNode(node) is not None:
            return browser
    return None


def frame_nodes(node: slicer.vtkMRMLNode) -> list[tuple[str, slicer.vtkMRMLNode]]:
    """Index value (such as a time) and volume, or segmentation, of every frame, in order; none without a sequence.

    The frames are read as any volume is; they know no parent transform: that of the node holds for all of them.
    """
    browser = sequence_browser_of(node)
    if browser is None:
        return []
    sequence = browser.GetSequenceNode(node)
    values = map(sequence.GetNthIndexValue, range(sequence.GetNumberOfDataNodes()))
    return list(zip(values, _data_nodes(sequence), strict=True))


def shown_frame(node: slicer.vtkMRMLNode) -> str | None:
    """Index value of the frame that a volume, or segmentation, shows; None if it is no frame of a sequence."""
    browser = sequence_browser_of(node)
    if browser is None or browser.GetSelectedItemNumber() < 0:
        return None
    sequence = browser.GetSequenceNode(node)
    at = browser.GetMasterSequenceNode().GetNthIndexValue(browser.GetSelectedItemNumber())
    return sequence.GetNthIndexValue(sequence.GetItemNumberFromIndexValue(at, False))


def _data_nodes(sequence: slicer.vtkMRMLSequenceNode | None) -> list[slicer.vtkMRMLNode]:
    return [] if sequence is None else [sequence.GetNthDataNode(n) for n in range(sequence.GetNumberOfDataNodes())]


def write_frames(
    browser: slicer.vtkMRMLSequenceBrowserNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    frames: Sequence[tuple[str, np.ndarray]],
    tumour: bool = False,
    anatomies: Mapping[str, Anatomy] | None = None,
) -> None:
    """Let a segmentation node show the result of the frame that the browser is at.

    As with write_segmentation the node goes under the volume's transform, our segments are refilled, others are kept
    (a copy of them in each frame). A node that has a sequence in this browser already keeps it, filled anew.

    Parameters
    ----------
    volume_node
        The volume that the browser moves through the CT's sequence.
    frames, tumour
        Index value and labels, uint8 (k, j, i) on the grid of that frame: 0 background, 1 liver, 2 tumour; whether to
        write the tumours' segment too.
    anatomies
        What else was found in each frame, by its index value and on its grid.

    Raises
    ------
    InputError
        As write_segmentation, or if a frame is no longer there; nothing is changed then.
    """
    check_output(segmentation_node, volume_node)
    volumes = _volumes_of(frames, volume_node)
    sequence = browser.GetSequenceNode(segmentation_node)
    results = []
    for index_value, labels in frames:
        kept = sequence and sequence.GetDataNodeAtValue(index_value, True)
        node = _kept_segments(kept or segmentation_node, segmentation_node, volume_node)
        anatomy = (anatomies or {}).get(index_value)
        results.append((index_value, _filled(node, labels, volumes[index_value], tumour, anatomy)))
    # Until here nothing in the scene was touched.
    put_under_transform_of(volume_node, segmentation_node)
    make_display(segmentation_node)
    inside = what_is_inside(segmentation_node, *_data_nodes(sequence))
    segmentation_node.SetNodeReferenceID(VOLUME_ROLE, volume_node.GetID())
    sequence = sequence or _new_sequence(segmentation_node, browser.GetSequenceNode(volume_node))
    _play(results, browser, segmentation_node, sequence)
    if (now_inside := what_is_inside(*_data_nodes(sequence))) != inside:
        show_inside_of_liver(segmentation_node, *now_inside)
    put_into_study_of(volume_node, segmentation_node)


def _volumes_of(
    frames: Sequence[tuple[str, np.ndarray]], volume_node: slicer.vtkMRMLScalarVolumeNode
) -> dict[str, slicer.vtkMRMLScalarVolumeNode]:
    """The CT's frames by their index values, on whose grids the labels are."""
    volumes = dict(frame_nodes(volume_node))
    for index_value, labels in frames:
        if index_value not in volumes:
            raise InputError(messages.VOLUME_HOLDS_NO_FRAME.format(name=volume_node.GetName(), frame=index_value))
        check_same_grid(labels, volumes[index_value])
    return volumes


def _filled(
    node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    frame: slicer.vtkMRMLScalarVolumeNode,
    tumour: bool,
    anatomy: Anatomy | None,
) -> slicer.vtkMRMLSegmentationNode:
    node.GetSegmentation().SetConversionParameter(GEOMETRY_PARAMETER, geometry_of(frame))
    fill_segments(node, labels, affine_of(frame), tumour, anatomy)
    return node


def _kept_segments(
    content: slicer.vtkMRMLSegmentationNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLVolumeNode,
) -> slicer.vtkMRMLSegmentationNode:
    """A copy outside the scene; segments of others stay where they are in the world, under the volume's transform."""
    node = slicer.vtkMRMLSegmentationNode()
    node.CopyContent(content)
    node.RemoveClosedSurfaceRepresentation()
    if other_segments(node) and segmentation_node.GetTransformNodeID() != volume_node.GetTransformNodeID():
        move(node.GetSegmentation(), matrix_between(segmentation_node, volume_node))
    return node


def _new_sequence(
    segmentation_node: slicer.vtkMRMLSegmentationNode, of_volume: slicer.vtkMRMLSequenceNode
) -> slicer.vtkMRMLSequenceNode:
    scene = segmentation_node.GetScene()
    name = messages.SEGMENTATION_SEQUENCE.format(name=segmentation_node.GetName())
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", unique_name(scene, name))
    sequence.SetIndexName(of_volume.GetIndexName())
    sequence.SetIndexUnit(of_volume.GetIndexUnit())
    sequence.SetIndexType(of_volume.GetIndexType())
    return sequence


def _play(
    results: list[tuple[str, slicer.vtkMRMLSegmentationNode]],
    browser: slicer.vtkMRMLSequenceBrowserNode,
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    sequence: slicer.vtkMRMLSequenceNode,
) -> None:
    """Fill the sequence and let the browser show its frames in the segmentation node."""
    # The browser looks at all this once, when it is complete. In between it may neither save what the node showed
    # before as the frame it is at, nor deep-copy a frame into the segmentation that it shares with that frame.
    modifying = browser.StartModify()
    known = browser.GetSequenceNode(segmentation_node) is sequence
    if known:
        browser.SetSaveChanges(sequence, False)
    sequence.RemoveAllDataNodes()
    for index_value, node in results:
        sequence.SetDataNodeAtValue(node, index_value)
    if not known:
        browser.AddProxyNode(segmentation_node, sequence, False)
    master, selected = browser.GetMasterSequenceNode(), browser.GetSelectedItemNumber()
    if selected >= 0:
        segmentation_node.CopyContent(sequence.GetDataNodeAtValue(master.GetNthIndexValue(selected), False), False)
    browser.SetSaveChanges(sequence, True)
    browser.EndModify(modifying)
