"""Small untrained networks with their cards, for tests that are about everything else."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

CLASSES = ("background", "liver", "tumour")
OFFSETS = (-3.0, 0.0, 3.0)


@cache
def weights_of(widths: tuple[int, ...], offsets: tuple[float, ...], ragged: bool = False) -> bytes:
    """Weights from a fixed seed; ``ragged`` ones find all classes, in patches, where others find next to nothing."""
    import torch

    from LiverSegLib.model.unet import UNet

    torch.manual_seed(0)
    network = UNet(len(offsets), len(CLASSES), widths)
    if ragged:
        for _ in range(30):  # gives the normalisations something to go by
            network(torch.randn(4, len(offsets), 32, 32).clamp(-1, 1))
        torch.nn.init.normal_(network.head.weight)
        network.head.bias.data = torch.tensor((0.7, 0.0, 0.0))  # two classes against one
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    return buffer.getvalue()


def card_of(weights: bytes, widths: Sequence[int], offsets: Sequence[float] = OFFSETS, **more: Any) -> bytes:
    """The card of some weights; ``more`` adds to it or changes it."""
    card = {"name": "untrained", "version": "0", "sha256": hashlib.sha256(weights).hexdigest(), "spacing_mm": 1.5}
    card |= {"offsets_mm": offsets, "window_hu": (-160.0, 240.0), "classes": CLASSES, "widths": widths}
    card |= {"intended_use": "tests", "training_data": [], "licence": "Apache-2.0"}
    card |= {"training": {}, "accuracy": {}, "limits": []}
    return json.dumps(card | more).encode()


def write_model(path: Path, weights: bytes, card: bytes) -> Path:
    """A file of weights with its card beside it."""
    path.write_bytes(weights)
    path.with_suffix(".json").write_bytes(card)
    return path
