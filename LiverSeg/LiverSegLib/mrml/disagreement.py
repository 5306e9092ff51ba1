"""Where a result and its reference differ, as segments of their own."""

from __future__ import annotations

import numpy as np
import slicer

from .. import messages
from ..data.bounding_box import Box, box_round
from .images import affine_of, cropped_image
from .scene import nodes_of_class, remove_whole, unique_name
from .segmentation import BINARY_LABELMAP, check_same_grid, put_into_study_of

# From the disagreement's node to that of the result, so that it is found again after the scene was saved and loaded.
RESULT_ROLE = "LiverSeg.Result"
MISSED, EXTRA = "LiverSeg_Missed", "LiverSeg_Extra"
# Blue and yellow: told apart by every eye, on a grey CT and beside the liver's own colour. An orange would be the
# liver's to eyes without blue cones.
COLOURS = {MISSED: (0.0, 0.45, 1.0), EXTRA: (1.0, 0.85, 0.0)}
FILL_OPACITY = 0.7


def show_disagreement(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    reference_labels: np.ndarray,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> slicer.vtkMRMLSegmentationNode:
    """Fill in the slice views what of the liver (tumours included) only the result has, and what only the reference.

    Parameters
    ----------
    segmentation_node
        The result's. It has one disagreement at most, which is filled anew.
    labels, reference_labels
        uint8 (k, j, i) on the volume's grid, liver where not 0.

    Returns
    -------
    A node with the segments "Missed" (in the reference only) and "Extra" (in the result only), under the volume's
    transform.

    Raises
    ------
    InputError
        If the volume has other dimensions than the labels.
    """
    check_same_grid(labels, volume_node)
    check_same_grid(reference_labels, volume_node)
    node = _disagreement_of(segmentation_node) or _new_disagreement(segmentation_node)
    # Before any voxel is written: see put_under_transform_of.
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    node.GetSegmentation().RemoveAllSegments()
    node.SetSourceRepresentationToBinaryLabelmap()
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    # Only the box round both livers is looked at: five times faster than the whole grid.
    box = box_round(labels, reference_labels)
    found, wanted = labels[box] > 0, reference_labels[box] > 0
    _add(node, MISSED, messages.MISSED, wanted & ~found, affine_of(volume_node), box)
    _add(node, EXTRA, messages.EXTRA, found & ~wanted, affine_of(volume_node), box)
    put_into_study_of(volume_node, node)
    return node


def remove_disagreement(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Take the result's disagreement out of the scene, with its display; nothing happens if there is none."""
    node = _disagreement_of(segmentation_node)
    if node is not None:
        remove_whole(node)


def _disagreement_of(segmentation_node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode | None:
    for node in nodes_of_class(segmentation_node.GetScene(), "vtkMRMLSegmentationNode"):
        if node.GetNodeReference(RESULT_ROLE) is segmentation_node:
            return node
    return None


def _new_disagreement(segmentation_node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLSegmentationNode:
    scene = segmentation_node.GetScene()
    name = messages.AGAINST_THE_REFERENCE.format(name=segmentation_node.GetName())
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", unique_name(scene, name))
    node.SetNodeReferenceID(RESULT_ROLE, segmentation_node.GetID())
    node.CreateDefaultDisplayNodes()
    display = node.GetDisplayNode()
    display.SetVisibility3D(False)
    display.SetVisibility2DOutline(False)
    display.SetVisibility2DFill(True)
    display.SetOpacity2DFill(FILL_OPACITY)
    return node


def _add(
    node: slicer.vtkMRMLSegmentationNode,
    segment_id: str,
    name: str,
    mask: np.ndarray,
    affine: np.ndarray,
    box: Box,
) -> None:
    segment = slicer.vtkSegment()
    segment.SetName(name)
    segment.SetColor(COLOURS[segment_id])
    segment.AddRepresentation(BINARY_LABELMAP, cropped_image(mask, affine, (box[0].start, box[1].start, box[2].start)))
    node.GetSegmentation().AddSegment(segment, segment_id)
