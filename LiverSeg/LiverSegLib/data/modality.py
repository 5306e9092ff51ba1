"""CT or MR: what a volume is, and which of them somebody wants it taken for."""

from __future__ import annotations

CT, MR = "CT", "MR"
# What a volume of which nobody says it is.
UNKNOWN = ""
# What a user can ask for: to be told by header and values, or to be believed.
AUTO = "auto"
CHOICES = (AUTO, "ct", "mr")


def is_wanted(modality: str, choice: str) -> bool:
    """Whether a DICOM series of a modality can be segmented as what was chosen."""
    return modality in (CT, MR) and choice in (AUTO, modality.lower())
