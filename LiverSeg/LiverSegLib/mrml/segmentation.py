"""The result: labels to the segments of a segmentation node, found again by their ids, and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import slicer
import vtk

from .. import messages
from ..data.anatomy import Anatomy
from ..data.bounding_box import box_of, box_round
from ..data.modality import CT, MR
from ..data.structures import ANATOMY, COUINAUD, LIVER, SPLEEN, STRUCTURES, TUMOUR, VESSELS, Structure, anatomy_masks
from ..errors import InputError
from .images import affine_of, cropped_image, image_affine, shape_of, voxels_of
from .scene import nodes_of_class, unique_name
from .transforms import matrix_between

# By its id a later run finds a segment of ours again, whatever its name is by then.
SEGMENT_IDS = {LIVER.label: "LiverSeg_Liver", TUMOUR.label: "LiverSeg_Tumour"}
COUINAUD_IDS = {structure.label: f"LiverSeg_Couinaud{structure.label}" for structure in COUINAUD}
VESSELS_ID = "LiverSeg_Vessels"
ANATOMY_IDS = {**COUINAUD_IDS, SPLEEN.label: "LiverSeg_Spleen", VESSELS.label: VESSELS_ID}
OUR_IDS = (*SEGMENT_IDS.values(), *ANATOMY_IDS.values())
BINARY_LABELMAP = slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()
CLOSED_SURFACE = slicer.vtkSegmentationConverter.GetSegmentationClosedSurfaceRepresentationName()
GEOMETRY_PARAMETER = slicer.vtkSegmentationConverter.GetReferenceImageGeometryParameterName()
VOLUME_ROLE = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
FILL_OPACITY, OUTLINE_PIXELS = 0.3, 2
# Of the liver's surface round its Couinaud segments or vessels, and of those round the vessels.
GLASS_OPACITY, SEGMENTS_OPACITY = 0.2, 0.4
# Without these DICOM export would call the segments drawn by hand.
ALGORITHM_TAGS = {"DICOM.SegmentAlgorithmType": "AUTOMATIC", "DICOM.SegmentAlgorithmName": "LiverSeg"}


def new_segmentation_name(volume_node: slicer.vtkMRMLVolumeNode, modality: str = CT) -> str:
    """A name for the volume's result that no node in its scene has; of MR it says that it is experimental."""
    name = messages.NEW_SEGMENTATION.format(name=volume_node.GetName())
    if modality == MR:
        name = f"{name}, {messages.MR_EXPERIMENTAL}"
    return unique_name(volume_node.GetScene(), name)


def segmentation_of(volume_node: slicer.vtkMRMLVolumeNode) -> slicer.vtkMRMLSegmentationNode | None:
    """The newest segmentation in the volume's scene that holds a liver of ours and was made of this volume."""
    for node in reversed(nodes_of_class(volume_node.GetScene(), "vtkMRMLSegmentationNode")):
        if node.GetNodeReference(VOLUME_ROLE) is volume_node and holds_liver(node):
            return node
    return None


