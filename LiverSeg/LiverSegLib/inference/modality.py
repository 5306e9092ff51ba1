"""Which network a volume is for: what its user says, else its DICOM header, else its values."""

from __future__ import annotations

from ..data.modality import AUTO, CT, MR
from ..data.volume import CTVolume
from .options import SegmentOptions
from .plausibility import looks_like_mr


def modality_of(ct: CTVolume, options: SegmentOptions) -> str:
    """ "CT" or "MR".

    Where nobody says it, values that cannot be HU and look like MR are MR. What is neither goes on as CT, whose checks
    refuse it.
    """
    if options.modality != AUTO:
        return options.modality.upper()
    if ct.modality:
        return ct.modality
    return MR if not options.force and looks_like_mr(ct) else CT
