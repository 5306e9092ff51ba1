"""Train a network that sees the whole liver: ``python -m Training.couinaud.fit``. Stops and resumes like its model.

One CPU core does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.liver_grid import network_input
from LiverSegLib.model.couinaud_model import CHANNELS, SEGMENTS
from LiverSegLib.model.unet_3d import UNet3D

from ..data.splits import training_scans
from ..loop import begin, learn, train
from ..optimizer import fast_dtype
from .prepare import read_prepared
from .sample import Batch, LiverSampler
from .settings import WINDOW_HU, Settings, SliceSettings, parse_settings

SMOOTH = 1.0


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from the start, to the last step; returns the checkpoint.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    training = training_scans(settings.prepared, settings.held_out, read_prepared)
    torch.manual_seed(settings.seed)
    state = begin(settings, build_network(settings), rate_at, training)
    sampler = LiverSampler(training, settings, settings.seed + 1000 * state["step"])
    return train(state, settings, lambda: take_step(state, sampler.draw()))


def build_network(settings: Settings) -> UNet3D:
    """A fresh network for these settings."""
    return UNet3D(CHANNELS, SEGMENTS, settings.widths, settings.patch)


def rate_at(step: int, settings: Settings | SliceSettings) -> float:
    """Share of the learning rate: up at first, and never down, since the moving average does the work of that."""
    return min(1.0, (step + 1) / settings.warm_up)


def take_step(state: dict[str, Any], batch: Batch) -> Tensor:
    """Learn from one batch; returns its loss."""
    logits = fast_logits(state["network"], network_input(batch.hu, batch.liver, WINDOW_HU))
    return learn(state, loss_of(logits, batch.segments))


def fast_logits(network: torch.nn.Module, images: Tensor) -> Tensor:
    """Logits in float32, in training; most of the work is done in bfloat16 where the processor has it."""
    dtype = fast_dtype(images.device)
    with torch.autocast(images.device.type, dtype, enabled=dtype != torch.float32):
        return network.train()(images).float()


def loss_of(logits: Tensor, segments: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy + soft Dice (Milletari et al., 3DV 2016), of the voxels that belong to a segment alone.

    Parameters
    ----------
    logits
        Of segments 1 to 8, (n, 8, k, j, i).
    segments
        1 to 8, 0 outside, (n, k, j, i).
    label_smoothing
        Of the cross-entropy: readers place borders by choice.
    """
    inside = segments > 0
    probabilities = logits.permute(0, 2, 3, 4, 1)[inside]
    truth = segments[inside] - 1
    cross_entropy = functional.cross_entropy(probabilities, truth, label_smoothing=label_smoothing)
    probabilities, wanted = probabilities.softmax(dim=1), functional.one_hot(truth, SEGMENTS)
    common, total = (probabilities * wanted).sum(0), (probabilities + wanted).sum(0)
    present = wanted.any(dim=0)
    return cross_entropy + (1 - (2 * common + SMOOTH) / (total + SMOOTH))[present].mean()


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
