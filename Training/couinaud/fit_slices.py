"""Train the network that sees single slices: ``python -m Training.couinaud.fit_slices``. Stops and resumes.

It learns from slices of whole scans, and from the single slices of more than twice as many other patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LiverSegLib.inference.liver_grid import CoarseScan, slice_input
from LiverSegLib.model.couinaud_model import SEGMENTS, SLICE_CHANNELS
from LiverSegLib.model.unet import UNet

from ..data.catalogue import person_of
from ..data.splits import held_out_persons, training_scans
from ..loop import begin, learn, train
from .fit import fast_logits, loss_of, rate_at
from .prepare import SLICES, read_prepared
from .sample_slices import SliceBatch, SliceSampler
from .settings import WINDOW_HU, SliceSettings, parse_slice_settings


def fit(settings: SliceSettings) -> Path:
    """Train from the last checkpoint in the run's folder, or from the start, to the last step; returns the checkpoint.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    whole = training_scans(settings.prepared, settings.held_out, read_prepared)
    single = single_slices(settings)
    torch.manual_seed(settings.seed)
    state = begin(settings, build_network(settings), rate_at, [*whole, *single])
    sampler = SliceSampler(whole, single, settings, settings.seed + 1000 * state["step"])
    return train(state, settings, lambda: take_step(state, sampler.draw(), settings.label_smoothing))


def single_slices(settings: SliceSettings) -> dict[str, CoarseScan]:
    """The prepared single slices by name but for those of persons whose whole scans are held back."""
    folder = Path(settings.prepared)
    scans = [path.stem for path in folder.glob("*.npz")]
    held_out = held_out_persons(scans, [settings.held_out] if settings.held_out else [])
    files = sorted((folder / SLICES).glob("*.npz"))
    return {path.stem: read_prepared(path) for path in files if person_of(path.stem) not in held_out}


def build_network(settings: SliceSettings) -> UNet:
    """A fresh network for these settings."""
    network = UNet(SLICE_CHANNELS, SEGMENTS, settings.widths, patch=settings.patch)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def take_step(state: dict[str, Any], batch: SliceBatch, label_smoothing: float) -> Tensor:
    """Learn from one batch; returns its loss."""
    images = slice_input(batch.hu, batch.liver, batch.heights, WINDOW_HU)
    logits = fast_logits(state["network"], images.contiguous(memory_format=torch.channels_last))
    return learn(state, loss_of(logits[:, :, None], batch.segments[:, None], label_smoothing))


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_slice_settings(argv))


if __name__ == "__main__":
    main()
