"""The surface of the liver, made as the panel makes it: in a MRML scene of slicer-core, with VTK's filters."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from Testing.benchmark.memory import COMPUTER, PeakMemory

# The panel's own default.
SMOOTHING = 0.5


def measure(labels: str, with_memory: bool) -> dict[str, Any]:
    """Seconds from segments to their closed surface, and the peak memory of the process while it is made."""
    from LiverSegLib import mrml
    from LiverSegLib.io.files import read_labels

    values, affine = read_labels(labels)
    scene = mrml.ensure_scene()
    volume_node = mrml.labelmap_from_array(values, affine, "CT")
    segmentation_node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "liver")
    mrml.write_segmentation(segmentation_node, values, volume_node)
    peaks = PeakMemory()
    if with_memory:
        peaks.take()
    started = perf_counter()
    mrml.set_surface(segmentation_node, True, SMOOTHING)
    seconds = perf_counter() - started
    return {"seconds": seconds, "peak_gb": peaks.take().get(COMPUTER) if with_memory else None}
