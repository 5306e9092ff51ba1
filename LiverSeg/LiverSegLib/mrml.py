"""MRML nodes to CTVolume, labels to segments, a reference onto the CT's grid: the only file that knows slicer and vtk.

It runs inside Slicer and with slicer-core from PyPI alike; outside the application call :func:`ensure_scene` first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import slicer
import slicer.util
import vtk
from scipy import ndimage
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from . import reference as references
from .atomic import replacing
from .errors import InputError, OutputError
from .reference import NamedSegment
from .resample import reference_on_grid
from .segments import LIVER, TUMOUR, Structure
from .volume import CTVolume

# By its id a later run finds a segment of ours again, whatever its name is by then.
SEGMENT_IDS = {LIVER.label: "LiverSeg_Liver", TUMOUR.label: "LiverSeg_Tumour"}
BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
# What the 3D picture shows of the patient round the liver.
SKIN_HU, BONE_HU = -300.0, 220.0
BACKDROP_SPACING_MM, BACKDROP_PIECE_VOXELS = 3.0, 60


def ensure_scene() -> slicer.vtkMRMLScene:
    """The MRML scene; outside the application the first call makes it, with the logics that slicer.util asks for."""
    if hasattr(slicer, "app"):
        return slicer.mrmlScene
    if getattr(slicer, "mrmlScene", None) is None:
        slicer.mrmlScene = slicer.vtkMRMLScene()
    if not hasattr(slicer, "modules"):
        slicer.modules = _core_modules(slicer.mrmlScene)
    return slicer.mrmlScene


def _core_modules(scene: slicer.vtkMRMLScene) -> SimpleNamespace:
    """What slicer.modules offers in the application, as far as slicer.util and the segmentation nodes need it."""
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    colours = application.GetColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    logics = {
        "Colors": colours,
        "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
        "Volumes": slicer.vtkSlicerVolumesLogic(),
    }
    for name, logic in logics.items():
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
    return SimpleNamespace(
        **{name.lower(): SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    )


# ---- the CT ----------------------------------------------------------------------------------------------------------


def volume_to_ct(volume_node: slicer.vtkMRMLScalarVolumeNode) -> CTVolume:
    """Copy a volume node's voxels into a CTVolume with the node's own IJK→RAS matrix.

    A parent transform is left out on purpose: the result goes under the same transform as the CT.

    Raises
    ------
    InputError
        If the node is missing, holds no image, is a labelmap or a colour image, or is no CT as CTVolume sees it.
    """
    if volume_node is None:
        raise InputError("No CT volume is selected; load a CT and choose it as the input.")
    name = volume_node.GetName() or "The volume"
    if not volume_node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(f"{name} is not a volume ({volume_node.GetClassName()}); choose a CT volume as the input.")
    image = volume_node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(f"{name} holds no image; load the CT again.")
    if volume_node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(f"{name} is a labelmap; choose the CT as the input and the labelmap as the reference.")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{name} is a colour or vector image; choose a CT with one value (HU) per voxel.")
    return CTVolume.from_array(_voxels(image).copy(), _affine(volume_node), name)


def volume_from_ct(ct: CTVolume) -> slicer.vtkMRMLScalarVolumeNode:
    """Add a CT to the scene as a volume node."""
    return slicer.util.addVolumeFromArray(ct.hu, ct.affine, ct.name)


def labelmap_from_array(labels: np.ndarray, affine: np.ndarray, name: str) -> slicer.vtkMRMLLabelMapVolumeNode:
    """Add uint8 labels (k, j, i) with their IJK→RAS affine to the scene as a labelmap volume node."""
    return slicer.util.addVolumeFromArray(labels, affine, name, "vtkMRMLLabelMapVolumeNode")


# ---- the result ------------------------------------------------------------------------------------------------------


def check_output(segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Raise InputError if a result for this volume cannot be written into this node; change nothing."""
    if segmentation_node is None or not segmentation_node.IsA("vtkMRMLSegmentationNode"):
        raise InputError("No segmentation is selected for the result; create one and choose it as the output.")
    if not _other_segments(segmentation_node):
        return
    name = segmentation_node.GetName()
    if segmentation_node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP:
        raise InputError(f"{name} holds segments made of surfaces; choose another segmentation for the result.")
    move = _matrix_between(segmentation_node, volume_node)
    # An oriented image cannot hold shear, so such segments could not keep their place exactly.
    if move is None or slicer.vtkOrientedImageDataResample.DoesTransformMatrixContainShear(move):
        raise InputError(
            f"{name} holds segments under a transform that cannot be brought together with that of "
            f"{volume_node.GetName()}; choose another segmentation for the result."
        )


