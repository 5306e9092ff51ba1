"""Train the network of the liver's vessels: ``python -m Training.vessels.fit``. Stops and resumes like its model.

One CPU core does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from LiverSegLib.inference.vessels import network_input
from LiverSegLib.model.unet import UNet

from ..data.sample import Batch
from ..data.splits import training_scans
from ..loop import begin, learn, train
from ..optimizer import fast_dtype
from .prepare import VESSEL, read_prepared
from .sample import VesselSampler
from .settings import OFFSETS_MM, WINDOW_HU, Settings, parse_settings

SMOOTH = 1.0
FINAL_SHARE = 0.02


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from the start, to the last step; returns the checkpoint.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    training = training_scans(settings.prepared, settings.held_out, read_prepared)
    torch.manual_seed(settings.seed)
    state = begin(settings, first_network(settings), rate_at, training)
    torch.manual_seed(settings.seed + state["step"])
    sampler = VesselSampler(training, settings, settings.seed + 1000 * state["step"])
    return train(state, settings, lambda: take_step(state, sampler.draw()))


def build_network(settings: Settings) -> UNet:
    """A network for these settings, with random weights."""
    return UNet(len(OFFSETS_MM), 1, settings.widths, patch=settings.patch)


def first_network(settings: Settings) -> UNet:
    """What a run begins with."""
    network = build_network(settings)
    if settings.start_from:
        take_over(network, torch.load(settings.start_from, map_location="cpu", weights_only=True))
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def rate_at(step: int, settings: Settings) -> float:
    """Share of the learning rate: up at first, then down in a straight line."""
    left = (settings.steps - step) / max(1, settings.steps - settings.warm_up)
    return min(1.0, (step + 1) / settings.warm_up, max(FINAL_SHARE, left))


def take_over(network: UNet, weights: dict[str, Tensor]) -> None:
    """Give a network all layers of another, deeper one that fit: both count their levels from the finest."""
    own = network.state_dict()
    deeper = len({name.split(".")[1] for name in weights if name.startswith("up.")}) - len(network.up)
    for name, value in own.items():
        kind, _, rest = name.partition(".")
        if kind in ("up", "merge"):
            level, _, rest = rest.partition(".")
            rest = f"{int(level) + deeper}.{rest}"
        other = weights.get(f"{kind}.{rest}")
        if kind != "head" and other is not None and other.shape == value.shape:
            value.copy_(other)


def take_step(state: dict[str, Any], batch: Batch) -> Tensor:
    """Learn from one batch; returns its loss."""
    network = state["network"].train()
    images = network_input(batch.hu, 0.0, WINDOW_HU).contiguous(memory_format=torch.channels_last)
    dtype = fast_dtype(images.device)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = network(images)
    return learn(state, loss_of(logits[:, 0].float(), batch.labels))


def loss_of(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy + soft Dice (Milletari et al., 3DV 2016), of the pixels of the liver alone.

    Parameters
    ----------
    logits
        Of vessel, (n, rows, columns).
    labels
        0 outside the liver, 1 liver, 2 vessel; the same shape.
    """
    inside = labels > 0
    logits, vessel = logits[inside], (labels[inside] == VESSEL).float()
    probability = logits.sigmoid()
    common, total = (probability * vessel).sum(), (probability + vessel).sum()
    return functional.binary_cross_entropy_with_logits(logits, vessel) + 1 - (2 * common + SMOOTH) / (total + SMOOTH)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
