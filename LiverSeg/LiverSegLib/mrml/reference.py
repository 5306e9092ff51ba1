"""A reference onto the CT's grid: all that touches MRML first, then numpy alone, which may run in a thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import slicer
import slicer.util
import vtk

from .. import messages
from ..data import reference as references
from ..data.anatomy import Anatomy
from ..data.bounding_box import Box, box_of
from ..data.geometry import Geometry
from ..data.labels import LabelVolume
from ..data.reference import NamedSegment
from ..data.resample import paste, reference_on_grid
from ..data.structures import LIVER, SPLEEN, TUMOUR
from ..errors import InputError
from .images import affine_of, geometry_of, image_affine, shape_of, to_image, voxels_of
from .segmentation import ANATOMY_IDS, BINARY_LABELMAP, GEOMETRY_PARAMETER, OUR_IDS, SEGMENT_IDS
from .transforms import matrix_between, warp_between


@dataclass(frozen=True)
class _Part:
    """Labels in the frame of the CT on a grid of their own: of a whole labelmap, or of one segment.

    ``read`` gives them as uint8 (k, j, i), ``affine`` is their IJK→RAS matrix.
    """

    read: Callable[[], np.ndarray]
    affine: np.ndarray
    warnings: tuple[str, ...] = ()

    def on_grid(self, geometry: Geometry) -> tuple[np.ndarray, list[str]]:
        """The labels on another grid in the same frame, and what was not exact."""
        found = LabelVolume(self.read(), self.affine, warnings=self.warnings)
        pasted = paste(found, geometry)
        if pasted is not None:
            return pasted, list(self.warnings)
        on_grid = reference_on_grid(found, geometry)
        return on_grid.labels, list(on_grid.warnings)


@dataclass(frozen=True)
class AnatomyVoxels:
    """Couinaud segments and spleen of a result, as they were when they were read; they know no node any more."""

    geometry: Geometry
    segments: tuple[tuple[int, _Part], ...] = ()
    spleen: _Part | None = None

    def anatomy(self) -> Anatomy:
        """Both on the CT's grid; numpy alone, so that a worker thread may call it."""
        spleen = None if self.spleen is None else self.spleen.on_grid(self.geometry)[0] > 0
        if not self.segments:
            return Anatomy(None, spleen)
        segments = np.zeros(self.geometry.shape, np.uint8)
        for number, part in self.segments:
            np.putmask(segments, part.on_grid(self.geometry)[0], np.uint8(number))
        return Anatomy(segments, spleen)


@dataclass(frozen=True)
class ReferenceVoxels:
    """A reference, or a result, as it was when it was read: it knows no node any more.

    ``geometry`` is the CT's, ``name`` is what to call the reference in messages. ``may_be_empty`` holds for a result.
    """

    name: str
    geometry: Geometry
    liver: _Part | None
    tumours: tuple[_Part, ...] = ()
    may_be_empty: bool = False

    def labels(self) -> tuple[np.ndarray, list[str]]:
        """The reference on the CT's grid; numpy alone, so that a worker thread may call it.

        Returns
        -------
        labels, warnings
            uint8 (k, j, i): 1 liver, 2 tumour; and a sentence for everything that was not exact.

        Raises
        ------
        InputError
            If nothing is labelled, if it is not clear which label is the liver, or if the liver lies outside the CT.
        """
        if self.liver is None:
            return np.zeros(self.geometry.shape, np.uint8), []
        labels, warnings = self.liver.on_grid(self.geometry)
        if not self.may_be_empty and not labels.any():
            raise InputError(messages.REFERENCE_IS_EMPTY.format(name=self.name))
        for tumour in self.tumours:
            mask, more = tumour.on_grid(self.geometry)
            np.putmask(labels, mask, np.uint8(TUMOUR.label))
            warnings += more
        return labels, list(dict.fromkeys(warnings))


def segments_for_reference(node: slicer.vtkMRMLNode | None) -> list[tuple[str, str]]:
    """Id and name of the segments that can be chosen in a node; none in a labelmap."""
    if node is None or not node.IsA("vtkMRMLSegmentationNode"):
        return []
    return [(segment.id, segment.name) for segment in _named_segments(node)]


def reference_to_labels(
    reference: slicer.vtkMRMLNode | tuple[slicer.vtkMRMLSegmentationNode, str],
    volume_node: slicer.vtkMRMLScalarVolumeNode,
) -> tuple[np.ndarray, list[str]]:
    """Bring a reference onto the volume's grid at once; see :func:`read_reference` and ReferenceVoxels.labels."""
    return read_reference(reference, volume_node).labels()