def write_segmentation(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    tumour: bool = False,
) -> None:
    """Write labels as the segment "Liver" and, if asked for, one of its tumours, exactly on the volume's voxels.

    The segmentation goes under the volume's parent transform. Segments of an earlier run are refilled and stay as
    visible as they were; all others stay where they are in the world. A closed surface that was there is made anew.

    Parameters
    ----------
    labels
        uint8 (k, j, i) on the volume's grid: 0 background, 1 liver, 2 tumour. "Liver" gets both, 1 ∪ 2.
    tumour
        Whether to write the tumours' segment too; that of an earlier run is removed otherwise.

    Raises
    ------
    InputError
        As :func:`check_output`, or if the volume has other dimensions than the labels.
    """
    check_output(segmentation_node, volume_node)
    if _voxels(volume_node.GetImageData()).shape != labels.shape:
        raise InputError(f"{volume_node.GetName()} has changed since it was segmented; segment it again.")
    segmentation = segmentation_node.GetSegmentation()
    surface_shown = segmentation.ContainsRepresentation(CLOSED_SURFACE)
    _put_under_transform_of(volume_node, segmentation_node)
    if not _other_segments(segmentation_node):
        segmentation_node.SetSourceRepresentationToBinaryLabelmap()
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.GetDisplayNode().RemoveUnusedDisplayPropertiesOff()
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    _fill(segmentation, LIVER, labels > 0, _affine(volume_node))
    if tumour:
        _fill(segmentation, TUMOUR, labels == 2, _affine(volume_node))
    else:
        _remove_segment(segmentation, TUMOUR)
    if surface_shown:
        segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation_node.GetDisplayNode().RemoveUnusedDisplayPropertiesOn()
    _put_into_study_of(volume_node, segmentation_node)


def _put_under_transform_of(
    volume_node: slicer.vtkMRMLVolumeNode, segmentation_node: slicer.vtkMRMLSegmentationNode
) -> None:
    """Give the segmentation the volume's parent transform; segments of others keep their place in the world.

    This comes before any voxel is written: Slicer itself would apply the volume's transform twice otherwise
    (vtkSlicerSegmentationsModuleLogic::ImportLabelmapToSegmentationNode, seen in 5.8 to 5.13).
    """
    if segmentation_node.GetTransformNodeID() == volume_node.GetTransformNodeID():
        return
    if _other_segments(segmentation_node):
        move = vtk.vtkTransform()
        move.SetMatrix(_matrix_between(segmentation_node, volume_node))
        segmentation_node.GetSegmentation().ApplyLinearTransform(move)
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())


def _fill(segmentation: slicer.vtkSegmentation, structure: Structure, mask: np.ndarray, affine: np.ndarray) -> None:
    """Put a mask in as a segment with a layer of its own, in the place that the one of an earlier run had.

    Slicer's SetBinaryLabelmapToSegment would share a layer with the user's segments and resample those to our grid.
    """
    place = segmentation.GetSegmentIndex(SEGMENT_IDS[structure.label])
    _remove_segment(segmentation, structure)
    segment = slicer.vtkSegment()
    taken = segmentation.GetSegmentIdBySegmentName(structure.name)
    segment.SetName(f"{structure.name} (LiverSeg)" if taken else structure.name)
    segment.SetColor([value / 255 for value in structure.colour])
    segment.SetTag(segment.GetTerminologyEntryTagName(), structure.terminology)
    segment.AddRepresentation(BINARY_LABELMAP, _cropped_image(mask, affine))
    segmentation.AddSegment(segment, SEGMENT_IDS[structure.label])
    if place >= 0:
        segmentation.SetSegmentIndex(SEGMENT_IDS[structure.label], place)


def _remove_segment(segmentation: slicer.vtkSegmentation, structure: Structure) -> None:
    # Slicer warns in its log when there is nothing to remove.
    if segmentation.GetSegment(SEGMENT_IDS[structure.label]) is not None:
        segmentation.RemoveSegment(SEGMENT_IDS[structure.label])


