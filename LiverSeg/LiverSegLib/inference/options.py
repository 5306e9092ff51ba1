"""SegmentOptions: what is wanted of a segmentation, from the panel, the command line, a batch and Python alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


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
    force
        Segment although the values do not look like CT.
    """

    device: str = "auto"
    model: Path | None = None
    tumour: bool = False
    segments: bool = False
    vessels: bool = False
    spleen: bool = False
    force: bool = False

    @property
    def wants_anatomy(self) -> bool:
        """Whether something beside liver and tumours is wanted."""
        return self.segments or self.vessels or self.spleen
