"""Volume nodes to CTVolume and back."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import slicer
import slicer.util
import vtk

from .. import messages
from ..data.modality import AUTO, MR, UNKNOWN, is_wanted
from ..data.volume import CTVolume, check_form, check_position, check_variety, signal_factor, to_whole_hu
from ..errors import InputError
from .images import affine_of, voxels_of

# Memory that is touched for the first time can cost 2 ms a megabyte, and a pause should come every 50 ms.
PIECE_BYTES = 16 * 2**20


def volume_to_ct(volume_node: slicer.vtkMRMLScalarVolumeNode) -> CTVolume:
    """Copy a volume node's voxels into a CTVolume with the node's own IJK→RAS matrix.

    A parent transform is left out on purpose: the result goes under the same transform as the CT.

    Raises
    ------
    InputError
        If the node is missing, holds no image, is a labelmap or a colour image, or is no CT as CTVolume sees it.
    """
    copying = copy_volume_in_pieces(volume_node)
    while True:
        try:
            next(copying)
        except StopIteration as finished:
            return finished.value


def copy_volume_in_pieces(
    volume_node: slicer.vtkMRMLScalarVolumeNode, piece_bytes: int = PIECE_BYTES, modality: str = AUTO
) -> Generator[float, None, CTVolume]:
    """As :func:`volume_to_ct`, but with a pause after each piece, in which an application can live on.

    Between two pieces nothing of the node is held on to but the node itself.

    Parameters
    ----------
    piece_bytes
        Size of a piece in the node's own voxel type, at most; one slice at least.
    modality
        "ct" or "mr" if somebody says so; else what the DICOM series says that the node was loaded from.

    Yields
    ------
    Share done, 0 to 1.

    Raises
    ------
    InputError
        As :func:`volume_to_ct`, at once; or later, if the node was deleted or its image changed in a pause.
    """
    image = _image_of(volume_node)
    name = volume_node.GetName() or messages.THE_VOLUME
    affine = check_position(affine_of(volume_node), name)
    check_form(voxels_of(image), name)
    known = _modality_of(volume_node) if modality == AUTO else modality.upper()
    factor = signal_factor(voxels_of(image)) if known == MR else 1.0
    state, slices = _state(volume_node), image.GetDimensions()[2]
    hu = np.empty(image.GetDimensions()[::-1], np.int16)
    step = max(1, int(piece_bytes * slices // max(1, voxels_of(image).nbytes)))
    lowest, highest = [], []
    del image
    for start in range(0, slices, step):
        if _state(volume_node) != state:
            raise InputError(messages.VOLUME_CHANGED_WHILE_COPIED.format(name=name))
        piece = hu[start : start + step]
        piece[:] = to_whole_hu(voxels_of(volume_node.GetImageData())[start : start + step], name, factor)
        lowest.append(piece.min())
        highest.append(piece.max())
        yield min(1.0, (start + step) / slices)
    check_variety(min(lowest), max(highest), name)
    return CTVolume(hu, affine, name, modality=known)


def _modality_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> str:
    """The modality of the DICOM series, as Slicer's DICOM module notes it; empty where there is none of ours."""
    scene = volume_node.GetScene()
    # To ask for a hierarchy in any other way makes one.
    hierarchy = scene.GetFirstNodeByClass("vtkMRMLSubjectHierarchyNode") if scene is not None else None
    item = hierarchy.GetItemByDataNode(volume_node) if hierarchy is not None else 0
    attribute = slicer.vtkMRMLSubjectHierarchyConstants.GetDICOMSeriesModalityAttributeName()
    modality = hierarchy.GetItemAttribute(item, attribute) if hierarchy is not None and item else ""
    return modality if is_wanted(modality, AUTO) else UNKNOWN


def _image_of(volume_node: slicer.vtkMRMLScalarVolumeNode) -> vtk.vtkImageData:
    """The node's image, if it is one of a CT."""
    if volume_node is None:
        raise InputError(messages.NO_VOLUME)
    name = volume_node.GetName() or messages.THE_VOLUME
    if not volume_node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(messages.NOT_A_VOLUME.format(name=name, kind=volume_node.GetClassName()))
    image = volume_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(messages.VOLUME_HOLDS_NO_IMAGE.format(name=name))
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(messages.VOLUME_IS_A_LABELMAP.format(name=name))
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(messages.VOLUME_IS_A_COLOUR_IMAGE.format(name=name))
    return image


def _state(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[bool, tuple[int, int] | None, bytes]:
    """What changes when the node leaves its scene, or when its image or its place change."""
    image, scene = volume_node.GetImageData(), volume_node.GetScene()
    modified = None if image is None else (image.GetMTime(), image.GetPointData().GetScalars().GetMTime())
    return scene is None, modified, affine_of(volume_node).tobytes()


def volume_from_ct(ct: CTVolume) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a CT to the scene as a volume node."""
    return slicer.util.addVolumeFromArray(ct.hu, ct.affine, ct.name)


def labelmap_from_array(labels: np.ndarray, affine: np.ndarray, name: str) -> slicer.vtkMRMLLabelMapVolumeNode:
    """Add uint8 labels (k, j, i) with their IJK→RAS affine to the scene as a labelmap volume node."""
    return slicer.util.addVolumeFromArray(labels, affine, name, "vtkMRMLLabelMapVolumeNode")