def _cropped_image(mask: np.ndarray, affine: np.ndarray) -> slicer.vtkOrientedImageData:
    """Only the box round the mask: ten times faster to write than the whole grid, and its surface is faster too."""
    if not mask.any():
        return _oriented_image(mask[:0].astype(np.uint8), affine)
    ranges = [_range(mask, others) for others in ((1, 2), (0, 2), (0, 1))]
    box = mask[tuple(slice(*bounds) for bounds in ranges)].astype(np.uint8)
    return _oriented_image(box, affine, [start for start, _ in ranges])


def _range(mask: np.ndarray, other_axes: tuple[int, int]) -> tuple[int, int]:
    """First index and one past the last along the axis that is not among the others."""
    occupied = np.flatnonzero(mask.any(axis=other_axes))
    return int(occupied[0]), int(occupied[-1]) + 1


def _other_segments(segmentation_node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    return [id for id in segmentation_node.GetSegmentation().GetSegmentIDs() if id not in SEGMENT_IDS.values()]


def _put_into_study_of(
    volume_node: slicer.vtkMRMLVolumeNode, segmentation_node: slicer.vtkMRMLSegmentationNode
) -> None:
    """File the segmentation beside its CT in the subject hierarchy, which DICOM export asks for."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    if hierarchy is None:
        return
    volume_item, segmentation_item = (hierarchy.GetItemByDataNode(node) for node in (volume_node, segmentation_node))
    if volume_item and segmentation_item:
        hierarchy.SetItemParent(segmentation_item, hierarchy.GetItemParent(volume_item))


def segmentation_to_labels(
    segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> np.ndarray:
    """Read back what :func:`write_segmentation` wrote, as uint8 labels (k, j, i) on the volume's grid."""
    labels = np.zeros(_voxels(volume_node.GetImageData()).shape, np.uint8)
    for structure in (LIVER, TUMOUR):
        segment_id = SEGMENT_IDS[structure.label]
        if segmentation_node.GetSegmentation().GetSegment(segment_id) is not None:
            mask = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation_node, segment_id, volume_node)
            labels[mask > 0] = structure.label
    return labels


def save_node(node: slicer.vtkMRMLStorableNode, path: str | os.PathLike[str]) -> None:
    """Write a volume (.nii.gz, .nrrd) or a segmentation (.seg.nrrd) as Slicer does; a crash leaves the old file whole.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    storage = node.CreateDefaultStorageNode()
    with replacing(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(node):
            raise OutputError(f"{path} could not be written; free some space or choose another place.")


# ---- the reference ---------------------------------------------------------------------------------------------------


def reference_to_labels(
    reference: slicer.vtkMRMLNode | tuple[slicer.vtkMRMLSegmentationNode, str],
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> tuple[np.ndarray, list[str]]:
    """Bring a reference onto the volume's grid, with the parent transforms of both taken into account.

    Parameters
    ----------
    reference
        A labelmap volume (1 liver, 2 tumour; or one value for the liver), a segmentation, or a segmentation with the
        id or the name of the liver's segment. In a segmentation the liver is found by its SNOMED CT code, then by a
        name with "liver" in it, then as the only segment; liver tumours beside it become label 2.

    Returns
    -------
    labels, warnings
        uint8 (k, j, i) on the volume's grid, and a sentence for everything that was not exact.

    Raises
    ------
    InputError
        If there is no liver in it, if it is not clear which segment is meant, or if it lies outside the CT.
    """
    node, wanted = reference if isinstance(reference, tuple) else (reference, None)
    if node is not None and node.IsA("vtkMRMLLabelMapVolumeNode") and wanted is None:
        return _onto_grid(_label_values(node), _affine(node), node, volume_node)
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        name = "The reference" if node is None else node.GetName()
        raise InputError(
            f"{name} cannot be the reference; choose a segmentation or a labelmap (load the file as one of these)."
        )
    liver, tumours = _choose(node, wanted)
    labels, warnings = _onto_grid(*_segment_voxels(node, liver, volume_node), node, volume_node)
    for tumour in tumours:
        mask, more = _onto_grid(*_segment_voxels(node, tumour, volume_node), node, volume_node)
        labels[mask > 0] = TUMOUR.label
        warnings += more
    return labels, list(dict.fromkeys(warnings))


def _label_values(node: slicer.vtkMRMLLabelMapVolumeNode) -> np.ndarray:
    if node.GetImageData() is None or node.GetImageData().GetNumberOfPoints() == 0:
        raise InputError(f"{node.GetName()} holds no image; load the reference again.")
    return references.label_values(_voxels(node.GetImageData()), node.GetName())


def _choose(node: slicer.vtkMRMLSegmentationNode, wanted: str | None) -> tuple[NamedSegment, list[NamedSegment]]:
    """The liver's segment and, unless it was named, those of liver tumours beside it."""
    # Segments of others first: a result of ours in the same node must not pass for the reference.
    ours = [segment for segment in _named_segments(node) if segment.id in SEGMENT_IDS.values()]
    others = [segment for segment in _named_segments(node) if segment not in ours]
    if wanted is not None:
        for segment in [*others, *ours]:
            if wanted == segment.id or wanted.strip().lower() == segment.name.strip().lower():
                return segment, []
        names = references.listed([*others, *ours])
        raise InputError(f"{node.GetName()} has no segment {wanted} (it has {names}); name one of these.")
    liver = references.find_liver(others or ours, node.GetName())
    return liver, [segment for segment in others or ours if segment.is_liver_tumour()]


