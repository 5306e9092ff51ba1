"""CouinaudModel: the networks that tell the segments of a liver apart, with their card, loaded and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn import functional

from .liver_model import bundled_model_path
from .loading import is_count, load_network, read_card, require
from .unet import UNet
from .unet_3d import GROUP, UNet3D

SEGMENTS = 8
# What the network of the whole liver sees: CT, liver, and the position along three axes. That of slices: CT, liver,
# the position along two axes, the height, and whether that is known.
CHANNELS, SLICE_CHANNELS = 5, 6
# A grid of more voxels would take more memory than a liver's segments are worth.
MOST_VOXELS = 10**6
# The largest network of a card, so that a card alone cannot ask for more memory than there is.
WIDEST, MOST_LEVELS, LARGEST_PATCH = 512, 6, 4


@dataclass(frozen=True)
class CouinaudCard:
    """Everything needed to use the networks, and to judge them.

    ``shape`` is the number of voxels (k, j, i) of the grid round the liver, ``finest_mm`` how small they may be,
    ``window_hu`` what is mapped to [-1, 1], ``widths`` and ``patch`` what the
    :class:`LiverSegLib.model.unet_3d.UNet3D` of the whole liver is built with, ``slice_widths`` and ``slice_patch``
    what the :class:`LiverSegLib.model.unet.UNet` of single slices is built with, ``sha256`` the digest of the weights
    file. Their classes are the segments 1 to 8. The rest is for people.
    """

    name: str
    version: str
    sha256: str
    shape: tuple[int, int, int]
    finest_mm: float
    window_hu: tuple[float, float]
    widths: tuple[int, ...]
    patch: int
    slice_widths: tuple[int, ...]
    slice_patch: int
    intended_use: str
    training_data: list[dict[str, str]]
    licence: str
    training: dict[str, Any]
    accuracy: dict[str, Any]
    limits: list[str]

    def check(self) -> None:
        """Raise ValueError for what no network of ours can be, TypeError for what is no number where one has to be."""
        kinds = (self.widths, self.patch), (self.slice_widths, self.slice_patch)
        coarsest, coarsest_pixels = (max(1, patch * 2 ** (len(widths) - 1)) for widths, patch in kinds)
        fitting = {
            "texts": all(isinstance(text, str) for text in (self.name, self.version, self.sha256)),
            "levels": all(0 < len(widths) <= MOST_LEVELS and all(map(is_count, widths)) for widths, _ in kinds),
            "multiples": all(width % GROUP == 0 for width in self.widths),
            "widest": all(max(widths) <= WIDEST for widths, _ in kinds),
            "patches": all(is_count(patch) and patch <= LARGEST_PATCH for _, patch in kinds),
            "shape": len(self.shape) == 3 and all(is_count(size) and size % coarsest == 0 for size in self.shape),
            "slices": all(2 * size % coarsest_pixels == 0 for size in self.shape[1:]),
            "size": math.prod(self.shape) <= MOST_VOXELS,
            "finest_mm": 1.0 <= self.finest_mm <= 20.0,
            "window_hu": len(self.window_hu) == 2 and -1024 <= self.window_hu[0] < self.window_hu[1] <= 3071,
        }
        require(fitting)


class CouinaudNetwork(nn.Module):
    """A network of the whole liver and one of its single slices, which sees finer pixels, with one answer.

    They err in different ways, and slices of many more patients were there to learn from than whole livers.

    Parameters
    ----------
    card
        What they are built with.

    Notes
    -----
    Input (1, :data:`CHANNELS`, k, j, i) and its slices in pixels of half the side, (k, :data:`SLICE_CHANNELS`, 2 j,
    2 i). Output (1, 8, k, j, i): the mean of the logarithms of their probabilities, to be normalised again.
    """

    def __init__(self, card: CouinaudCard) -> None:
        super().__init__()
        self.volume = UNet3D(CHANNELS, SEGMENTS, card.widths, card.patch)
        self.slices = UNet(SLICE_CHANNELS, SEGMENTS, card.slice_widths, patch=card.slice_patch)

    def forward(self, volume: Tensor, slices: Tensor) -> Tensor:
        of_volume = self.volume(volume).log_softmax(dim=1)
        of_slices = functional.avg_pool2d(self.slices(slices).log_softmax(dim=1), 2)
        return (of_volume + of_slices.transpose(0, 1)) / 2


@dataclass(frozen=True)
class CouinaudModel:
    """The networks in evaluation mode on the CPU, in float32, and their card."""

    network: CouinaudNetwork
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
        card = read_card(CouinaudCard, path.with_suffix(".json"), ("shape", "window_hu", "widths", "slice_widths"))
        return cls(load_network(path, card.sha256, lambda: CouinaudNetwork(card)), card)
