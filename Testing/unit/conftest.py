"""A small untrained network, whose geometry is that of the real one, for tests that are about everything else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from Testing.models import OFFSETS, card_of, weights_of, write_model

if TYPE_CHECKING:
    from LiverSegLib.model.liver_model import LiverModel

WIDTHS = (4, 6, 8, 8, 8)


@pytest.fixture
def a_model_file(tmp_path: Path) -> Path:
    """Weights of a small network from a fixed seed, with a fitting card beside them."""
    weights = weights_of(WIDTHS, OFFSETS, ragged=True)
    return write_model(tmp_path / "model.pt", weights, card_of(weights, WIDTHS))


@pytest.fixture
def an_untrained_model(a_model_file: Path) -> LiverModel:
    """The small network, loaded."""
    from LiverSegLib.model.liver_model import LiverModel

    return LiverModel.load(a_model_file)