def _named_segments(node: slicer.vtkMRMLSegmentationNode) -> list[NamedSegment]:
    found = []
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        terminology = vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), terminology)
        found.append(NamedSegment(segment_id, segment.GetName(), str(terminology)))
    return found


def _segment_voxels(
    node: slicer.vtkMRMLSegmentationNode, named: NamedSegment, volume_node: slicer.vtkMRMLVolumeNode
) -> tuple[np.ndarray, np.ndarray]:
    """The segment as a 0/1 array on its own box, and that box's affine in the frame of its node."""
    # A copy with this segment alone, so that a conversion from a surface leaves the user's node as it is.
    alone = slicer.vtkSegmentation()
    alone.SetSourceRepresentationName(node.GetSegmentation().GetSourceRepresentationName())
    alone.CopySegmentFromSegmentation(node.GetSegmentation(), named.id)
    if not alone.ContainsRepresentation(BINARY_LABELMAP):
        grid = slicer.vtkSegmentationConverter.SerializeImageGeometry(
            _matrix(_affine(volume_node)), volume_node.GetImageData()
        )
        alone.SetConversionParameter(slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName(), grid)
        alone.CreateRepresentation(BINARY_LABELMAP)
    segment = alone.GetSegment(named.id)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None or image.IsEmpty():
        raise InputError(f"The segment {named.name} of {node.GetName()} is empty; choose another reference.")
    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)
    affine = slicer.util.arrayFromVTKMatrix(matrix)
    affine[:3, 3] += affine[:3, :3] @ image.GetExtent()[::2]
    return (_voxels(image) == segment.GetLabelValue()).astype(np.uint8), affine


def _onto_grid(
    labels: np.ndarray, affine: np.ndarray, node: slicer.vtkMRMLTransformableNode, volume_node: slicer.vtkMRMLVolumeNode
) -> tuple[np.ndarray, list[str]]:
    """Labels in the frame of one node onto the grid of a volume, which may be under another transform."""
    move = _matrix_between(node, volume_node)
    if move is None:
        return _through_warp(labels, affine, node, volume_node)
    affine = slicer.util.arrayFromVTKMatrix(move) @ affine
    shape, grid = _voxels(volume_node.GetImageData()).shape, _affine(volume_node)
    pasted = references.paste(labels, affine, shape, grid)
    return (pasted, []) if pasted is not None else reference_on_grid(labels, affine, shape, grid)


def _through_warp(
    labels: np.ndarray, affine: np.ndarray, node: slicer.vtkMRMLTransformableNode, volume_node: slicer.vtkMRMLVolumeNode
) -> tuple[np.ndarray, list[str]]:
    warp = vtk.vtkGeneralTransform()
    slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(
        node.GetParentTransformNode(), volume_node.GetParentTransformNode(), warp
    )
    shape = _voxels(volume_node.GetImageData()).shape
    target = _oriented_image(np.zeros(shape, np.uint8), _affine(volume_node))
    result = slicer.vtkOrientedImageData()
    resampled = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        _oriented_image(labels, affine), target, result, False, False, warp
    )
    if not resampled or not _voxels(result).any():
        raise InputError(
            f"{node.GetName()} does not overlap {volume_node.GetName()} through their transforms; "
            "check the transforms, or harden them, and choose the reference again."
        )
    return _voxels(result).copy(), [f"The reference {node.GetName()} was resampled through a non-linear transform."]


# ---- arrays and images -----------------------------------------------------------------------------------------------


