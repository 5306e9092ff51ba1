"""CouinaudModel: the network that tells the segments of a liver apart, with its card, loaded and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .liver_model import bundled_model_path
from .loading import is_count, load_network, read_card, require
from .unet_3d import GROUP, UNet3D

SEGMENTS = 8
# What the network sees: CT, liver, and the position along three axes.
CHANNELS = 5
# A grid of more voxels would take more memory than a liver's segments are worth.
MOST_VOXELS = 10**6
# The largest network of a card, so that a card alone cannot ask for more memory than there is.
WIDEST, MOST_LEVELS, LARGEST_PATCH = 512, 6, 4


@dataclass(frozen=True)
class CouinaudCard:
    """Everything needed to use the network, and to judge it.

    ``shape`` is the number of voxels (k, j, i) of the grid round the liver, ``finest_mm`` how small they may be,
    ``window_hu`` what is mapped to [-1, 1], ``widths`` and ``patch`` what
    :class:`LiverSegLib.model.unet_3d.UNet3D` is built with, ``sha256`` the digest of the weights file. Its classes are
    the segments 1 to 8. The rest is for people.
    """

    name: str
    version: str
    sha256: str
    shape: tuple[int, int, int]
    finest_mm: float
    window_hu: tuple[float, float]
    widths: tuple[int, ...]
    patch: int
    intended_use: str
    training_data: list[dict[str, str]]
    licence: str
    training: dict[str, Any]
    accuracy: dict[str, Any]
    limits: list[str]

    def check(self) -> None:
        """Raise ValueError for what no network of ours can be, TypeError for what is no number where one has to be."""
        coarsest = max(1, self.patch * 2 ** (len(self.widths) - 1))
        fitting = {
            "texts": all(isinstance(text, str) for text in (self.name, self.version, self.sha256)),
            "widths": 0 < len(self.widths) <= MOST_LEVELS and all(map(is_count, self.widths)),
            "multiples": all(width % GROUP == 0 and width <= WIDEST for width in self.widths),
            "patch": is_count(self.patch) and self.patch <= LARGEST_PATCH,
            "shape": len(self.shape) == 3 and all(is_count(size) and size % coarsest == 0 for size in self.shape),
            "size": math.prod(self.shape) <= MOST_VOXELS,
            "finest_mm": 1.0 <= self.finest_mm <= 20.0,
            "window_hu": len(self.window_hu) == 2 and -1024 <= self.window_hu[0] < self.window_hu[1] <= 3071,
        }
        require(fitting)


@dataclass(frozen=True)
class CouinaudModel:
    """The network in evaluation mode on the CPU, in float32, and its card."""

    network: UNet3D
    card: CouinaudCard

    @classmethod
    def load(cls, path: Path | str | None = None) -> CouinaudModel:
        """Load weights whose card lies beside them with the suffix ``.json``; without a path, the bundled ones.

        Raises
        ------
        ModelError
            If a file is missing or damaged, or the weights are not those that the card describes.
        """
        path = Path(path) if path is not None else bundled_model_path("couinaud_unet.pt")
        card = read_card(CouinaudCard, path.with_suffix(".json"), ("shape", "window_hu", "widths"))
        network = load_network(path, card.sha256, lambda: UNet3D(CHANNELS, SEGMENTS, card.widths, card.patch))
        return cls(network, card)
