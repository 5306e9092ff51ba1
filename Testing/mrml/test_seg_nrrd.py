"""The .seg.nrrd that the library writes is one that Slicer itself opens as a segmentation, and the other way round."""

from __future__ import annotations

import numpy as np
import slicer
import vtk

from LiverSegLib import mrml
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.structures import masks_of
from LiverSegLib.io import files


def test_slicer_opens_our_file_with_names_colours_codes_voxels_and_place(a_scene, labels, affine, tmp_path):
    path = tmp_path / "liver.seg.nrrd"
    segments = np.where(labels > 0, np.arange(labels.shape[2]) % 8 + 1, 0).astype(np.uint8)
    anatomy = Anatomy(segments, np.roll(labels > 0, 10, axis=2))
    files.write_labels(path, labels, affine, anatomy=anatomy)
    node = a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))

    assert storage.ReadData(node) == 1

    segmentation = node.GetSegmentation()
    expected = list(masks_of(labels, anatomy))
    assert segmentation.GetNumberOfSegments() == len(expected) == 11
    for structure, mask in expected:
        segment = segmentation.GetSegment(structure.name)
        terminology = vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), terminology)
        image = slicer.vtkOrientedImageData()
        assert node.GetBinaryLabelmapRepresentation(structure.name, image)
        matrix = vtk.vtkMatrix4x4()
        image.GetImageToWorldMatrix(matrix)
        assert segment.GetName() == structure.name
        assert np.allclose(segment.GetColor(), np.array(structure.colour) / 255, atol=1e-5)
        assert str(terminology) == structure.terminology
        assert np.allclose([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)], affine)
        assert image.GetDimensions() == labels.shape[::-1]
        voxels = vtk.util.numpy_support.vtk_to_numpy(image.GetPointData().GetScalars()).reshape(labels.shape)
        # The liver holds its tumours, as in the segmentation that the module itself makes.
        assert np.array_equal(voxels > 0, mask)


def test_we_read_what_slicer_writes(a_volume_node, a_segmentation_node, labels, affine, tmp_path):
    mrml.write_segmentation(a_segmentation_node, labels, a_volume_node, tumour=True)
    mrml.save_node(a_segmentation_node, tmp_path / "slicer.seg.nrrd")
    read, read_affine = files.read_labels(tmp_path / "slicer.seg.nrrd")
    # Slicer may store a cropped array; every labelled voxel is compared by its place in the patient.
    for value in (1, 2):
        expected, found = (places(array == value, at) for array, at in ((labels, affine), (read, read_affine)))
        assert expected == found


def places(mask, affine):
    """RAS positions of the voxels of a mask, rounded to micrometres."""
    ijk = np.argwhere(mask)[:, ::-1]
    return {tuple(place) for place in np.round(ijk @ affine[:3, :3].T + affine[:3, 3], 3).tolist()}
