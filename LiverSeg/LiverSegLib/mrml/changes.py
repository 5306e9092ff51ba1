"""Whether somebody has changed voxels since they were looked at last."""

from __future__ import annotations

from typing import Any

import slicer


def content_state(node: slicer.vtkMRMLVolumeNode | slicer.vtkMRMLSegmentationNode) -> tuple[Any, ...]:
    """What differs after every edit of a volume's voxels or of a node's segments, and does not otherwise."""
    if node.IsA("vtkMRMLVolumeNode"):
        return (_modified(node.GetImageData()),)
    segmentation = node.GetSegmentation()
    source = segmentation.GetSourceRepresentationName()
    segments = ((segment_id, segmentation.GetSegment(segment_id)) for segment_id in segmentation.GetSegmentIDs())
    return tuple((segment_id, _modified(segment.GetRepresentation(source))) for segment_id, segment in segments)


def _modified(data: Any) -> int | None:
    """When an image or a surface was changed, its numbers included."""
    return None if data is None else max(data.GetMTime(), data.GetPointData().GetMTime())
