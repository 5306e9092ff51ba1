"""SegmentOptions: what is wanted of a segmentation, from the panel, the command line, a batch and Python alike."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from .. import messages
from ..data.modality import AUTO, CHOICES, MR
from ..errors import InputError


@dataclass(frozen=True)
class SegmentOptions:
    """What a user can choose.

    Parameters
    ----------
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    model
        Weights with their card beside them; None for the bundled ones.
    tumour
        Label tumours as 2; otherwise they are part of the liver, 1.
    segments, vessels, spleen
        Tell the Couinaud segments of the liver apart; find its vessels; find the spleen.
    modality
        What the volume is, "ct" or "mr"; "auto": what its DICOM header says, or its values.
    force
        Segment although the values do not look like CT.

    Raises
    ------
    InputError
        If there is no such modality.
    """

    device: str = "auto"
    model: Path | None = None
    tumour: bool = False
    segments: bool = False
    vessels: bool = False
    spleen: bool = False
    modality: str = AUTO
    force: bool = False

    def __post_init__(self) -> None:
        if self.modality not in CHOICES:
            raise InputError(messages.NO_SUCH_MODALITY.format(modality=self.modality))

    @property
    def wants_anatomy(self) -> bool:
        """Whether something beside liver and tumours is wanted."""
        return self.segments or self.vessels or self.spleen

    def on(self, modality: str) -> SegmentOptions:
        """What of it can be had of "CT" or "MR": in MR the liver alone."""
        if modality != MR:
            return self
        return replace(self, tumour=False, segments=False, vessels=False, spleen=False)