def holds_liver(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether a liver of ours is among the segments."""
    return segmentation_node.GetSegmentation().GetSegment(SEGMENT_IDS[LIVER.label]) is not None


def check_output(segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Raise InputError if a result for this volume cannot be written into this node; change nothing."""
    if segmentation_node is None or not segmentation_node.IsA("vtkMRMLSegmentationNode"):
        raise InputError(messages.NO_OUTPUT)
    name = segmentation_node.GetName()
    if segmentation_node.GetScene() is None:
        raise InputError(messages.OUTPUT_IS_DELETED.format(name=name))
    if not other_segments(segmentation_node):
        return
    if segmentation_node.GetSegmentation().GetSourceRepresentationName() != BINARY_LABELMAP:
        raise InputError(messages.OUTPUT_HOLDS_SURFACES.format(name=name))
    matrix = matrix_between(segmentation_node, volume_node)
    # An oriented image cannot hold shear, so such segments could not keep their place exactly.
    if matrix is None or slicer.vtkOrientedImageDataResample.DoesTransformMatrixContainShear(matrix):
        raise InputError(messages.OUTPUT_UNDER_ANOTHER_TRANSFORM.format(name=name, volume=volume_node.GetName()))


def write_segmentation(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    tumour: bool = False,
    anatomy: Anatomy | None = None,
    surfaces_later: bool = False,
) -> list[str]:
    """Write labels as the segment "Liver" and, if asked for, one of its tumours, exactly on the volume's voxels.

    Couinaud segments, vessels and spleen become segments, too; round the first two the liver's surface is like glass.

    The segmentation goes under the volume's parent transform. Segments of an earlier run are refilled and stay as
    visible as they were; all others stay where they are in the world. A closed surface that was there is made anew.

    Parameters
    ----------
    labels
        uint8 (k, j, i) on the volume's grid: 0 background, 1 liver, 2 tumour. "Liver" gets both, 1 ∪ 2.
    tumour
        Whether to write the tumours' segment too; that of an earlier run is removed otherwise.
    anatomy
        On the same grid; what is not in it is removed, too.
    surfaces_later
        Let 3D show the closed surfaces that are there, as they were, until :func:`renew_surfaces`: slices are quicker.

    Returns
    -------
    Ids of the segments whose surfaces are still those of before; none unless they come later.

    Raises
    ------
    InputError
        As :func:`check_output`, or if the volume has other dimensions than the labels.
    """
    check_output(segmentation_node, volume_node)
    check_same_grid(labels, volume_node)
    surface_shown = segmentation_node.GetSegmentation().ContainsRepresentation(CLOSED_SURFACE)
    put_under_transform_of(volume_node, segmentation_node)
    make_display(segmentation_node)
    segmentation_node.GetDisplayNode().RemoveUnusedDisplayPropertiesOff()
    # All surfaces are made in one go at the end; with one of other segments left, each segment would get its own first.
    if not surfaces_later:
        segmentation_node.RemoveClosedSurfaceRepresentation()
    before = _our_segments(segmentation_node)
    segmentation_node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    inside = what_is_inside(segmentation_node)
    fill_segments(segmentation_node, labels, affine_of(volume_node), tumour, anatomy)
    if (now_inside := what_is_inside(segmentation_node)) != inside:
        show_inside_of_liver(segmentation_node, *now_inside)
    if surface_shown and not surfaces_later:
        segmentation_node.CreateClosedSurfaceRepresentation()
    segmentation_node.GetDisplayNode().RemoveUnusedDisplayPropertiesOn()
    put_into_study_of(volume_node, segmentation_node)
    if not (surface_shown and surfaces_later):
        return []
    now = _our_segments(segmentation_node)
    return [segment_id for segment_id, segment in now.items() if before.get(segment_id) is not segment]


def renew_surfaces(segmentation_node: slicer.vtkMRMLSegmentationNode, segment_ids: Sequence[str]) -> None:
    """Make the closed surfaces of some segments anew, of what the segments are now."""
    segmentation = segmentation_node.GetSegmentation()
    for segment_id in segment_ids:
        if segmentation.GetSegment(segment_id) is not None:
            segmentation.GetSegment(segment_id).RemoveRepresentation(CLOSED_SURFACE)
    if segment_ids:
        segmentation_node.CreateClosedSurfaceRepresentation()


def _our_segments(segmentation_node: slicer.vtkMRMLSegmentationNode) -> dict[str, slicer.vtkSegment]:
    segmentation = segmentation_node.GetSegmentation()
    found = {segment_id: segmentation.GetSegment(segment_id) for segment_id in OUR_IDS}
    return {segment_id: segment for segment_id, segment in found.items() if segment is not None}


def is_divided(segmentation_node: slicer.vtkMRMLSegmentationNode) -> bool:
    """Whether Couinaud segments of ours are among the segments."""
    segmentation = segmentation_node.GetSegmentation()
    return any(segmentation.GetSegment(segment_id) is not None for segment_id in COUINAUD_IDS.values())


def what_is_inside(*segmentation_nodes: slicer.vtkMRMLSegmentationNode) -> tuple[bool, bool]:
    """Whether Couinaud segments, and whether vessels of ours are among the segments of any."""
    divided = any(is_divided(node) for node in segmentation_nodes)
    return divided, any(node.GetSegmentation().GetSegment(VESSELS_ID) is not None for node in segmentation_nodes)


def show_inside_of_liver(segmentation_node: slicer.vtkMRMLSegmentationNode, divided: bool, with_vessels: bool) -> None:
    """Let the liver stand round what is in it as glass in 3D and as an outline on the slices, or whole again."""
    display, liver = segmentation_node.GetDisplayNode(), SEGMENT_IDS[LIVER.label]
    display.SetSegmentOpacity3D(liver, GLASS_OPACITY if divided or with_vessels else 1.0)
    display.SetSegmentVisibility2DFill(liver, not (divided or with_vessels))
    for segment_id in COUINAUD_IDS.values() if divided else ():
        display.SetSegmentOpacity3D(segment_id, SEGMENTS_OPACITY if with_vessels else 1.0)


def make_display(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Draw a new result so that the CT under it can be judged; a display that is there already stays as it is."""
    if segmentation_node.GetDisplayNode() is None:
        segmentation_node.CreateDefaultDisplayNodes()
        segmentation_node.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
        segmentation_node.GetDisplayNode().SetSliceIntersectionThickness(OUTLINE_PIXELS)


def check_same_grid(labels: np.ndarray, volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Raise InputError if the volume has other dimensions than labels that were made of it."""
    if shape_of(volume_node) != labels.shape:
        raise InputError(messages.VOLUME_CHANGED.format(name=volume_node.GetName()))


def put_under_transform_of(
    volume_node: slicer.vtkMRMLVolumeNode, segmentation_node: slicer.vtkMRMLSegmentationNode
) -> None:
    """Give the segmentation the volume's parent transform; segments of others keep their place in the world.

    This comes before any voxel is written: Slicer itself would apply the volume's transform twice otherwise
    (vtkSlicerSegmentationsModuleLogic::ImportLabelmapToSegmentationNode, seen in 5.8 to 5.13).
    """
    if segmentation_node.GetTransformNodeID() == volume_node.GetTransformNodeID():
        return
    if other_segments(segmentation_node):
        move(segmentation_node.GetSegmentation(), matrix_between(segmentation_node, volume_node))
    segmentation_node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())


def move(segmentation: slicer.vtkSegmentation, matrix: vtk.vtkMatrix4x4) -> None:
    """Move all segments."""
    transform = vtk.vtkTransform()
    transform.SetMatrix(matrix)
    segmentation.ApplyLinearTransform(transform)


def fill_segments(
    segmentation_node: slicer.vtkMRMLSegmentationNode,
    labels: np.ndarray,
    affine: np.ndarray,
    tumour: bool,
    anatomy: Anatomy | None = None,
) -> None:
    """Put labels (k, j, i) with their IJK→RAS affine in as our segments; the node may be outside any scene."""
    segmentation = segmentation_node.GetSegmentation()
    if not other_segments(segmentation_node):
        segmentation_node.SetSourceRepresentationToBinaryLabelmap()
    # Only the box round the liver is looked at, written and kept: ten times faster than the whole grid.
    box = box_of(labels)
    corner = (box[0].start, box[1].start, box[2].start)
    _fill(segmentation, LIVER, labels[box] > 0, affine, corner)
    if tumour:
        _fill(segmentation, TUMOUR, labels[box] == TUMOUR.label, affine, corner)
    else:
        _remove(segmentation, TUMOUR)
    _fill_anatomy(segmentation, anatomy or Anatomy(), affine)


def _fill_anatomy(segmentation: slicer.vtkSegmentation, anatomy: Anatomy, affine: np.ndarray) -> None:
    wholes = (anatomy.segments, anatomy.spleen, anatomy.vessels)
    around = box_round(*(mask for mask in wholes if mask is not None))
    there = dict(anatomy_masks(anatomy.part(around)))
    for structure in ANATOMY:
        if structure not in there:
            _remove(segmentation, structure)
            continue
        box = box_of(there[structure])
        k, j, i = (outer.start + inner.start for outer, inner in zip(around, box, strict=True))
        _fill(segmentation, structure, there[structure][box], affine, (k, j, i))


def _id_of(structure: Structure) -> str:
    return (SEGMENT_IDS if structure in STRUCTURES else ANATOMY_IDS)[structure.label]


def _fill(
    segmentation: slicer.vtkSegmentation,
    structure: Structure,
    mask: np.ndarray,
    affine: np.ndarray,
    corner: tuple[int, int, int],
) -> None:
    """Put a mask in as a segment with a layer of its own: place, name and colour are those of an earlier run's.

    The mask's first voxel is at a corner (k, j, i) of the affine's grid. Slicer's SetBinaryLabelmapToSegment would
    share a layer with the user's segments and resample those to our grid. With a surface that is to be made anew later
    nothing is done where no voxel changes.
    """
    segment_id, image = _id_of(structure), cropped_image(mask, affine, corner)
    place, former = segmentation.GetSegmentIndex(segment_id), segmentation.GetSegment(segment_id)
    surface = former.GetRepresentation(CLOSED_SURFACE) if former is not None else None
    if surface is not None and _is_same(former, image):
        return
    segment = slicer.vtkSegment()
    if former is not None:
        segment.SetName(former.GetName())
        segment.SetColor(former.GetColor())
        segmentation.RemoveSegment(segment_id)
    else:
        taken = segmentation.GetSegmentIdBySegmentName(structure.name)
        segment.SetName(messages.SECOND_OF_THAT_NAME.format(name=structure.name) if taken else structure.name)
        segment.SetColor([value / 255 for value in structure.colour])
    segment.SetTag(segment.GetTerminologyEntryTagName(), structure.terminology)
    for tag, value in ALGORITHM_TAGS.items():
        segment.SetTag(tag, value)
    segment.AddRepresentation(BINARY_LABELMAP, image)
    if surface is not None:
        segment.AddRepresentation(CLOSED_SURFACE, surface)
    segmentation.AddSegment(segment, segment_id)
    if place >= 0:
        segmentation.SetSegmentIndex(segment_id, place)


def _is_same(segment: slicer.vtkSegment, image: slicer.vtkOrientedImageData) -> bool:
    """Whether a segment holds the voxels of an image, and no others, in the same place."""
    there = segment.GetRepresentation(BINARY_LABELMAP)
    if there is None or there.GetExtent() != image.GetExtent() or image.IsEmpty():
        return False
    if not np.allclose(image_affine(there), image_affine(image)):
        return False
    return bool(((voxels_of(there) == segment.GetLabelValue()) == (voxels_of(image) > 0)).all())


def _remove(segmentation: slicer.vtkSegmentation, structure: Structure) -> None:
    # Slicer warns in its log when there is nothing to remove.
    if segmentation.GetSegment(_id_of(structure)) is not None:
        segmentation.RemoveSegment(_id_of(structure))


def other_segments(segmentation_node: slicer.vtkMRMLSegmentationNode) -> list[str]:
    """Ids of the segments that are not ours."""
    return [id for id in segmentation_node.GetSegmentation().GetSegmentIDs() if id not in OUR_IDS]


def put_into_study_of(volume_node: slicer.vtkMRMLVolumeNode, segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """File the segmentation beside its CT in the subject hierarchy, which DICOM export asks for."""
    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(volume_node.GetScene())
    if hierarchy is None:
        return
    volume_item, segmentation_item = (hierarchy.GetItemByDataNode(node) for node in (volume_node, segmentation_node))
    if volume_item and segmentation_item:
        hierarchy.SetItemParent(segmentation_item, hierarchy.GetItemParent(volume_item))
