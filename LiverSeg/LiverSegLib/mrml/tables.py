"""Reports in the scene, so that they are saved with it: on the segmentation they belong to, and as a table."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from .scene import nodes_of_class, unique_name

REPORT_ATTRIBUTE = "LiverSeg.Report"
TABLE_ATTRIBUTE = TABLE_ROLE = "LiverSeg.Table"


def store_report(segmentation_node: slicer.vtkMRMLSegmentationNode, report: dict[str, Any]) -> None:
    """Keep a report (as SegmentationReport.to_dict gives it) with the node, in place of an earlier one."""
    segmentation_node.SetAttribute(REPORT_ATTRIBUTE, json.dumps(report))


def stored_report(segmentation_node: slicer.vtkMRMLSegmentationNode) -> dict[str, Any] | None:
    """What :func:`store_report` kept, also after the scene was saved and loaded; None if there is no readable one."""
    text = segmentation_node.GetAttribute(REPORT_ATTRIBUTE)
    try:
        report = json.loads(text) if text else None
    except json.JSONDecodeError:
        return None
    return report if isinstance(report, dict) else None


def write_report_table(
    scene: slicer.vtkMRMLScene,
    title: str,
    rows: Sequence[tuple[str, ...]],
    columns: Sequence[str],
    segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
) -> slicer.vtkMRMLTableNode:
    """Put rows of text under named columns into the table of a segmentation, which is made if there is none.

    Without a segmentation it is the scene's table of that title. The table is found again after either was renamed,
    and after the scene was saved and loaded; a table of the same name that somebody else made is left alone.
    """
    node = segmentation_node.GetNodeReference(TABLE_ROLE) if segmentation_node is not None else None
    node = node or _table_of(scene, title)
    if segmentation_node is not None:
        segmentation_node.SetNodeReferenceID(TABLE_ROLE, node.GetID())
    table = vtk.vtkTable()
    for n, name in enumerate(columns):
        column = vtk.vtkStringArray()
        column.SetName(name)
        for row in rows:
            column.InsertNextValue(row[n])
        table.AddColumn(column)
    node.SetAndObserveTable(table)
    node.SetUseColumnTitleAsColumnHeader(True)
    return node


def _table_of(scene: slicer.vtkMRMLScene, title: str) -> slicer.vtkMRMLTableNode:
    for node in nodes_of_class(scene, "vtkMRMLTableNode"):
        if node.GetAttribute(TABLE_ATTRIBUTE) == title:
            return node
    node = scene.AddNewNodeByClass("vtkMRMLTableNode", unique_name(scene, title))
    node.SetAttribute(TABLE_ATTRIBUTE, title)
    return node
