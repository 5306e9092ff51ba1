"""What a scene is like, to be compared: nothing may differ after something that failed."""

from __future__ import annotations

from typing import Any

from LiverSegLib import mrml


def snapshot(scene) -> list[tuple[Any, ...]]:
    """Every node with its name, attributes and references, where it is, and its voxels, segments or frames."""
    return [_described(scene.GetNthNode(n)) for n in range(scene.GetNumberOfNodes())]


def _described(node) -> tuple[Any, ...]:
    described = [node.GetID(), node.GetName(), node.GetHideFromEditors()]
    described += [(name, node.GetAttribute(name)) for name in node.GetAttributeNames()]
    roles = (node.GetNthNodeReferenceRole(n) for n in range(node.GetNumberOfNodeReferenceRoles()))
    # Nodes keep roles that they no longer use.
    described += [(role, node.GetNodeReferenceID(role)) for role in roles if node.GetNodeReferenceID(role)]
    if node.IsA("vtkMRMLVolumeNode") and node.GetImageData() is not None:
        described += [mrml.affine_of(node).tobytes(), mrml.voxels_of(node.GetImageData()).tobytes()]
    if node.IsA("vtkMRMLSegmentationNode"):
        described += [segments(node), node.GetSegmentation().ContainsRepresentation(mrml.CLOSED_SURFACE)]
    if node.IsA("vtkMRMLSequenceNode"):
        described += [_described(node.GetNthDataNode(n)) for n in range(node.GetNumberOfDataNodes())]
    if node.IsA("vtkMRMLSliceNode"):
        described += [node.GetFieldOfView(), _elements(node.GetSliceToRAS())]
    return tuple(described)


def _elements(matrix) -> tuple[float, ...]:
    return tuple(matrix.GetElement(row, column) for row in range(4) for column in range(4))


def segments(node) -> list[tuple[Any, ...]]:
    """Id, name, colour, and voxels with their place of every segment of a segmentation node."""
    found = []
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        image = segment.GetRepresentation(mrml.BINARY_LABELMAP)
        voxels = None
        if image is not None and image.GetPointData().GetScalars() is not None:
            voxels = (image.GetExtent(), (mrml.voxels_of(image) == segment.GetLabelValue()).tobytes())
        found.append((segment_id, segment.GetName(), segment.GetColor(), voxels))
    return found
