"""Make the network of the liver's vessels from nothing: ``make train NETWORK=vessels``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .export import NAME, export
from .fit import fit
from .prepare import prepare
from .settings import parse_settings


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train and export it; the options are those of ``Training.vessels.fit``. Returns its file."""
    settings = parse_settings(options)
    prepare(data, Path(settings.prepared))
    weights = Path(settings.run) / f"{NAME}.pt"
    export(fit(settings), weights)
    return weights
