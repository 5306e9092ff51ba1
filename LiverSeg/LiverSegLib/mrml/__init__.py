"""MRML nodes to CTVolume, labels to segments, a reference onto the CT's grid, what the views show.

These are the only files that know slicer and vtk. They run inside Slicer and with slicer-core from PyPI alike; outside
the application call :func:`ensure_scene` first. Nodes are touched on the main thread only.
"""

from .changes import content_state
from .corrections import (
    describe_segments,
    jump_to,
    sign,
    slice_of,
    store_corrections,
    stored_corrections,
    stroke_in,
    tick_place,
    volume_to_correct,
)
from .disagreement import remove_disagreement, show_disagreement
from .display import (
    centre_3d_views,
    frame_slices,
    is_in_slices,
    set_surface,
    show_in_slices,
    show_removed,
    show_results_of,
    use_abdominal_window,
)
from .drawing import Drawing
from .history import History
from .images import affine_of, cropped_image, shape_of, to_image, to_matrix, voxels_of
from .reference import (
    ReferenceVoxels,
    read_anatomy,
    read_reference,
    read_result,
    reference_to_labels,
    segmentation_to_labels,
    segments_for_reference,
)
from .scene import ensure_scene, nodes_of_class, remove_whole
from .segmentation import (
    ANATOMY_IDS,
    BINARY_LABELMAP,
    CLOSED_SURFACE,
    SEGMENT_IDS,
    check_output,
    new_segmentation_name,
    renew_surfaces,
    segmentation_of,
    write_segmentation,
)
from .sequences import frame_nodes, sequence_browser_of, shown_frame, write_frames
from .storage import save_node
from .strokes import remove_strokes, show_strokes
from .tables import store_report, stored_report, write_report_table
from .transforms import check_transform, patient_space
from .volumes import copy_volume_in_pieces, labelmap_from_array, volume_from_ct, volume_to_ct

__all__ = [
    "ANATOMY_IDS",
    "BINARY_LABELMAP",
    "CLOSED_SURFACE",
    "SEGMENT_IDS",
    "Drawing",
    "History",
    "ReferenceVoxels",
    "affine_of",
    "centre_3d_views",
    "check_output",
    "check_transform",
    "content_state",
    "copy_volume_in_pieces",
    "cropped_image",
    "describe_segments",
    "ensure_scene",
    "frame_nodes",
    "frame_slices",
    "is_in_slices",
    "jump_to",
    "labelmap_from_array",
    "new_segmentation_name",
    "nodes_of_class",
    "patient_space",
    "read_anatomy",
    "read_reference",
    "read_result",
    "reference_to_labels",
    "remove_disagreement",
    "remove_strokes",
    "remove_whole",
    "renew_surfaces",
    "save_node",
    "segmentation_of",
    "segmentation_to_labels",
    "segments_for_reference",
    "sequence_browser_of",
    "set_surface",
    "shape_of",
    "show_disagreement",
    "show_in_slices",
    "show_removed",
    "show_results_of",
    "show_strokes",
    "shown_frame",
    "sign",
    "slice_of",
    "store_corrections",
    "store_report",
    "stored_corrections",
    "stored_report",
    "stroke_in",
    "tick_place",
    "to_image",
    "to_matrix",
    "use_abdominal_window",
    "volume_from_ct",
    "volume_to_correct",
    "volume_to_ct",
    "voxels_of",
    "write_frames",
    "write_report_table",
    "write_segmentation",
]