def read_reference(
    reference: slicer.vtkMRMLNode | tuple[slicer.vtkMRMLSegmentationNode, str],
    volume_node: slicer.vtkMRMLScalarVolumeNode,
    output: slicer.vtkMRMLSegmentationNode | None = None,
) -> ReferenceVoxels:
    """Copy what is needed of a reference out of the scene, with the parent transforms of both taken into account.

    Parameters
    ----------
    reference
        A labelmap volume (1 liver, 2 tumour; or one value for the liver), a segmentation, or a segmentation with the
        id or the name of the liver's segment. In a segmentation the liver is found by its SNOMED CT code, then by a
        name with "liver" in it, then as the only segment; liver tumours beside it become label 2.
    volume_node
        The CT. What lies under another non-linear transform is resampled here already, all else later.
    output
        The node of the result: its own liver is no reference for itself.

    Raises
    ------
    InputError
        If the node is no reference or was deleted, if there is no liver in it, if it is not clear which segment is
        meant, if that is empty, or if it is the result itself.
    """
    node, wanted = reference if isinstance(reference, tuple) else (reference, None)
    _check_kind(node, wanted)
    name, grid = node.GetName(), Geometry(shape_of(volume_node), affine_of(volume_node))
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        return ReferenceVoxels(name, grid, _whole_labelmap(node, volume_node))
    chosen, others = _choose(node, wanted, own_result=node is output)
    liver = _segment(node, chosen, volume_node)
    if liver is None:
        raise InputError(messages.REFERENCE_SEGMENT_IS_EMPTY.format(name=name, segment=chosen.name))
    tumours = (_segment(node, other, volume_node) for other in others)
    return ReferenceVoxels(name, grid, liver, tuple(tumour for tumour in tumours if tumour is not None))


