"""Train the network of the liver's vessels: ``python -m Training.vessels.fit``. Stops and resumes like its model.

One CPU core does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from LiverSegLib.inference.vessels import network_input
from LiverSegLib.model.unet import UNet

from ..checkpoint import read_checkpoint
from ..couinaud.fit import resume, save
from ..data.catalogue import person_of
from ..data.sample import Batch
from ..data.splits import held_out_persons
from ..fit import RunLog, code_version, warm_average
from ..optimizer import MuonAdamW, fast_dtype
from .prepare import VESSEL, PreparedLiver, read_prepared
from .sample import VesselSampler
from .settings import OFFSETS_MM, WINDOW_HU, Settings, parse_settings

EMA_DECAY = 0.99
SMOOTH = 1.0
FINAL_SHARE = 0.02


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from the start, to the last step; returns the checkpoint.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    run = Path(settings.run)
    run.mkdir(parents=True, exist_ok=True)
    training = training_scans(settings)
    torch.manual_seed(settings.seed)
    state = begin(settings, training)
    torch.manual_seed(settings.seed + state["step"])
    sampler = VesselSampler(training, settings, settings.seed + 1000 * state["step"])
    log = RunLog(run / "log.csv")
    for step in tqdm(range(state["step"], settings.steps), initial=state["step"], total=settings.steps):
        log.losses.append(take_step(state, sampler.draw()))
        state["step"] = step + 1
        if state["step"] % settings.save_every == 0 or state["step"] == settings.steps:
            log.write(state["step"], state["schedule"].get_last_lr()[0], {})
            save(state, run)
    return run / "last.ckpt"


def training_scans(settings: Settings) -> dict[str, PreparedLiver]:
    """The prepared scans by name but for those of persons held back."""
    files = {path.stem: path for path in sorted(Path(settings.prepared).glob("*.npz"))}
    held_out = held_out_persons(files, [settings.held_out]) if settings.held_out else set()
    return {name: read_prepared(path) for name, path in files.items() if person_of(name) not in held_out}


def build_network(settings: Settings) -> UNet:
    """A network for these settings, with random weights."""
    return UNet(len(OFFSETS_MM), 1, settings.widths, patch=settings.patch)


def begin(settings: Settings, training: dict[str, PreparedLiver]) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands in the run's folder or at the first step."""
    network = build_network(settings)
    if settings.start_from:
        take_over(network, torch.load(settings.start_from, map_location="cpu", weights_only=True))
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = MuonAdamW(network, settings.learning_rate, settings.weight_decay)
    state = {
        "network": network,
        "average": AveragedModel(network, multi_avg_fn=warm_average(EMA_DECAY), use_buffers=True),
        "optimizer": optimizer,
        "schedule": LambdaLR(optimizer, lambda step: rate_at(step, settings)),
        "step": 0,
        "settings": asdict(settings),
        "code": code_version(),
        "trained_on": sorted(training),
    }
    checkpoint = Path(settings.run) / "last.ckpt"
    if checkpoint.exists():
        resume(state, read_checkpoint(checkpoint))
    return state


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
    network, optimizer = state["network"], state["optimizer"]
    network.train()
    images = network_input(batch.hu, 0.0, WINDOW_HU).contiguous(memory_format=torch.channels_last)
    dtype = fast_dtype(images.device)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        logits = network(images)
    loss = loss_of(logits[:, 0].float(), batch.labels)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm=5.0)
    optimizer.step()
    state["schedule"].step()
    state["average"].update_parameters(network)
    return loss.detach()


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
