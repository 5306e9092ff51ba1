"""A reader's corrections and checks in the scene: kept with the segmentation, so that they are saved with it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import slicer

from .. import messages
from ..data.corrections import Corrections
from ..data.places import Place
from ..data.strokes import Stroke
from ..errors import InputError
from ..evaluation.corrections import reader_of, with_place_seen, with_reader
from .images import affine_of, shape_of
from .segmentation import ALGORITHM_TAGS, OUR_IDS, VOLUME_ROLE, holds_liver
from .tables import store_report, stored_report
from .transforms import transformed, warp_between

CORRECTIONS_ATTRIBUTE = "LiverSeg.Corrections"
TYPE_TAG, NAME_TAG = ALGORITHM_TAGS
# Of a name in DICOM (LO).
LONGEST_NAME = 64


def store_corrections(segmentation_node: slicer.vtkMRMLSegmentationNode, corrections: Corrections) -> None:
    """Keep corrections with the node in place of earlier ones; without strokes nothing is kept."""
    if corrections.strokes:
        segmentation_node.SetAttribute(CORRECTIONS_ATTRIBUTE, corrections.to_text())
    else:
        segmentation_node.RemoveAttribute(CORRECTIONS_ATTRIBUTE)


def stored_corrections(segmentation_node: slicer.vtkMRMLSegmentationNode) -> Corrections:
    """What :func:`store_corrections` kept, also after the scene was saved and loaded; none if it cannot be read."""
    return _read(segmentation_node.GetAttribute(CORRECTIONS_ATTRIBUTE) or "")


@lru_cache(maxsize=2)
def _read(text: str) -> Corrections:
    """The same object for the same text: whoever shows the strokes asks at each move of the mouse."""
    try:
        return Corrections.from_text(text) if text else Corrections()
    except ValueError:
        return Corrections()


def volume_to_correct(
    segmentation_node: slicer.vtkMRMLSegmentationNode | None,
) -> slicer.vtkMRMLScalarVolumeNode | None:
    """The CT on which a result can be corrected; None where there is no liver of ours, for MR, and for sequences."""
    if segmentation_node is None or not holds_liver(segmentation_node):
        return None
    report = stored_report(segmentation_node)
    volume_node = segmentation_node.GetNodeReference(VOLUME_ROLE)
    if report is None or "frames" in report or "modality" in report:
        return None
    if volume_node is None or 0 in shape_of(volume_node):
        return None
    return volume_node if volume_node.IsA("vtkMRMLScalarVolumeNode") else None


def stroke_in(
    volume_node: slicer.vtkMRMLScalarVolumeNode, world_mm: Sequence[Sequence[float]], is_liver: bool
) -> Stroke:
    """What was drawn in the world, RAS mm (n, 3), as a stroke in the frame of a CT, whatever transform that is under.

    Raises
    ------
    InputError
        If all of it lies outside of the CT.
    """
    points = transformed(np.array(world_mm, np.float64), warp_between(None, volume_node))
    ijk = np.linalg.solve(affine_of(volume_node), np.c_[points, np.ones(len(points))].T)[:3].T
    inside = np.all((ijk >= -0.5) & (ijk <= np.array(shape_of(volume_node)[::-1]) - 0.5), axis=1)
    if not inside.any():
        raise InputError(messages.CLICK_OUTSIDE.format(name=volume_node.GetName()))
    return Stroke(points[inside], is_liver)


def slice_of(volume_node: slicer.vtkMRMLScalarVolumeNode, position_mm: np.ndarray) -> int:
    """Index k of the CT's slice that is nearest to a point in its frame, RAS mm."""
    k = np.linalg.solve(affine_of(volume_node), [*position_mm, 1.0])[2]
    return int(np.clip(np.floor(k + 0.5), 0, max(0, shape_of(volume_node)[0] - 1)))


def jump_to(volume_node: slicer.vtkMRMLScalarVolumeNode, position_mm: Sequence[float]) -> None:
    """Centre all slice views on a point in the frame of a CT, RAS mm; they keep their directions and their zoom."""
    [world] = transformed(np.array([position_mm], np.float64), warp_between(volume_node, None))
    scene = volume_node.GetScene()
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSliceNode")):
        scene.GetNthNodeByClass(n, "vtkMRMLSliceNode").JumpSliceByCentering(*map(float, world))


def tick_place(segmentation_node: slicer.vtkMRMLSegmentationNode, place: Place, seen: bool) -> None:
    """Keep with the result that somebody has seen a place to check, or has not."""
    report = stored_report(segmentation_node)
    if report is not None:
        store_report(segmentation_node, with_place_seen(report, place, seen))


def sign(segmentation_node: slicer.vtkMRMLSegmentationNode, reader: str) -> None:
    """Keep with the result who has checked it; nobody if the name is empty."""
    report = stored_report(segmentation_node)
    if report is not None:
        store_report(segmentation_node, with_reader(report, reader))
        describe_segments(segmentation_node)


def describe_segments(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Write into our segments what a DICOM SEG tells of how they were made: by whom they were corrected and checked.

    Slicer's export takes algorithm type and name from these tags, and has no other place for it.
    """
    strokes = len(stored_corrections(segmentation_node).strokes)
    reader = reader_of(stored_report(segmentation_node) or {})
    name = ALGORITHM_TAGS[NAME_TAG]
    if strokes:
        name = messages.CORRECTED_ALGORITHM.format(name=name, count=strokes)
    if reader:
        name = messages.CHECKED_ALGORITHM.format(name=name, reader=reader)
    for segment_id in OUR_IDS:
        segment = segmentation_node.GetSegmentation().GetSegment(segment_id)
        if segment is not None:
            segment.SetTag(TYPE_TAG, "SEMIAUTOMATIC" if strokes else ALGORITHM_TAGS[TYPE_TAG])
            segment.SetTag(NAME_TAG, name[:LONGEST_NAME].strip())
