"""What a person does in the panel, and how the scene is looked at before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER
from Testing.bench import Application
from Testing.mrml.snapshot import snapshot
from Testing.widget.stand_in import StandIn, small_ct

LIVER_ID = mrml.SEGMENT_IDS[LIVER.label]


def wait_for_the_end(application: Application, panel: Any, seconds: float = 60.0) -> None:
    """Wait until nothing runs any more, neither a segmentation nor the comparison that follows it."""
    application.wait_until(lambda: not panel._runner.running, seconds)


def segment(application: Application, panel: Any, seconds: float = 60.0) -> slicer.vtkMRMLSegmentationNode | None:
    """Click, wait, and give what is chosen as the output then."""
    application.click(panel.ui.segmentButton)
    wait_for_the_end(application, panel, seconds)
    return panel._parameterNode.outputSegmentation


def start(application: Application, panel: Any, stand_in: StandIn) -> None:
    """Click, and wait until the network is in the middle of its work, where it stays."""
    stand_in.hold()
    application.click(panel.ui.segmentButton)
    application.wait_until(stand_in.waiting.is_set)


def open_section(application: Application, section: Any) -> None:
    """Click on the title of a section that is closed."""
    if section.collapsed:
        application.click(section)


def choose_reference(application: Application, panel: Any, reference: slicer.vtkMRMLNode | None) -> None:
    """Choose a reference in its section."""
    open_section(application, panel.ui.referenceSection)
    application.choose(panel.ui.referenceSelector, reference)


def compare(application: Application, panel: Any, reference: slicer.vtkMRMLNode | None) -> None:
    """Choose a reference, and wait for its measures."""
    choose_reference(application, panel, reference)
    wait_for_the_end(application, panel)


def click_disagreement(application: Application, panel: Any) -> None:
    """Show the disagreement, or take it away."""
    open_section(application, panel.ui.referenceSection)
    application.click(panel.ui.disagreementCheckBox)


def open_advanced(application: Application, panel: Any) -> None:
    """Open the section and wait for its list of devices."""
    open_section(application, panel.ui.advancedSection)
    wait_for_the_end(application, panel)


def world(volume_node: slicer.vtkMRMLVolumeNode, k: float, j: float, i: float) -> tuple[float, float, float]:
    """Where a voxel of a CT lies in the world, whatever transform the CT is under; RAS mm."""
    place = (mrml.affine_of(volume_node) @ [i, j, k, 1.0])[:3]
    moved = [0.0, 0.0, 0.0]
    volume_node.TransformPointToWorld(place, moved)
    return moved[0], moved[1], moved[2]


def draw(
    application: Application,
    volume_node: slicer.vtkMRMLVolumeNode,
    *voxels: tuple[float, float, float],
    view: str = "Red",
    hold: bool = False,
) -> None:
    """Scroll a slice view to voxels (k, j, i) of a CT, and click there, or draw a line over them."""
    points = [world(volume_node, *voxel) for voxel in voxels]
    application.app.layoutManager().sliceWidget(view).mrmlSliceNode().JumpSliceByCentering(*points[0])
    application.begin_line(view, *points)
    if not hold:
        application.end_line(view)


def correct(
    application: Application,
    panel: Any,
    volume_node: slicer.vtkMRMLVolumeNode,
    *voxels: tuple[float, float, float],
    button: str = "addButton",
    view: str = "Red",
) -> None:
    """Take a tool, draw with it, and wait until the result has changed."""
    take(application, panel, button)
    draw(application, volume_node, *voxels, view=view)
    wait_for_correction(application, panel)


def take(application: Application, panel: Any, button: str = "addButton") -> None:
    """Take a tool into the hand, if it is not there already."""
    open_section(application, panel.ui.correctSection)
    if not getattr(panel.ui, button).checked:
        application.click(getattr(panel.ui, button))


def wait_for_correction(application: Application, panel: Any, seconds: float = 60.0) -> None:
    """Wait until all strokes are in the result, and what follows them has ended."""
    application.wait_until(lambda: not panel._correct.busy and not panel._runner.running, seconds)


def liver_in(segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The voxels of our liver segment, bool (k, j, i) on the volume's grid."""
    return slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, LIVER_ID, volume_node) > 0


def nodes(kind: str) -> list[slicer.vtkMRMLNode]:
    """The scene's nodes of a class, such as "Segmentation" or "Table"."""
    return slicer.util.getNodesByClass(f"vtkMRML{kind}Node")


def without(before: list[tuple], *node_ids: str) -> list[tuple]:
    """A snapshot without some nodes, and without those that note down others: parameters and subject hierarchy."""
    notes = {node.GetID() for node in (*nodes("ScriptedModule"), *nodes("SubjectHierarchy"))}
    return [described for described in before if described[0] not in {*node_ids, *notes}]


def scene_without(scene: slicer.vtkMRMLScene, *node_ids: str) -> list[tuple]:
    """What the scene holds besides some nodes and the module's own choices."""
    return without(snapshot(scene), *node_ids)


def add_reference(scene: slicer.vtkMRMLScene, **segments: np.ndarray) -> slicer.vtkMRMLSegmentationNode:
    """A segmentation with a segment of each name, where the given labels are set, on the grid of small_ct()."""
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")
    node.CreateDefaultDisplayNodes()
    for name, labels in segments.items():
        segment = slicer.vtkSegment()
        segment.SetName(name)
        segment.AddRepresentation(mrml.BINARY_LABELMAP, mrml.cropped_image(labels > 0, small_ct()[0].affine))
        node.GetSegmentation().AddSegment(segment)
    return node


def tags(output: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """What Slicer's DICOM export takes from the segment of the liver: how it was made, and by what."""
    found = []
    for name in ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"):
        value = vtk.reference("")
        output.GetSegmentation().GetSegment(LIVER_ID).GetTag(name, value)
        found.append(str(value))
    return found


def table_of_frames() -> list[dict[str, str]]:
    """The rows of the only table in the scene, which is that of a sequence, each by the titles of its columns."""
    [table] = nodes("Table")
    titles = [table.GetColumnName(n) for n in range(table.GetNumberOfColumns())]
    rows = range(table.GetNumberOfRows())
    return [{title: table.GetCellText(row, n) for n, title in enumerate(titles)} for row in rows]


def table_rows() -> dict[str, str]:
    """Measure and value of the only table in the scene."""
    [table] = nodes("Table")
    return {table.GetCellText(row, 0): table.GetCellText(row, 1) for row in range(table.GetNumberOfRows())}
