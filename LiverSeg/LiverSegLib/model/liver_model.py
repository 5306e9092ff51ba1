"""LiverModel: the trained network with its model card, loaded and verified."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data.modality import CT, MR
from .loading import is_count, load_network, read_card, read_verified, require

# PyTorch is imported when there are weights to load: a card is read without it.
if TYPE_CHECKING:
    from .unet import UNet

# What the first channels of every network are; the liver's neighbours may follow.
FIRST_CLASSES = ("background", "liver", "tumour")
# The bundled network for each modality.
BUNDLED = {CT: "liver_unet.pt", MR: "liver_mr_unet.pt"}
CALIBRATION = ("intercept", "slope", "check_below")
# At the bottom of ten levels a pixel covers as much as a slice has.
MOST_LEVELS = 10
# With finer pixels, a card alone could ask for more memory than there is.
SPACING_MM = (0.2, 20.0)
FARTHEST_SLICE_MM = 100.0


@dataclass(frozen=True)
class ModelCard:
    """Everything needed to use the network, and to judge it.

    ``spacing_mm`` is the in-plane pixel size, ``offsets_mm`` where the neighbouring slices lie (towards superior),
    ``window_hu`` what is mapped to [-1, 1], ``classes`` the names of the output channels, :data:`FIRST_CLASSES` first,
    ``widths`` the channels of
    the U-Net's levels, ``block`` what they are built of (a card that does not say means "plain"), ``patch`` the side of
    the squares that its first level takes as one (else 1), ``sha256`` the digest of the weights file. ``calibration``
    holds ``intercept`` and ``slope`` from self-agreement to expected Dice, and the Dice ``check_below`` which a result
    needs a look. Where tumours are wanted, what belongs to the liver is one if its probability exceeds
    ``tumour_above`` (a card that does not say means 0.5). ``modality`` is that of the scans that it is for: "CT", or
    "MR", whose signal is laid on the window as :mod:`LiverSegLib.inference.mr_signal` does it. The rest is for people.
    """

    name: str
    version: str
    sha256: str
    spacing_mm: float
    offsets_mm: tuple[float, ...]
    window_hu: tuple[float, float]
    classes: tuple[str, ...]
    widths: tuple[int, ...]
    intended_use: str
    training_data: list[dict[str, str]]
    licence: str
    training: dict[str, Any]
    accuracy: dict[str, Any]
    limits: list[str]
    block: str = "plain"
    patch: int = 1
    calibration: dict[str, float] | None = None
    tumour_above: float = 0.5
    modality: str = CT

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card from JSON.

        Raises
        ------
        ModelError
            If the card is missing, is not JSON, lacks a field, or describes a network that cannot be.
        """
        return read_card(cls, path, ("offsets_mm", "window_hu", "classes", "widths"))

    def check(self) -> None:
        """Raise ValueError for what no network of ours can be, TypeError for what is no number where one has to be."""
        # What else is in the calibration is for people.
        calibration = () if self.calibration is None else (self.calibration[name] for name in CALIBRATION)
        numbers = (self.spacing_mm, *self.offsets_mm, *self.window_hu, self.tumour_above, *calibration)
        fitting = {
            "texts": all(isinstance(text, str) for text in (self.name, self.version, self.sha256)),
            "numbers": all(math.isfinite(number) for number in numbers),
            "spacing_mm": SPACING_MM[0] <= self.spacing_mm <= SPACING_MM[1],
            "offsets_mm": len(self.offsets_mm) > 0 and all(abs(mm) <= FARTHEST_SLICE_MM for mm in self.offsets_mm),
            "window_hu": len(self.window_hu) == 2 and self.window_hu[0] < self.window_hu[1],
            "classes": self.classes[:3] == FIRST_CLASSES and all(isinstance(name, str) for name in self.classes),
            "widths": 0 < len(self.widths) <= MOST_LEVELS and all(is_count(width) for width in self.widths),
            "patch": is_count(self.patch),
            "modality": self.modality in (CT, MR),
            "tumour_above": 0 < self.tumour_above < 1,
        }
        require(fitting)


@dataclass(frozen=True)
class LiverModel:
    """The network in evaluation mode on the CPU, in float32, and its card."""

    network: UNet
    card: ModelCard

    @classmethod
    def load(cls, path: Path | str | None = None) -> LiverModel:
        """Load weights whose card lies beside them with the suffix ``.json``; without a path, the bundled ones.

        Raises
        ------
        ModelError
            If a file is missing or damaged, or the weights are not those that the card describes.
        """
        path = Path(path) if path is not None else bundled_model_path()
        card = ModelCard.read(path.with_suffix(".json"))

        def build() -> UNet:
            from .unet import UNet

            return UNet(len(card.offsets_mm), len(card.classes), card.widths, card.block, card.patch)

        return cls(load_network(path, card.sha256, build), card)


def verified_card(path: Path | str | None = None) -> ModelCard:
    """The card of weights, which it describes; without a path, of the bundled ones. Loads no network.

    Raises
    ------
    ModelError
        If a file is missing, the card is damaged, or the weights are not those that the card describes.
    """
    path = Path(path) if path is not None else bundled_model_path()
    card = ModelCard.read(path.with_suffix(".json"))
    read_verified(path, card.sha256)
    return card


def bundled_model_path(name: str = BUNDLED[CT]) -> Path:
    """Where bundled weights lie: beside the package in Slicer and in the source tree, inside it in a wheel."""
    package = Path(__file__).parents[1]
    beside = package.parent / "Resources" / "Models" / name
    return beside if beside.exists() else package / "Models" / name
