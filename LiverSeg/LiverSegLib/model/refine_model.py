"""RefineModel: the network that corrects a liver where a reader clicked, with its card, loaded and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .liver_model import MOST_LEVELS, bundled_model_path
from .loading import is_count, load_network, read_card, require
from .unet import UNet

# Beside the slices of CT and of the present result: strokes, near and far, for and against liver; how unlike the last
# stroke's HU a pixel is; and that stroke itself, above 0 where it adds and below where it removes.
STROKE_CHANNELS = 6
# The largest network of a card, so that a card alone cannot ask for more memory than there is.
WIDEST, LARGEST_PATCH = 1024, 4
FARTHEST_SLICE_MM = 100.0


@dataclass(frozen=True)
class RefineCard:
    """Everything needed to use the network, and to judge it.

    ``spacing_mm`` is the in-plane pixel size, ``slice_mm`` about how far apart the slices are that it looks at,
    ``offsets_mm`` where the neighbouring slices lie (towards superior), ``window_hu`` what is mapped to [-1, 1],
    ``widths`` and ``patch`` what :class:`LiverSegLib.model.unet.UNet` is built with, ``sha256`` the digest of the
    weights file. The rest is for people.
    """

    name: str
    version: str
    sha256: str
    spacing_mm: float
    slice_mm: float
    offsets_mm: tuple[float, ...]
    window_hu: tuple[float, float]
    widths: tuple[int, ...]
    patch: int
    intended_use: str
    training_data: list[dict[str, str]]
    licence: str
    training: dict[str, Any]
    accuracy: dict[str, Any]
    limits: list[str]

    @property
    def channels(self) -> int:
        """How many the network sees: CT and present result at each offset, and the strokes."""
        return 2 * len(self.offsets_mm) + STROKE_CHANNELS

    def check(self) -> None:
        """Raise ValueError for what no network of ours can be, TypeError for what is no number where one has to be."""
        numbers = (self.spacing_mm, self.slice_mm, *self.offsets_mm, *self.window_hu)
        fitting = {
            "texts": all(isinstance(text, str) for text in (self.name, self.version, self.sha256)),
            "numbers": all(math.isfinite(number) for number in numbers),
            "spacing_mm": 0.5 <= self.spacing_mm <= 5.0,
            "slice_mm": 0.5 <= self.slice_mm <= 10.0,
            "offsets_mm": 0 < len(self.offsets_mm) < 20 and all(abs(mm) <= FARTHEST_SLICE_MM for mm in self.offsets_mm),
            "window_hu": len(self.window_hu) == 2 and self.window_hu[0] < self.window_hu[1],
            "widths": 0 < len(self.widths) <= MOST_LEVELS and all(map(is_count, self.widths)),
            "wide": max(self.widths) <= WIDEST,
            "patch": is_count(self.patch) and self.patch <= LARGEST_PATCH,
        }
        require(fitting)


@dataclass(frozen=True)
class RefineModel:
    """The network in evaluation mode on the CPU, in float32, and its card."""

    network: UNet
    card: RefineCard

    @classmethod
    def load(cls, path: Path | str | None = None) -> RefineModel:
        """Load weights whose card lies beside them with the suffix ``.json``; without a path, the bundled ones.

        Raises
        ------
        ModelError
            If a file is missing or damaged, or the weights are not those that the card describes.
        """
        path = Path(path) if path is not None else bundled_model_path("refine_unet.pt")
        card = read_card(RefineCard, path.with_suffix(".json"), ("offsets_mm", "window_hu", "widths"))
        return cls(load_network(path, card.sha256, lambda: UNet(card.channels, 1, card.widths, patch=card.patch)), card)
