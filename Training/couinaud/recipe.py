"""Make the network of the Couinaud segments from nothing: ``make train NETWORK=couinaud``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .export import NAME, export
from .fit import fit
from .prepare import prepare
from .settings import parse_settings


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train and export it; the options are those of ``Training.couinaud.fit``. Returns its file."""
    settings = parse_settings(options)
    prepare(data, Path(settings.prepared))
    weights = Path(settings.run) / f"{NAME}.pt"
    export(fit(settings), weights)
    return weights
