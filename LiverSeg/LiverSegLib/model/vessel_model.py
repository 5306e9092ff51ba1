"""VesselModel: the network that finds the vessels within a liver, with its card, loaded and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .liver_model import FARTHEST_SLICE_MM, bundled_model_path
from .loading import is_count, load_network, read_card, require

if TYPE_CHECKING:
    from .unet import UNet

# The largest network of a card, so that a card alone cannot ask for more memory than there is.
WIDEST, MOST_LEVELS, LARGEST_PATCH = 512, 6, 4


@dataclass(frozen=True)
class VesselCard:
    """Everything needed to use the network, and to judge it.

    ``spacing_mm`` is the in-plane pixel size, ``offsets_mm`` where the neighbouring slices lie (towards superior),
    ``window_hu`` what is mapped to [-1, 1], counted from the liver's median, ``widths`` and ``patch`` what
    :class:`LiverSegLib.model.unet.UNet` is built with, ``vessel_above`` the probability from which on a pixel is
    vessel, ``sha256`` the digest of the weights file. Its one class is vessel. The rest is for people.
    """

    name: str
    version: str
    sha256: str
    spacing_mm: float
    offsets_mm: tuple[float, ...]
    window_hu: tuple[float, float]
    widths: tuple[int, ...]
    patch: int
    vessel_above: float
    intended_use: str
    training_data: list[dict[str, str]]
    licence: str
    training: dict[str, Any]
    accuracy: dict[str, Any]
    limits: list[str]

    def check(self) -> None:
        """Raise ValueError for what no network of ours can be, TypeError for what is no number where one has to be."""
        numbers = (self.spacing_mm, *self.offsets_mm, *self.window_hu, self.vessel_above)
        fitting = {
            "texts": all(isinstance(text, str) for text in (self.name, self.version, self.sha256)),
            "numbers": all(math.isfinite(number) for number in numbers),
            "spacing_mm": 0.5 <= self.spacing_mm <= 5.0,
            "offsets_mm": len(self.offsets_mm) > 0 and all(abs(mm) <= FARTHEST_SLICE_MM for mm in self.offsets_mm),
            "window_hu": len(self.window_hu) == 2 and self.window_hu[0] < self.window_hu[1],
            "widths": 0 < len(self.widths) <= MOST_LEVELS and all(map(is_count, self.widths)),
            "widest": max(self.widths) <= WIDEST,
            "patch": is_count(self.patch) and self.patch <= LARGEST_PATCH,
            "vessel_above": 0 < self.vessel_above < 1,
        }
        require(fitting)


@dataclass(frozen=True)
class VesselModel:
    """The network in evaluation mode on the CPU, in float32, and its card."""

    network: UNet
    card: VesselCard

    @classmethod
    def load(cls, path: Path | str | None = None) -> VesselModel:
        """Load weights whose card lies beside them with the suffix ``.json``; without a path, the bundled ones.

        Raises
        ------
        ModelError
            If a file is missing or damaged, or the weights are not those that the card describes.
        """
        path = Path(path) if path is not None else bundled_model_path("vessel_unet.pt")
        card = read_card(VesselCard, path.with_suffix(".json"), ("offsets_mm", "window_hu", "widths"))

        def build() -> UNet:
            from .unet import UNet

            return UNet(len(card.offsets_mm), 1, card.widths, patch=card.patch)

        return cls(load_network(path, card.sha256, build), card)
