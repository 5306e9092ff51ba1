"""What is found beside liver and tumours when it is asked for, and what a user should know of it."""

from __future__ import annotations

import numpy as np

from .. import messages
from ..data.anatomy import Anatomy
from ..data.bounding_box import box_of
from ..data.volume import CTVolume
from ..model.couinaud_model import SEGMENTS, CouinaudModel
from ..model.vessel_model import VesselModel
from .couinaud import SMALLEST_LIVER_ML, find_segments
from .label_writer import LabelWriter
from .progress import ProgressReporter
from .vessels import are_faint, find_vessels

# Less is a part of something else that the network takes for it.
SMALLEST_SPLEEN_ML = 10.0
CUT = (messages.LIVER_CUT_AT_ENDS, messages.LIVER_CUT_AT_SIDE, messages.LIVER_CUT_AT_ENDS_AND_SIDE)


def find_anatomy(
    writer: LabelWriter,
    couinaud: CouinaudModel | None,
    vessels: VesselModel | None,
    progress: ProgressReporter,
    warnings: list[str],
) -> Anatomy:
    """All that was asked for, on the input's own grid.

    Parameters
    ----------
    writer
        The liver, cleaned up.
    couinaud, vessels
        The networks of the segments and of the vessels; None if nobody wants them.
    progress
        Whom to tell, and to ask whether somebody cancelled.
    warnings
        What is known of the liver; sentences about the anatomy are added.
    """
    segments = _segments(writer, couinaud, progress, warnings) if couinaud else None
    found = _vessels(writer, vessels, progress, warnings) if vessels else None
    return Anatomy(segments, _spleen(writer, warnings), found)


def corrected_anatomy(
    ct: CTVolume,
    labels: np.ndarray,
    found: Anatomy,
    couinaud: CouinaudModel | None,
    vessels: VesselModel | None,
    progress: ProgressReporter,
    warnings: list[str],
) -> Anatomy:
    """What was found after a reader corrected the liver: segments and vessels anew, and no spleen in it.

    Parameters
    ----------
    ct, labels
        The input, and uint8 (k, j, i) on its own grid.
    found
        Before.
    couinaud, vessels, progress, warnings
        As of :func:`find_anatomy`.
    """
    writer = LabelWriter(ct, None)
    writer.take(labels)
    return Anatomy(
        _segments(writer, couinaud, progress, warnings) if couinaud else None,
        None if found.spleen is None else found.spleen & (labels == 0),
        _vessels(writer, vessels, progress, warnings) if vessels else None,
    )


def _spleen(writer: LabelWriter, warnings: list[str]) -> np.ndarray | None:
    """Bool (k, j, i); None if it is not wanted or not found."""
    if writer.own_spleen is None or writer.spleen is None:
        return None
    box = box_of(writer.spleen)
    is_cut = any(part.start == 0 or part.stop == size for part, size in zip(box, writer.spleen.shape, strict=True))
    voxels = np.count_nonzero(writer.spleen[box])
    if voxels * writer.canonical.voxel_volume_ml < SMALLEST_SPLEEN_ML:
        warnings.append(messages.NO_SPLEEN_OF_SO_LITTLE if voxels and is_cut else messages.NO_SPLEEN)
        return None
    if is_cut:
        warnings.append(messages.SPLEEN_CUT)
    return writer.own_spleen.view(np.bool_)


def _segments(
    writer: LabelWriter, model: CouinaudModel, progress: ProgressReporter, warnings: list[str]
) -> np.ndarray | None:
    """Segments, uint8 (k, j, i); None of too small a liver."""
    if writer.volume_ml < SMALLEST_LIVER_ML:
        if writer.volume_ml:
            warnings.append(messages.NO_SEGMENTS_OF_SO_LITTLE)
        return None
    progress.report(0.94, messages.FINDING_SEGMENTS)
    own, canonical = writer.new_labels()
    box, segments = find_segments(model, writer.canonical, writer.labels, progress, warnings)
    canonical[box] = segments
    missing = [str(segment) for segment in range(1, SEGMENTS + 1) if not (segments == segment).any()]
    if missing:
        warnings.append(messages.SEGMENTS_NOT_FOUND.format(segments=", ".join(missing)))
    if _is_part(writer, warnings):
        warnings.append(messages.SEGMENTS_OF_A_PART)
    progress.lap("segments")
    return own


def _vessels(
    writer: LabelWriter, model: VesselModel, progress: ProgressReporter, warnings: list[str]
) -> np.ndarray | None:
    """Bool (k, j, i); None of too small a liver, or where none are to be seen."""
    if writer.volume_ml < SMALLEST_LIVER_ML:
        if writer.volume_ml:
            warnings.append(messages.NO_VESSELS_OF_SO_LITTLE)
        return None
    progress.report(0.95, messages.FINDING_VESSELS)
    own, canonical = writer.new_labels()
    box, vessels = find_vessels(model, writer.canonical, writer.labels, progress)
    canonical[box] = vessels
    if not vessels.any():
        warnings.append(messages.NO_VESSELS)
        return None
    if are_faint(writer.canonical.hu[box], writer.labels[box], vessels):
        warnings.append(messages.FAINT_VESSELS)
    if _is_part(writer, warnings):
        warnings.append(messages.VESSELS_OF_A_PART)
    progress.lap("vessels")
    return own.view(np.bool_)


def _is_part(writer: LabelWriter, warnings: list[str]) -> bool:
    """Whether the scan may cut the liver off, as a single slice always does."""
    return len(writer.labels) == 1 or any(sentence in CUT for sentence in warnings)
