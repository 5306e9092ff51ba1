"""Arrays and affines on the one side, VTK's images and matrices on the other."""

from __future__ import annotations

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..data.bounding_box import box_of


def voxels_of(image: vtk.vtkImageData) -> np.ndarray:
    """The image's voxels as a (k, j, i) array: a view, not a copy."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def shape_of(volume_node: slicer.vtkMRMLVolumeNode) -> tuple[int, int, int]:
    """Voxels along (k, j, i); zeros where the node holds no image."""
    image = volume_node.GetImageData()
    return (0, 0, 0) if image is None else tuple(image.GetDimensions()[::-1])


def affine_of(volume_node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    """The node's own 4×4 IJK→RAS matrix in mm, without its parent transforms."""
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def image_affine(image: slicer.vtkOrientedImageData) -> np.ndarray:
    """4×4 matrix in mm that places the first voxel of the image's own extent, and those after it, in its node's RAS."""
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)
    affine[:3, 3] += affine[:3, :3] @ image.GetExtent()[::2]
    return affine


def geometry_of(volume_node: slicer.vtkMRMLVolumeNode) -> str:
    """The volume's own grid as segmentations keep it for conversions."""
    return slicer.vtkSegmentationConverter.SerializeImageGeometry(
        to_matrix(affine_of(volume_node)), volume_node.GetImageData()
    )


def to_matrix(affine: np.ndarray) -> vtk.vtkMatrix4x4:
    """A 4×4 array as VTK's matrix."""
    return slicer.util.vtkMatrixFromArray(affine)


def to_image(
    values: np.ndarray, affine: np.ndarray, first: tuple[int, int, int] = (0, 0, 0)
) -> slicer.vtkOrientedImageData:
    """A copy of uint8 (k, j, i) voxels, the first of which has the indices `first` (k, j, i) on the affine's grid.

    Without voxels it is what an empty segment has in Slicer: no extent, and scalars without a value.
    """
    image = slicer.vtkOrientedImageData()
    image.SetImageToWorldMatrix(to_matrix(affine))
    if not values.size:
        image.SetExtent(0, -1, 0, -1, 0, -1)
        # Without the usual name, by which DICOM export would take the segment to be filled.
        image.GetPointData().SetScalars(vtk.vtkUnsignedCharArray())
        return image
    ranges = [(start, start + count - 1) for start, count in zip(first, values.shape, strict=True)]
    image.SetExtent(*(bound for pair in reversed(ranges) for bound in pair))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    voxels_of(image)[:] = values
    return image


def cropped_image(
    mask: np.ndarray, affine: np.ndarray, corner: tuple[int, int, int] = (0, 0, 0)
) -> slicer.vtkOrientedImageData:
    """A bool mask (k, j, i) as an image of the box round it; its first voxel is at a corner (k, j, i) of the grid.

    A cropped segment is ten times faster to write than one of the whole grid, and its closed surface faster to make.
    """
    box = box_of(mask.view(np.uint8))
    first = [start + part.start for start, part in zip(corner, box, strict=True)]
    return to_image(mask[box], affine, (first[0], first[1], first[2]))
