"""What a person does in the panel, and how the scene is looked at before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import slicer
import slicer.util

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


def table_rows() -> dict[str, str]:
    """Measure and value of the only table in the scene."""
    [table] = nodes("Table")
    return {table.GetCellText(row, 0): table.GetCellText(row, 1) for row in range(table.GetNumberOfRows())}
