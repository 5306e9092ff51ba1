"""What the views show of a result: slices framed on the liver, and its surface in 3D."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

import numpy as np
import slicer
import slicer.util
import vtk

from ..data.structures import LIVER
from .images import image_affine
from .scene import nodes_of_class
from .segmentation import CLOSED_SURFACE, COUINAUD_IDS, OUR_IDS, SEGMENT_IDS, VOLUME_ROLE, holds_liver
from .sequences import frame_nodes
from .transforms import transformed, warp_between

SMOOTHING_PARAMETER = slicer.vtkBinaryLabelmapToClosedSurfaceConversionRule.GetSmoothingFactorParameterName()
# On a result whose segments were hidden for that of another CT: the ids of these.
HIDDEN_ATTRIBUTE = "LiverSeg.Hidden"
# Width and level of the abdomen's soft tissue, as radiologists look at the liver.
WINDOW_HU = (400.0, 40.0)
# On a CT that got the abdominal window once; the window that it is given afterwards is the user's.
WINDOW_ATTRIBUTE = "LiverSeg.Window"
# Room left on each side of the liver, as a part of its size.
MARGIN = 0.15
# Vermilion, which no structure has; and what stands for no colour in the place of a segment's own.
REMOVED_COLOUR, NO_COLOUR = (0.9, 0.33, 0.05), (-1.0, -1.0, -1.0)
# Under a non-linear transform the liver's box is no box any more: it is followed in so many places along each edge.
BOX_SAMPLES = 5


def set_surface(segmentation_node: slicer.vtkMRMLSegmentationNode, shown: bool, smoothing: float) -> None:
    """Show the segments in 3D, or not.

    Parameters
    ----------
    shown
        Whether the closed surface is there and visible. A surface that the segments are made of stays.
    smoothing
        0 (the voxels' steps) to 1. A surface that is shown is made anew if this changes.

    In a node that shows the frames of a sequence this holds for all of them.
    """
    segmentation_node.CreateDefaultDisplayNodes()
    segmentation_node.GetDisplayNode().SetVisibility3D(shown)
    value = f"{min(max(float(smoothing), 0.0), 1.0):g}"
    segmentations = [segmentation_node.GetSegmentation()]
    # The frame that is shown shares its segmentation with the node.
    segmentations += [node.GetSegmentation() for _, node in frame_nodes(segmentation_node)]
    for segmentation in dict.fromkeys(segmentations):
        _make_surface(segmentation, shown, value)


def _make_surface(segmentation: slicer.vtkSegmentation, shown: bool, smoothing: str) -> None:
    changed = segmentation.GetConversionParameter(SMOOTHING_PARAMETER) != smoothing
    segmentation.SetConversionParameter(SMOOTHING_PARAMETER, smoothing)
    if segmentation.GetSourceRepresentationName() == CLOSED_SURFACE:
        return
    if changed or not shown:
        segmentation.RemoveRepresentation(CLOSED_SURFACE)
    if shown:
        segmentation.CreateRepresentation(CLOSED_SURFACE)


def show_in_slices(volume_node: slicer.vtkMRMLVolumeNode) -> None:
    """Put a volume into all slice views as what lies below the segments, and fit the views to it."""
    slicer.util.setSliceViewerLayers(background=volume_node, fit=hasattr(slicer, "app"))


def use_abdominal_window(volume_node: slicer.vtkMRMLScalarVolumeNode) -> None:
    """Give a CT the window of the abdomen, 400 HU wide about 40 HU, unless it has one that somebody chose."""
    display = volume_node.GetDisplayNode()
    if display is None or not display.GetAutoWindowLevel() or volume_node.GetAttribute(WINDOW_ATTRIBUTE):
        return
    modifying = display.StartModify()
    display.AutoWindowLevelOff()
    display.SetWindowLevel(*WINDOW_HU)
    display.EndModify(modifying)
    volume_node.SetAttribute(WINDOW_ATTRIBUTE, "1")


def show_results_of(volume_node: slicer.vtkMRMLVolumeNode, *kept: slicer.vtkMRMLNode | None) -> None:
    """Hide the livers of all other CT, which lie in the same 3D view, and show again what was hidden so of this one.

    What a user has hidden stays hidden, segments of others and the nodes that are kept stay as they are.
    """
    for node in nodes_of_class(volume_node.GetScene(), "vtkMRMLSegmentationNode"):
        of = node.GetNodeReference(VOLUME_ROLE)
        if of is volume_node:
            _show_hidden(node)
        elif of is not None and holds_liver(node) and node not in kept:
            _hide_ours(node)


def _hide_ours(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    display, segmentation = segmentation_node.GetDisplayNode(), segmentation_node.GetSegmentation()
    ours = [segment_id for segment_id in OUR_IDS if segmentation.GetSegment(segment_id) is not None]
    seen = [segment_id for segment_id in ours if display is not None and display.GetSegmentVisibility(segment_id)]
    if seen:
        segmentation_node.SetAttribute(HIDDEN_ATTRIBUTE, " ".join(seen))
        for segment_id in seen:
            display.SetSegmentVisibility(segment_id, False)


def _show_hidden(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    for segment_id in (segmentation_node.GetAttribute(HIDDEN_ATTRIBUTE) or "").split():
        if segmentation_node.GetSegmentation().GetSegment(segment_id) is not None:
            segmentation_node.GetDisplayNode().SetSegmentVisibility(segment_id, True)
    segmentation_node.RemoveAttribute(HIDDEN_ATTRIBUTE)


def show_removed(segmentation_node: slicer.vtkMRMLSegmentationNode, removed: Collection[int]) -> None:
    """Give Couinaud segments that a planned resection removes another colour, and all others their own again."""
    display = segmentation_node.GetDisplayNode()
    if display is None:
        return
    modifying = display.StartModify()
    for number, segment_id in COUINAUD_IDS.items():
        if segmentation_node.GetSegmentation().GetSegment(segment_id) is not None:
            display.SetSegmentOverrideColor(segment_id, *(REMOVED_COLOUR if number in removed else NO_COLOUR))
    display.EndModify(modifying)


def is_in_slices(volume_node: slicer.vtkMRMLVolumeNode) -> bool:
    """Whether all slice views show a volume, as what lies below or, not wholly transparent, above another one."""
    volume_id = volume_node.GetID()
    return all(
        composite.GetBackgroundVolumeID() == volume_id
        or (composite.GetForegroundVolumeID() == volume_id and composite.GetForegroundOpacity() > 0)
        for composite in nodes_of_class(volume_node.GetScene(), "vtkMRMLSliceCompositeNode")
    )


def centre_3d_views() -> None:
    """Centre the 3D views on what they show; Slicer has none without its main window, and slicer-core has none."""
    if hasattr(slicer, "app") and slicer.app.layoutManager() is not None:
        slicer.util.resetThreeDViews()


def frame_slices(segmentation_node: slicer.vtkMRMLSegmentationNode) -> None:
    """Centre all slice views on the liver, with a field of view that shows it whole; without a liver they stay."""
    points = _liver_in_world(segmentation_node)
    if points is not None:
        for slice_node in nodes_of_class(segmentation_node.GetScene(), "vtkMRMLSliceNode"):
            _frame(slice_node, points)


def _liver_in_world(segmentation_node: slicer.vtkMRMLSegmentationNode) -> np.ndarray | None:
    """Points (n, 3), RAS mm in the world, on the box round the liver's voxels; None if there are no voxels."""
    image = segmentation_node.GetBinaryLabelmapInternalRepresentation(SEGMENT_IDS[LIVER.label])
    extent = [0, -1, 0, -1, 0, -1]
    if image is None or not slicer.vtkOrientedImageDataResample.CalculateEffectiveExtent(image, extent):
        return None
    # From the outer faces of the outermost voxels, on the grid of the image's own extent.
    first = image.GetExtent()[::2]
    axes = [
        np.linspace(extent[2 * n] - first[n] - 0.5, extent[2 * n + 1] - first[n] + 0.5, BOX_SAMPLES) for n in range(3)
    ]
    ijk = np.array([(*point, 1.0) for point in product(*axes)])
    return transformed((ijk @ image_affine(image).T)[:, :3], warp_between(segmentation_node, None))


def _frame(slice_node: slicer.vtkMRMLSliceNode, points: np.ndarray) -> None:
    """Show all points (n, 3), RAS mm: the view keeps its direction and the shape of its window."""
    to_ras = slicer.util.arrayFromVTKMatrix(slice_node.GetSliceToRAS())
    directions = to_ras[:3, :3] / np.linalg.norm(to_ras[:3, :3], axis=0)
    seen = points @ directions
    low, high = seen.min(axis=0), seen.max(axis=0)
    centre = directions @ ((low + high) / 2)
    width, height, _ = slice_node.GetDimensions()
    wanted = (high - low) * (1 + 2 * MARGIN)
    mm_per_pixel = max(wanted[0] / max(width, 1), wanted[1] / max(height, 1))
    modifying = slice_node.StartModify()
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy(slice_node.GetSliceToRAS())
    for row in range(3):
        matrix.SetElement(row, 3, centre[row])
    slice_node.GetSliceToRAS().DeepCopy(matrix)
    slice_node.SetFieldOfView(mm_per_pixel * width, mm_per_pixel * height, slice_node.GetFieldOfView()[2])
    slice_node.UpdateMatrices()
    slice_node.EndModify(modifying)
