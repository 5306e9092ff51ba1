"""Make the network that corrects from nothing but the bundled one: ``make train NETWORK=refine``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..data.prepare import prepare
from .export import NAME, export
from .fit import fit
from .settings import SPACING_MM, parse_settings

FOLDERS = ["train", "more"]


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train and export it; the options are those of ``Training.refine.fit``. Returns its file."""
    settings = parse_settings(options)
    prepare(data, Path(settings.prepared), FOLDERS, SPACING_MM, phantoms=0, fluid_copies=0)
    weights = Path(settings.run) / f"{NAME}.pt"
    export(fit(settings), weights)
    return weights