def read_result(
    segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> ReferenceVoxels:
    """Copy the liver and the tumours that a run wrote, as the user left them, out of the scene; empty ones are fine."""
    parts = {}
    for segment in _named_segments(segmentation_node):
        if segment.id in SEGMENT_IDS.values():
            parts[segment.id] = _segment(segmentation_node, segment, volume_node)
    tumour = parts.get(SEGMENT_IDS[TUMOUR.label])
    return ReferenceVoxels(
        segmentation_node.GetName(),
        Geometry(shape_of(volume_node), affine_of(volume_node)),
        parts.get(SEGMENT_IDS[LIVER.label]),
        () if tumour is None else (tumour,),
        may_be_empty=True,
    )


def read_anatomy(
    segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> AnatomyVoxels:
    """Copy the Couinaud segments and the spleen that a run wrote, as the user left them, out of the scene."""
    labels = {segment_id: label for label, segment_id in ANATOMY_IDS.items()}
    parts = {}
    for segment in _named_segments(segmentation_node):
        if segment.id in labels and (part := _segment(segmentation_node, segment, volume_node)) is not None:
            parts[labels[segment.id]] = part
    spleen = parts.pop(SPLEEN.label, None)
    return AnatomyVoxels(Geometry(shape_of(volume_node), affine_of(volume_node)), tuple(parts.items()), spleen)


def segmentation_to_labels(
    segmentation_node: slicer.vtkMRMLSegmentationNode, volume_node: slicer.vtkMRMLScalarVolumeNode
) -> np.ndarray:
    """Read back at once what write_segmentation wrote, as uint8 labels (k, j, i) on the volume's grid."""
    return read_result(segmentation_node, volume_node).labels()[0]


def _check_kind(node: slicer.vtkMRMLNode | None, wanted: str | None) -> None:
    if node is None:
        raise InputError(messages.NO_REFERENCE_NODE)
    name = node.GetName()
    if node.GetScene() is None:
        raise InputError(messages.REFERENCE_DELETED.format(name=name))
    if not node.IsA("vtkMRMLSegmentationNode") and (wanted is not None or not node.IsA("vtkMRMLLabelMapVolumeNode")):
        raise InputError(messages.NOT_A_REFERENCE.format(name=name))


def _whole_labelmap(node: slicer.vtkMRMLLabelMapVolumeNode, volume_node: slicer.vtkMRMLVolumeNode) -> _Part:
    if 0 in shape_of(node):
        raise InputError(messages.REFERENCE_HOLDS_NO_IMAGE.format(name=node.GetName()))
    values, affine, name = voxels_of(node.GetImageData()), affine_of(node), node.GetName()
    # A message about another grid tells the size of the whole labelmap, so that is not cropped.
    box = _box_of_labels(values) if values.shape == shape_of(volume_node) else (slice(None),) * 3
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in reversed(box)]
    copied = values[box].copy()
    return _placed(lambda: references.label_values(copied, name), affine, node, volume_node)


def _box_of_labels(values: np.ndarray) -> Box:
    """What has to be copied of a labelmap; copying all of a large one would hold up the window."""
    if values.dtype.kind not in "iu" or values.min() < 0:
        return (slice(None),) * 3
    box = box_of(values)
    return box if box[0].stop > box[0].start else (slice(0, 1),) * 3


def _choose(
    node: slicer.vtkMRMLSegmentationNode, wanted: str | None, own_result: bool
) -> tuple[NamedSegment, list[NamedSegment]]:
    """The liver's segment and, unless it was named, those of liver tumours beside it."""
    # Segments of others first: a result of ours in the same node must not pass for the reference.
    ours = [segment for segment in _named_segments(node) if segment.id in OUR_IDS]
    others = [segment for segment in _named_segments(node) if segment not in ours]
    if wanted is not None:
        liver, tumours = _named(wanted, [*others, *ours], node), []
    elif own_result and ours and not others:
        raise InputError(messages.REFERENCE_IS_THE_RESULT.format(name=node.GetName()))
    else:
        liver = references.find_liver(others or ours, node.GetName())
        tumours = [segment for segment in others or ours if segment.is_liver_tumour()]
    if own_result and liver in ours:
        raise InputError(messages.REFERENCE_IS_THE_RESULT.format(name=node.GetName()))
    return liver, tumours


def _named(wanted: str, segments: list[NamedSegment], node: slicer.vtkMRMLSegmentationNode) -> NamedSegment:
    for segment in segments:
        if wanted == segment.id or wanted.strip().lower() == segment.name.strip().lower():
            return segment
    names = references.listed(segments)
    raise InputError(messages.NO_SUCH_SEGMENT.format(name=node.GetName(), segment=wanted, segments=names))


def _named_segments(node: slicer.vtkMRMLSegmentationNode) -> list[NamedSegment]:
    found = []
    for segment_id in node.GetSegmentation().GetSegmentIDs():
        segment = node.GetSegmentation().GetSegment(segment_id)
        terminology = vtk.reference("")
        segment.GetTag(segment.GetTerminologyEntryTagName(), terminology)
        found.append(NamedSegment(segment_id, segment.GetName(), str(terminology)))
    return found


def _segment(
    node: slicer.vtkMRMLSegmentationNode, named: NamedSegment, volume_node: slicer.vtkMRMLVolumeNode
) -> _Part | None:
    """One segment as a 0/1 array on its own box; None if it holds no voxel."""
    # A copy with this segment alone, so that a conversion from a surface leaves the user's node as it is.
    alone = slicer.vtkSegmentation()
    alone.SetSourceRepresentationName(node.GetSegmentation().GetSourceRepresentationName())
    alone.CopySegmentFromSegmentation(node.GetSegmentation(), named.id)
    if not alone.ContainsRepresentation(BINARY_LABELMAP):
        alone.SetConversionParameter(GEOMETRY_PARAMETER, geometry_of(volume_node))
        alone.CreateRepresentation(BINARY_LABELMAP)
    segment = alone.GetSegment(named.id)
    image = segment.GetRepresentation(BINARY_LABELMAP)
    if image is None or image.IsEmpty():
        return None
    values, value = voxels_of(image), segment.GetLabelValue()
    return _placed(lambda: (values == value).view(np.uint8), image_affine(image), node, volume_node)


def _placed(
    read: Callable[[], np.ndarray],
    affine: np.ndarray,
    node: slicer.vtkMRMLTransformableNode,
    volume_node: slicer.vtkMRMLVolumeNode,
) -> _Part:
    """Labels in the frame of a node as labels in the frame of the CT, which may be under another transform."""
    move = matrix_between(node, volume_node)
    if move is not None:
        return _Part(read, slicer.util.arrayFromVTKMatrix(move) @ affine)
    warped = _through_warp(read(), affine, node, volume_node)
    warning = messages.REFERENCE_THROUGH_WARP.format(name=node.GetName())
    return _Part(lambda: warped, affine_of(volume_node), (warning,))


def _through_warp(
    labels: np.ndarray, affine: np.ndarray, node: slicer.vtkMRMLTransformableNode, volume_node: slicer.vtkMRMLVolumeNode
) -> np.ndarray:
    target = to_image(np.zeros(shape_of(volume_node), np.uint8), affine_of(volume_node))
    result = slicer.vtkOrientedImageData()
    resampled = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage(
        to_image(labels, affine), target, result, False, False, warp_between(node, volume_node)
    )
    if not resampled or not voxels_of(result).any():
        names = {"name": node.GetName(), "volume": volume_node.GetName()}
        raise InputError(messages.NO_OVERLAP_THROUGH_TRANSFORMS.format(**names))
    return voxels_of(result)
