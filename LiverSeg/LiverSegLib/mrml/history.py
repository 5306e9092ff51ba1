"""Undo and redo of what runs did to a segmentation node.

Slicer's vtkSegmentationHistory keeps the segments alone: not how visible they are, not the node's transform, not the
report and the strokes; and its redo is gone as soon as a display setting marks a segment as modified. So whole states
are kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import slicer
import vtk

from ..evaluation.corrections import with_checks_of
from .corrections import CORRECTIONS_ATTRIBUTE, describe_segments
from .segmentation import VOLUME_ROLE
from .tables import REPORT_ATTRIBUTE, store_report, stored_report

MOST_STEPS = 5
# How a segment is shown, as its display node names it; the segment's own colour is part of the segment.
SHOWN_BY = (
    "Visibility",
    "Visibility2DFill",
    "Visibility2DOutline",
    "Visibility3D",
    "Opacity2DFill",
    "Opacity2DOutline",
    "Opacity3D",
    "OverrideColor",
    "Pickable",
)


class History:
    """States of segmentation nodes before runs; of each node the last five.

    It keeps no node alive. A state is taken out when it is gone back to, and what was there takes its place on the
    other side, so that nothing is ever lost, edits of the user between runs included.
    """

    def __init__(self) -> None:
        self._steps: list[_Steps] = []

    def save(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Remember the node as it is now, before a run changes it; what was undone can no longer be redone."""
        steps = self._steps_of(node) or _Steps(_weak(node))
        steps.undo = [*steps.undo, _State.of(node)][-MOST_STEPS:]
        steps.redo.clear()
        self._steps = [*(other for other in self._steps if other.alive() and other is not steps), steps]

    def forget(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Drop the state that was saved last, of a run that came to nothing."""
        if steps := self._steps_of(node):
            steps.undo = steps.undo[:-1]

    def can_undo(self, node: slicer.vtkMRMLSegmentationNode | None) -> bool:
        steps = self._steps_of(node)
        return bool(steps and steps.undo)

    def can_redo(self, node: slicer.vtkMRMLSegmentationNode | None) -> bool:
        steps = self._steps_of(node)
        return bool(steps and steps.redo)

    def undo(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Bring the node back to where it was before the last run; nothing happens if there was none."""
        if steps := self._steps_of(node):
            _go(node, steps.undo, steps.redo)

    def redo(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Bring back what :meth:`undo` took away; nothing happens if there is nothing."""
        if steps := self._steps_of(node):
            _go(node, steps.redo, steps.undo)

    def _steps_of(self, node: slicer.vtkMRMLSegmentationNode | None) -> _Steps | None:
        if node is None or node.GetScene() is None:
            return None
        return next((steps for steps in self._steps if steps.node.Get() is node), None)


@dataclass(frozen=True)
class _State:
    """A segmentation node's content, how its segments are shown, and where it lies."""

    segmentation: slicer.vtkSegmentation
    shown: dict[str, dict[str, Any]]
    transform: vtk.vtkWeakReference
    volume: vtk.vtkWeakReference
    kept: dict[str, str | None]

    @classmethod
    def of(cls, node: slicer.vtkMRMLSegmentationNode) -> _State:
        segmentation = slicer.vtkSegmentation()
        segmentation.DeepCopy(node.GetSegmentation())
        volume = node.GetNodeReference(VOLUME_ROLE)
        kept = {name: node.GetAttribute(name) for name in (REPORT_ATTRIBUTE, CORRECTIONS_ATTRIBUTE)}
        return cls(segmentation, _shown(node), _weak(node.GetParentTransformNode()), _weak(volume), kept)

    def restore(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        transform, volume = _living(self.transform), _living(self.volume)
        modifying = node.StartModify()
        node.GetSegmentation().DeepCopy(self.segmentation)
        node.CreateDefaultDisplayNodes()
        node.SetAndObserveTransformNodeID(transform and transform.GetID())
        node.SetNodeReferenceID(VOLUME_ROLE, volume and volume.GetID())
        self._restore_kept(node)
        for segment_id, properties in self.shown.items():
            for name, value in properties.items():
                getattr(node.GetDisplayNode(), f"SetSegment{name}")(segment_id, value)
        node.EndModify(modifying)

    def _restore_kept(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Report and strokes; what was ticked off since, of the same run, stays so."""
        checked = stored_report(node)
        for name, text in self.kept.items():
            if text is None:
                node.RemoveAttribute(name)
            else:
                node.SetAttribute(name, text)
        report = stored_report(node)
        if report is not None:
            store_report(node, with_checks_of(report, checked))
            describe_segments(node)


@dataclass
class _Steps:
    """States of one node, oldest first, that lie before and after what it is now."""

    node: vtk.vtkWeakReference
    undo: list[_State] = field(default_factory=list)
    redo: list[_State] = field(default_factory=list)

    def alive(self) -> bool:
        return self.node.Get() is not None


def _go(node: slicer.vtkMRMLSegmentationNode, source: list[_State], other: list[_State]) -> None:
    if source:
        here = _State.of(node)
        source.pop().restore(node)
        other.append(here)


def _shown(node: slicer.vtkMRMLSegmentationNode) -> dict[str, dict[str, Any]]:
    display = node.GetDisplayNode()
    if display is None:
        return {}
    return {
        segment_id: {name: getattr(display, f"GetSegment{name}")(segment_id) for name in SHOWN_BY}
        for segment_id in node.GetSegmentation().GetSegmentIDs()
    }


def _weak(node: slicer.vtkMRMLNode | None) -> vtk.vtkWeakReference:
    reference = vtk.vtkWeakReference()
    reference.Set(node)
    return reference


def _living(reference: vtk.vtkWeakReference) -> slicer.vtkMRMLNode | None:
    """The node, if it is still there and in its scene."""
    node = reference.Get()
    return node if node is not None and node.GetScene() is not None else None
