"""What a reference segmentation means: which of its segments or labels is the liver."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import messages
from ..errors import InputError

# SNOMED CT
LIVER_CODE = "10200004"
TUMOUR_CODES = {"4147007": "mass", "108369006": "neoplasm", "52988006": "lesion"}

_TUMOUR_NAME = re.compile(r"tumou?r|lesion|metasta|mass|neoplasm|carcinoma|hcc", re.IGNORECASE)
_BARE_TUMOUR_NAME = re.compile(r"(tumou?rs?|lesions?|hcc)[\s_\d]*", re.IGNORECASE)


@dataclass(frozen=True)
class NamedSegment:
    """A segment as its author described it.

    ``terminology`` is Slicer's entry: context~category~type~modifier~context~region~modifier, where each code is
    scheme^value^meaning; empty where the author gave none.
    """

    id: str
    name: str
    terminology: str = ""

    @property
    def code(self) -> str:
        """What it is, by its code; empty where the author gave none."""
        return self._code(2)

    def is_liver_by_code(self) -> bool:
        return self.code == LIVER_CODE

    def is_in_liver(self) -> bool:
        """Whether its region is coded as the liver."""
        return self._code(5) == LIVER_CODE

    def is_liver_tumour(self) -> bool:
        """Coded as a mass in the liver, or named as one; "tumour" alone counts, "kidney tumour" does not."""
        if self.code in TUMOUR_CODES:
            return self.is_in_liver()
        named = _TUMOUR_NAME.search(self.name) and "liver" in self.name.lower()
        return bool(named or _BARE_TUMOUR_NAME.fullmatch(self.name.strip()))

    def _code(self, field: int) -> str:
        fields = self.terminology.split("~")
        parts = fields[field].split("^") if field < len(fields) else []
        return parts[1] if len(parts) == 3 else ""


def find_liver(segments: Sequence[NamedSegment], where: str) -> NamedSegment:
    """The liver's segment: by its SNOMED CT code, else by "liver" in its name, else the only segment there is.

    Parameters
    ----------
    segments
        In order of preference among equals.
    where
        What to call the segmentation in messages.

    Raises
    ------
    InputError
        If there is no segment, or several of which none is clearly the liver.
    """
    candidates = [segment for segment in segments if not segment.is_liver_tumour()]
    for found in (
        [segment for segment in candidates if segment.is_liver_by_code()][:1],
        [segment for segment in candidates if segment.name.strip().lower() == "liver"][:1],
        [segment for segment in candidates if "liver" in segment.name.lower()],
        candidates,
    ):
        if len(found) == 1:
            return found[0]
    raise InputError(messages.UNCLEAR_LIVER.format(name=where, segments=listed(segments)))


def listed(segments: Sequence[NamedSegment]) -> str:
    """The segments' names for a message."""
    return ", ".join(segment.name for segment in segments) or messages.NO_SEGMENTS


def label_values(values: np.ndarray, where: str) -> np.ndarray:
    """Check the values of a reference labelmap.

    Parameters
    ----------
    values
        Any real dtype, shape (k, j, i): 0 and 1 (liver), also 2 (tumour); or 0 and one other value for the liver.

    Returns
    -------
    uint8 (k, j, i): 0 background, 1 liver, 2 tumour.

    Raises
    ------
    InputError
        If there are other labels, so that it is not clear which one is the liver.
    """
    if values.dtype.kind in "iub" and values.min() >= 0 and values.max() <= 2:
        return values.astype(np.uint8)
    found = {float(value) for value in np.unique(values)} - {0.0}
    if found <= {1.0, 2.0}:
        return values.astype(np.uint8)
    if len(found) == 1:
        return (values != 0).astype(np.uint8)
    raise InputError(messages.UNCLEAR_LABELS.format(name=where, count=len(found)))