def _voxels(image: vtk.vtkImageData) -> np.ndarray:
    """The image's voxels as a (k, j, i) array: a view, not a copy."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def _oriented_image(
    values: np.ndarray, affine: np.ndarray, first: list[int] | None = None
) -> slicer.vtkOrientedImageData:
    """A copy of uint8 (k, j, i) voxels, the first of which has the indices `first` (k, j, i) on the affine's grid."""
    first = first or [0, 0, 0]
    image = slicer.vtkOrientedImageData()
    ranges = [(start, start + count - 1) for start, count in zip(first, values.shape, strict=True)]
    image.SetExtent(*(bound for pair in reversed(ranges) for bound in pair))
    image.AllocateScalars(vtk.VTK_UNSIGNED_CHAR, 1)
    _voxels(image)[:] = values
    image.SetImageToWorldMatrix(_matrix(affine))
    return image


def _affine(volume_node: slicer.vtkMRMLVolumeNode) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def _matrix(affine: np.ndarray) -> vtk.vtkMatrix4x4:
    return slicer.util.vtkMatrixFromArray(affine)


def _matrix_between(
    source: slicer.vtkMRMLTransformableNode, target: slicer.vtkMRMLTransformableNode
) -> vtk.vtkMatrix4x4 | None:
    """From the frame of one node to that of another, or None where that is not linear."""
    matrix = vtk.vtkMatrix4x4()
    linear = slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(
        source.GetParentTransformNode(), target.GetParentTransformNode(), matrix
    )
    return matrix if linear else None


# ---- a picture of the 3D view ----------------------------------------------------------------------------------------


def render_3d(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    volume_node: slicer.vtkMRMLScalarVolumeNode | None = None,
    size: tuple[int, int] = (900, 700),
) -> np.ndarray:
    """Draw the segments from the front without a window on the screen, in the patient that the CT shows.

    The segmentation gets a closed surface representation if it has none. Parent transforms are left out.

    Parameters
    ----------
    volume_node
        CT to take skin and bones from; without it the segments stand alone.
    size
        Width and height in pixels.

    Returns
    -------
    RGB picture, uint8 (row, column, 3). The patient's right is on the left.

    Raises
    ------
    OutputError
        If this computer cannot render off-screen, or there is nothing to draw.
    """
    _check_rendering()
    segmentation_node.CreateClosedSurfaceRepresentation()
    renderer = _renderer()
    bounds = _add_segments(renderer, segmentation_node)
    if not bounds.IsValid():
        raise OutputError(f"{segmentation_node.GetName()} is empty, so there is no 3D picture of it; check the result.")
    if volume_node is not None:
        renderer.AddActor(_actor(_isosurface(volume_node, SKIN_HU), (0.9, 0.75, 0.65), 0.15))
        renderer.AddActor(_actor(_isosurface(volume_node, BONE_HU), (0.95, 0.93, 0.85), 0.5))
    _look_from_the_front(renderer, bounds)
    return _photographed(renderer, size)


def _check_rendering() -> None:
    """Raise OutputError where VTK cannot render off-screen. Tried in a process of its own, since there VTK crashes."""
    if hasattr(slicer, "app") or sys.platform != "linux":
        return
    if not os.environ.get("DISPLAY"):
        os.environ.setdefault("VTK_DEFAULT_OPENGL_WINDOW", "vtkEGLRenderWindow")
    trial = "import vtk; w = vtk.vtkRenderWindow(); w.SetOffScreenRendering(1); w.Render()"
    if subprocess.run([sys.executable, "-c", trial], capture_output=True, check=False).returncode != 0:
        raise OutputError(
            "The 3D picture is left out because nothing here can render off-screen; "
            "on Debian and Ubuntu: apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri"
        )


def _renderer() -> vtk.vtkRenderer:
    """On the background of Slicer's 3D view, with translucent surfaces drawn in the right order."""
    renderer = vtk.vtkRenderer()
    renderer.SetBackground(0.757, 0.765, 0.910)
    renderer.SetBackground2(0.455, 0.471, 0.745)
    renderer.GradientBackgroundOn()
    renderer.SetUseDepthPeeling(True)
    renderer.SetMaximumNumberOfPeels(12)
    return renderer


