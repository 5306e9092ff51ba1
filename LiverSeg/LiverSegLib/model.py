"""LiverModel: the trained network with its model card, loaded and verified."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from . import messages
from .errors import ModelError
from .network import UNet

# Nothing that we ship is larger; a lying file is refused before it is read into memory.
LARGEST_FILE_BYTES = 20_000_000


@dataclass(frozen=True)
class ModelCard:
    """Everything needed to use the network, and to judge it.

    ``spacing_mm`` is the in-plane pixel size, ``offsets_mm`` where the neighbouring slices lie (towards superior),
    ``window_hu`` what is mapped to [-1, 1], ``classes`` the names of the output channels, ``widths`` the channels of
    the U-Net's levels, ``block`` what they are built of (a card that does not say means "plain"), ``patch`` the side of
    the squares that its first level takes as one (else 1), ``sha256`` the digest of the weights file. ``calibration``
    holds ``intercept`` and ``slope`` from self-agreement to expected Dice, and the Dice ``check_below`` which a result
    needs a look. The rest is for people.
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

    @classmethod
    def read(cls, path: Path) -> ModelCard:
        """Read a card from JSON.

        Raises
        ------
        ModelError
            If the card is missing, is not JSON, or lacks a field.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            wanted = [field.name for field in fields(cls) if field.name in content or field.default is MISSING]
            card = {name: content[name] for name in wanted}
            for name in ("offsets_mm", "window_hu", "classes", "widths"):
                card[name] = tuple(card[name])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(messages.BAD_MODEL_CARD.format(path=path, reason=repr(error))) from error
        return cls(**card)


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
        content = _read_weights(path)
        if hashlib.sha256(content).hexdigest() != card.sha256:
            raise ModelError(messages.MODEL_UNLIKE_CARD.format(path=path))
        try:
            weights = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            network = UNet(len(card.offsets_mm), len(card.classes), card.widths, card.block, card.patch)
            network.load_state_dict(weights)
        except (RuntimeError, UnpicklingError, EOFError, ValueError, TypeError, AttributeError, KeyError) as error:
            raise ModelError(messages.WRONG_MODEL.format(path=path)) from error
        return cls(network.eval(), card)


def bundled_model_path() -> Path:
    """Where the bundled weights lie: beside the package in Slicer and in the source tree, inside it in a wheel."""
    package = Path(__file__).parent
    beside = package.parent / "Resources" / "Models" / "liver_unet.pt"
    return beside if beside.exists() else package / "Models" / "liver_unet.pt"


def _read_weights(path: Path) -> bytes:
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ModelError(messages.MODEL_TOO_LARGE.format(path=path))
        return path.read_bytes()
    except OSError as error:
        raise ModelError(messages.UNREADABLE_MODEL.format(path=path)) from error
