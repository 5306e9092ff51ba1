"""Reports stay with the scene: on the segmentation, and as a table."""

from __future__ import annotations

import pytest

from LiverSegLib import mrml

REPORT = {
    "input": 'CT "Müller"; <a>&b: 100 % ~|\\',
    "liver_volume_ml": 1503.2,
    "warnings": ["Zwei\nZeilen"],
    "dice": None,
}
COLUMNS = ("Measure", "Value", "Unit")
ROWS = [("Liver volume", "1503.2", "ml"), ("Dice", "0.957", "")]


def cells(node):
    table = node.GetTable()
    columns = [table.GetColumn(n) for n in range(table.GetNumberOfColumns())]
    rows = [tuple(column.GetValue(n) for column in columns) for n in range(table.GetNumberOfRows())]
    return tuple(column.GetName() for column in columns), rows


def reloaded(scene, folder):
    """The scene after it was saved, closed and loaded."""
    scene.SetRootDirectory(str(folder))
    scene.SetURL(str(folder / "scene.mrml"))
    assert scene.Commit()
    scene.Clear()
    assert scene.Connect()


def test_a_report_comes_back_as_it_was(a_segmentation_node):
    assert mrml.stored_report(a_segmentation_node) is None
    mrml.store_report(a_segmentation_node, {"liver_volume_ml": 1.0})
    mrml.store_report(a_segmentation_node, REPORT)
    assert mrml.stored_report(a_segmentation_node) == REPORT


def test_a_report_survives_saving_and_loading_the_scene(a_scene, a_segmentation_node, tmp_path):
    mrml.store_report(a_segmentation_node, REPORT)
    reloaded(a_scene, tmp_path)
    assert mrml.stored_report(a_scene.GetFirstNodeByName("Result")) == REPORT


@pytest.mark.parametrize("text", ["", "{", "[1]", "3"])
def test_what_is_no_report_is_none(a_segmentation_node, text):
    mrml.store_report(a_segmentation_node, REPORT)
    (name,) = a_segmentation_node.GetAttributeNames()
    a_segmentation_node.SetAttribute(name, text)
    assert mrml.stored_report(a_segmentation_node) is None


def test_a_table_holds_the_rows_under_their_columns(a_scene):
    node = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    assert node.GetName() == "Result report" and cells(node) == (COLUMNS, ROWS)


def test_the_table_of_a_title_is_filled_anew(a_scene):
    node = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    count = a_scene.GetNumberOfNodes()
    assert mrml.write_report_table(a_scene, "Result report", ROWS[:1], COLUMNS[:2]) is node
    assert cells(node) == (COLUMNS[:2], [("Liver volume", "1503.2")])
    assert a_scene.GetNumberOfNodes() == count
    assert mrml.write_report_table(a_scene, "Other report", ROWS, COLUMNS) is not node


def test_a_renamed_table_is_found_again(a_scene):
    node = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    node.SetName("For the tumour board")
    assert mrml.write_report_table(a_scene, "Result report", [], COLUMNS) is node
    assert node.GetName() == "For the tumour board" and cells(node) == (COLUMNS, [])


def test_a_table_of_somebody_else_is_left_alone(a_scene):
    theirs = a_scene.AddNewNodeByClass("vtkMRMLTableNode", "Result report")
    theirs.AddColumn().SetName("Patient")
    ours = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    assert ours is not theirs and ours.GetName() != "Result report"
    assert cells(theirs) == (("Patient",), []) and theirs.GetName() == "Result report"


def test_a_table_is_found_again_after_saving_and_loading_the_scene(a_scene, tmp_path):
    mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    reloaded(a_scene, tmp_path)
    node = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS)
    assert len(mrml.nodes_of_class(a_scene, "vtkMRMLTableNode")) == 1 and cells(node) == (COLUMNS, ROWS)


def test_a_segmentation_keeps_its_table_when_it_is_renamed(a_scene, a_segmentation_node):
    node = mrml.write_report_table(a_scene, "Result report", ROWS, COLUMNS, a_segmentation_node)
    a_segmentation_node.SetName("Patient 7")
    again = mrml.write_report_table(a_scene, "Patient 7 report", ROWS[:1], COLUMNS, a_segmentation_node)
    assert again is node and len(cells(node)[1]) == 1
    a_scene.RemoveNode(node)
    assert mrml.write_report_table(a_scene, "Patient 7 report", ROWS, COLUMNS, a_segmentation_node) is not node