def _add_segments(renderer: vtk.vtkRenderer, segmentation_node: slicer.vtkMRMLSegmentationNode) -> vtk.vtkBoundingBox:
    segmentation = segmentation_node.GetSegmentation()
    # A tumour is seen through the liver.
    liver_opacity = 1.0 if segmentation.GetSegment(SEGMENT_IDS[TUMOUR.label]) is None else 0.6
    bounds = vtk.vtkBoundingBox()
    for segment_id in segmentation.GetSegmentIDs():
        surface = segmentation_node.GetClosedSurfaceInternalRepresentation(segment_id)
        if surface is not None and surface.GetNumberOfPoints():
            opacity = liver_opacity if segment_id == SEGMENT_IDS[LIVER.label] else 1.0
            renderer.AddActor(_actor(surface, segmentation.GetSegment(segment_id).GetColor(), opacity))
            bounds.AddBounds(surface.GetBounds())
    return bounds


def _actor(surface: vtk.vtkPolyData, colour: tuple[float, float, float], opacity: float) -> vtk.vtkActor:
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputData(surface)
    normals.SplittingOff()
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(normals.GetOutputPort())
    mapper.ScalarVisibilityOff()
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    actor.GetProperty().SetColor(colour)
    actor.GetProperty().SetOpacity(opacity)
    actor.GetProperty().SetSpecular(0.2)
    actor.GetProperty().SetSpecularPower(20)
    return actor


def _isosurface(volume_node: slicer.vtkMRMLScalarVolumeNode, hu: float) -> vtk.vtkPolyData:
    """Surface of what is denser than a HU value, RAS mm, at a few millimetres: skin or bones as a backdrop."""
    affine = _affine(volume_node)
    steps = [max(1, round(BACKDROP_SPACING_MM / spacing)) for spacing in np.linalg.norm(affine[:3, :3], axis=0)]
    voxels = _voxels(volume_node.GetImageData())[:: steps[2], :: steps[1], :: steps[0]].astype(np.float32)
    pieces, count = ndimage.label(voxels > hu)
    sizes = ndimage.sum_labels(np.ones_like(pieces), pieces, np.arange(count + 1))
    voxels[(pieces > 0) & (sizes < BACKDROP_PIECE_VOXELS)[pieces]] = -1000.0
    # A rim of air closes the surface where the body leaves the image.
    padded = np.pad(voxels, 1, constant_values=-1000.0)
    image = vtk.vtkImageData()
    image.SetDimensions(padded.shape[::-1])
    image.SetOrigin(-1, -1, -1)
    image.GetPointData().SetScalars(numpy_to_vtk(padded.ravel(), deep=True))
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(image)
    contour.SetValue(0, hu)
    place = vtk.vtkTransform()
    place.SetMatrix(_matrix(affine @ np.diag([*steps, 1.0])))
    to_ras = vtk.vtkTransformPolyDataFilter()
    to_ras.SetInputConnection(contour.GetOutputPort())
    to_ras.SetTransform(place)
    smooth = vtk.vtkWindowedSincPolyDataFilter()
    smooth.SetInputConnection(to_ras.GetOutputPort())
    smooth.Update()
    return smooth.GetOutput()


def _look_from_the_front(renderer: vtk.vtkRenderer, bounds: vtk.vtkBoundingBox) -> None:
    """Frame what the bounds hold with as much of the patient round it, from the front and a little from above."""
    camera = renderer.GetActiveCamera()
    camera.SetFocalPoint(0, 0, 0)
    camera.SetPosition(0, 1, 0)
    camera.SetViewUp(0, 0, 1)
    camera.Elevation(12)
    bounds.ScaleAboutCenter(1.15)
    framed = [0.0] * 6
    bounds.GetBounds(framed)
    renderer.ResetCamera(framed)
    renderer.ResetCameraClippingRange()
    for letter, x, y in (("R", 0.02, 0.48), ("L", 0.96, 0.48), ("S", 0.49, 0.94), ("I", 0.495, 0.02)):
        renderer.AddActor(_letter(letter, x, y))


def _photographed(renderer: vtk.vtkRenderer, size: tuple[int, int]) -> np.ndarray:
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(True)
    window.SetMultiSamples(0)
    window.SetSize(*size)
    window.AddRenderer(renderer)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.ReadFrontBufferOff()
    grab.Update()
    width, height, _ = grab.GetOutput().GetDimensions()
    return vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars()).reshape(height, width, 3)[::-1].copy()


def _letter(text: str, x: float, y: float) -> vtk.vtkTextActor:
    actor = vtk.vtkTextActor()
    actor.SetInput(text)
    actor.GetTextProperty().SetFontSize(26)
    actor.GetTextProperty().SetBold(True)
    actor.GetTextProperty().SetShadow(True)
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(x, y)
    return actor
