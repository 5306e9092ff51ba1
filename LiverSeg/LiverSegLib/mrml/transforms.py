"""Between the frames of nodes under parent transforms, and which of these transforms no result can go through."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import slicer
import slicer.util
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from .. import messages
from ..data.bounding_box import Box
from ..data.patient_space import PatientSpace, cell_edges
from ..errors import InputError
from .images import affine_of, shape_of

# A transform is looked at in so many places along each axis of the volume, at most.
SAMPLES_PER_AXIS = 20
# The volume of a voxel may not shrink below this part of what it is in most places.
SMALLEST_SHARE_OF_VOLUME = 1e-4
SMALLEST_DETERMINANT = 1e-9
# By less than this part no length changes under a transform that counts as rigid.
RIGID_TOLERANCE = 1e-4


def matrix_between(
    source: slicer.vtkMRMLTransformableNode, target: slicer.vtkMRMLTransformableNode
) -> vtk.vtkMatrix4x4 | None:
    """From the frame of one node to that of another, or None where that is not linear."""
    # Slicer's GetMatrixTransformBetweenNodes would put an error into the user's log where it is not linear.
    matrix = vtk.vtkTransform()
    linear = slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(warp_between(source, target), matrix)
    return matrix.GetMatrix() if linear else None


def warp_between(
    source: slicer.vtkMRMLTransformableNode | None, target: slicer.vtkMRMLTransformableNode | None
) -> vtk.vtkGeneralTransform:
    """From the frame of one node to that of another, whatever kind of transform that is; None is the world."""
    warp = vtk.vtkGeneralTransform()
    parents = (None if node is None else node.GetParentTransformNode() for node in (source, target))
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(*parents, warp)
    return warp


def transformed(points: np.ndarray, transform: vtk.vtkAbstractTransform) -> np.ndarray:
    """Points (n, 3) in mm through a transform."""
    source, target = vtk.vtkPoints(), vtk.vtkPoints()
    source.SetData(numpy_to_vtk(np.ascontiguousarray(points, dtype=np.float64), deep=True))
    target.SetDataTypeToDouble()
    transform.TransformPoints(source, target)
    return vtk_to_numpy(target.GetData()).copy()


def check_transform(volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Refuse a parent transform under which places of the patient in the volume's box coincide or change sides.

    A transform that mirrors the whole volume is allowed. A fold smaller than the distance between the places that are
    looked at (a twentieth of the volume) can escape.

    Raises
    ------
    InputError
        If the parent transform is singular or folds space inside the volume.
    """
    node = volume_node.GetParentTransformNode()
    if node is None:
        return
    to_world = warp_between(volume_node, None)
    shape, affine = shape_of(volume_node), affine_of(volume_node)
    linear = node.IsTransformToWorldLinear()
    determinants = _determinants(to_world, affine, shape, samples=2 if linear else SAMPLES_PER_AXIS)
    names = {"name": volume_node.GetName(), "transform": node.GetName()}
    usual = float(np.median(determinants))
    if abs(usual) < SMALLEST_DETERMINANT:
        raise InputError(messages.TRANSFORM_IS_SINGULAR.format(**names))
    if (determinants / usual).min() < SMALLEST_SHARE_OF_VOLUME:
        raise InputError(messages.TRANSFORM_FOLDS.format(**names))


def _determinants(
    transform: vtk.vtkAbstractTransform, affine: np.ndarray, shape: tuple[int, int, int], samples: int
) -> np.ndarray:
    """By what the transform multiplies the volume of a voxel, with its sign, at places spread over the grid; (n,)."""
    axes = [np.unique(np.linspace(0, max(n - 1, 0), min(samples, max(n, 2)))) for n in shape[::-1]]
    places = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    # Central differences over one voxel along each of its axes.
    steps = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    corners = (places[:, None] + steps).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
    moved = transformed(corners, transform).reshape(-1, 2, 3, 3)
    # Where a transform leads nowhere there is no determinant either.
    moved[~np.isfinite(moved)] = 0.0
    return np.linalg.det(moved[:, 0] - moved[:, 1]) / np.linalg.det(affine[:3, :3])


def patient_space(
    volume_node: slicer.vtkMRMLVolumeNode, image_node: slicer.vtkMRMLVolumeNode, box: Box
) -> Generator[None, None, PatientSpace | None]:
    """Where the voxels in a box of a grid lie in the world, with pauses in which an application can live on.

    Parameters
    ----------
    volume_node
        Under the parent transform that counts.
    image_node
        Of the grid: the same node, or a frame of the sequence that it shows.
    box
        Slices along (k, j, i).

    Returns
    -------
    None where lengths are what the grid's spacing says, as under a rigid transform or none, or where the box is empty.
    """
    to_world, linear_part = warp_between(volume_node, None), vtk.vtkTransform()
    affine, spacing = affine_of(image_node), image_node.GetSpacing()[::-1]
    linear = slicer.vtkMRMLTransformNode.IsGeneralTransformLinear(to_world, linear_part)
    if not box[0].stop or (
        linear and _keeps_lengths(slicer.util.arrayFromVTKMatrix(linear_part.GetMatrix()) @ affine, spacing)
    ):
        return None
    edges = cell_edges(box, spacing, linear)
    planes = []
    for k in edges[0]:
        j, i = np.meshgrid(edges[1], edges[2], indexing="ij")
        places = np.stack([i, j, np.full_like(i, k)], axis=-1).reshape(-1, 3) @ affine[:3, :3].T + affine[:3, 3]
        planes.append(transformed(places, to_world).reshape(*i.shape, 3))
        yield
    return PatientSpace(edges, np.stack(planes))


def _keeps_lengths(matrix: np.ndarray, spacing: tuple[float, float, float]) -> bool:
    """Whether a matrix from indices (i, j, k) to mm has columns of a spacing (k, j, i), at right angles."""
    axes = matrix[:3, :3] / spacing[::-1]
    return bool(np.abs(axes.T @ axes - np.eye(3)).max() < 2 * RIGID_TOLERANCE)
