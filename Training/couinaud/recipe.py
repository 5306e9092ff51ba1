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


def make(data: Path, options: Sequence[str]) -> Path:
    """Prepare, train, join and export them; returns their file.

    The options are those that ``Training.couinaud.fit`` and ``Training.couinaud.fit_slices`` share.
    """
    of_volume, of_slices = parse_settings(options), parse_slice_settings(options)
    run = Path(of_volume.run)
    prepare(data, Path(of_volume.prepared))
    volume = fit.fit(replace(of_volume, run=f"{run}/volume"))
    slices = fit_slices.fit(replace(of_slices, run=f"{run}/slices"))
    weights = run / f"{NAME}.pt"
    export(join(volume, slices, run / "joined.ckpt"), weights)
    return weights
