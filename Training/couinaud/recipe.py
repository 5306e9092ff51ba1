"""Make the networks of the Couinaud segments from nothing: ``make train NETWORK=couinaud``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from . import fit, fit_slices
from .export import NAME, export
from .join import join
from .prepare import prepare
from .settings import parse_settings, parse_slice_settings

# Networks that see the whole liver; they differ by chance alone, and their mean errs less.
VOLUMES = 2


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train, join and export them; returns their file.

    The options are those that ``Training.couinaud.fit`` and ``Training.couinaud.fit_slices`` share.
    """
    settings = parse_settings(options)
    run = Path(settings.run)
    prepare(data, Path(settings.prepared))
    volumes = [
        fit.fit(replace(settings, run=f"{run}/volume_{number}", seed=settings.seed + number))
        for number in range(VOLUMES)
    ]
    slices = fit_slices.fit(replace(parse_slice_settings(options), run=f"{run}/slices"))
    weights = run / f"{NAME}.pt"
    export(join(volumes, slices, run / "joined.ckpt"), weights)
    return weights
