"""Which node a result goes to, what it is called, and how it is found again among others."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.structures import LIVER
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot
from Testing.mrml.test_tables import reloaded


@pytest.fixture
def another_volume_node(a_volume_node, hu, affine):
    return mrml.volume_from_ct(CTVolume(hu, affine, "CT"))


def add(scene, name):
    return scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)


def test_the_name_of_a_new_result_is_that_of_the_volume_and_its_own(a_scene, a_volume_node):
    names = []
    for _ in range(3):
        names.append(mrml.new_segmentation_name(a_volume_node))
        add(a_scene, names[-1])
    assert names[0] == "CT liver segmentation" and len(set(names)) == 3


def test_the_newest_result_of_a_volume_is_found(a_scene, a_volume_node, another_volume_node, labels):
    assert mrml.segmentation_of(a_volume_node) is None
    nodes = [add(a_scene, name) for name in ("First", "Second", "Of the other")]
    for node, volume_node in zip(nodes, (a_volume_node, a_volume_node, another_volume_node), strict=True):
        mrml.write_segmentation(node, labels, volume_node)
    add(a_scene, "Empty").SetReferenceImageGeometryParameterFromVolumeNode(a_volume_node)
    assert mrml.segmentation_of(a_volume_node) is nodes[1]
    assert mrml.segmentation_of(another_volume_node) is nodes[2]
    a_scene.RemoveNode(nodes[1])
    assert mrml.segmentation_of(a_volume_node) is nodes[0]
    a_scene.RemoveNode(a_volume_node)
    assert mrml.segmentation_of(a_volume_node) is None


def test_hidden_and_renamed_results_are_found(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    a_segmentation_node.SetName("Mein Ergebnis")
    a_segmentation_node.SetHideFromEditors(True)
    a_segmentation_node.GetDisplayNode().SetVisibility(False)
    a_segmentation_node.GetSegmentation().GetSegment(mrml.SEGMENT_IDS[LIVER.label]).SetName("Leber")
    a_volume_node.SetName("Anderer Name")
    assert mrml.segmentation_of(a_volume_node) is a_segmentation_node
    smaller = np.where(labels == 2, labels, 0).astype(np.uint8)
    mrml.write_segmentation(a_segmentation_node, smaller, a_volume_node)
    assert a_segmentation_node.GetSegmentation().GetNumberOfSegments() == 1
    np.testing.assert_array_equal(mrml.segmentation_to_labels(a_segmentation_node, a_volume_node), smaller > 0)
    assert not a_segmentation_node.GetDisplayNode().GetVisibility()


def test_a_result_is_found_after_saving_and_loading_the_scene(
    a_scene, a_volume_node, a_segmentation_node, labels, tmp_path
):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    for node, name in ((a_volume_node, "ct.nrrd"), (a_segmentation_node, "liver.seg.nrrd")):
        node.AddDefaultStorageNode()
        node.GetStorageNode().SetFileName(str(tmp_path / name))
        assert node.GetStorageNode().WriteData(node)
    reloaded(a_scene, tmp_path)
    volume_node = a_scene.GetFirstNodeByName("CT")
    found = mrml.segmentation_of(volume_node)
    assert found.GetName() == "Result"
    np.testing.assert_array_equal(mrml.segmentation_to_labels(found, volume_node), labels)


def test_a_deleted_output_is_refused(a_scene, a_volume_node, a_segmentation_node, labels):
    a_scene.RemoveNode(a_segmentation_node)
    before = snapshot(a_scene)
    with pytest.raises(InputError, match="was deleted"):
        mrml.write_segmentation(a_segmentation_node, labels, a_volume_node)
    assert snapshot(a_scene) == before


def test_dicom_export_is_told_that_a_program_made_the_segments(a_volume_node, a_segmentation_node, labels):
    # DICOMSegmentationPlugin calls a segment MANUAL without the first tag, and refuses it without the second.
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    for segment_id in mrml.SEGMENT_IDS.values():
        segment, tags = a_segmentation_node.GetSegmentation().GetSegment(segment_id), []
        for tag in ("DICOM.SegmentAlgorithmType", "DICOM.SegmentAlgorithmName"):
            value = vtk.reference("")
            assert segment.GetTag(tag, value)
            tags.append(str(value))
        assert tags == ["AUTOMATIC", "LiverSeg"]


def test_dicom_export_sees_that_an_empty_segment_is_empty(a_volume_node, a_segmentation_node, labels):
    # The plugin looks for an array of this name; of one without values it would take the segment to be filled.
    mrml.write_segmentation(a_segmentation_node, np.where(labels == 1, labels, 0), a_volume_node, tumour=True)
    arrays = [
        a_segmentation_node.GetSegmentation()
        .GetSegment(segment_id)
        .GetRepresentation(mrml.BINARY_LABELMAP)
        .GetPointData()
        .GetArray("ImageScalars")
        for segment_id in mrml.SEGMENT_IDS.values()
    ]
    assert arrays[0].GetValueRange() == (0, 1) and arrays[1] is None


def test_the_terminology_is_one_that_slicer_reads(a_volume_node, a_segmentation_node, labels):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    logic = slicer.vtkSlicerTerminologiesModuleLogic()
    codes = []
    for segment_id in mrml.SEGMENT_IDS.values():
        segment, tag = a_segmentation_node.GetSegmentation().GetSegment(segment_id), vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), tag)
        entry = slicer.vtkSlicerTerminologyEntry()
        logic.DeserializeTerminologyEntry(str(tag), entry)
        parts = (entry.GetCategoryObject(), entry.GetTypeObject(), entry.GetRegionObject())
        codes.append([(part.GetCodingSchemeDesignator(), part.GetCodeValue()) if part else None for part in parts])
    assert codes[0][:2] == [("SCT", "123037004"), ("SCT", "10200004")]
    assert codes[1] == [("SCT", "49755003"), ("SCT", "4147007"), ("SCT", "10200004")]
