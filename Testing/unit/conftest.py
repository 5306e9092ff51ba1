"""A small untrained network, whose geometry is that of the real one, for tests that are about everything else."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from LiverSegLib.model.liver_model import LiverModel


@pytest.fixture
def a_model_file(tmp_path: Path) -> Path:
    """Weights of a small network from a fixed seed, with a fitting card beside them."""
    import torch

    from LiverSegLib.model.unet import UNet

    offsets, widths, classes = (-3.0, 0.0, 3.0), (4, 6, 8, 8, 8), ("background", "liver", "tumour")
    torch.manual_seed(0)
    network = UNet(len(offsets), len(classes), widths)
    for _ in range(30):  # gives the normalisations something to go by
        network(torch.randn(4, len(offsets), 32, 32).clamp(-1, 1))
    torch.nn.init.normal_(network.head.weight)
    network.head.bias.data = torch.tensor((0.7, 0.0, 0.0))  # two classes against one
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    card = {
        "name": "untrained",
        "version": "0",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "spacing_mm": 1.5,
        "offsets_mm": offsets,
        "window_hu": (-160.0, 240.0),
        "classes": classes,
        "widths": widths,
        "intended_use": "tests",
        "training_data": [],
        "licence": "Apache-2.0",
        "training": {},
        "accuracy": {},
        "limits": [],
    }
    path = tmp_path / "model.pt"
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def an_untrained_model(a_model_file: Path) -> LiverModel:
    """The small network, loaded."""
    from LiverSegLib.model.liver_model import LiverModel

    return LiverModel.load(a_model_file)
