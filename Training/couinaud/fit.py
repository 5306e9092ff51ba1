"""Train the network of the Couinaud segments: ``python -m Training.couinaud.fit``. Stops and resumes like its model.

One CPU core does, in float32.
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

from LiverSegLib.inference.liver_grid import CoarseScan, network_input
from LiverSegLib.model.couinaud_model import CHANNELS, SEGMENTS
from LiverSegLib.model.unet_3d import UNet3D

from ..checkpoint import read_checkpoint
from ..data.catalogue import person_of
from ..data.splits import held_out_persons
from ..fit import RunLog, code_version, warm_average
from ..optimizer import MuonAdamW
from .prepare import read_prepared
from .sample import Batch, LiverSampler
from .settings import WINDOW_HU, Settings, parse_settings

# Runs are short, so the moving average forgets sooner than the liver network's.
EMA_DECAY = 0.99
SMOOTH = 1.0
# What a run that goes on may change.
FREE = ("prepared", "run", "save_every")


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
    sampler = LiverSampler(training, settings, settings.seed + 1000 * state["step"])
    log = RunLog(run / "log.csv")
    for step in tqdm(range(state["step"], settings.steps), initial=state["step"], total=settings.steps):
        log.losses.append(take_step(state, sampler.draw()))
        state["step"] = step + 1
        if state["step"] % settings.save_every == 0 or state["step"] == settings.steps:
            log.write(state["step"], state["schedule"].get_last_lr()[0], {})
            save(state, run)
    return run / "last.ckpt"


def training_scans(settings: Settings) -> dict[str, CoarseScan]:
    """The prepared scans by name but for those of persons held back."""
    files = {path.stem: path for path in sorted(Path(settings.prepared).glob("*.npz"))}
    held_out = held_out_persons(files, [settings.held_out]) if settings.held_out else set()
    return {name: read_prepared(path) for name, path in files.items() if person_of(name) not in held_out}


def build_network(settings: Settings) -> UNet3D:
    """A fresh network for these settings."""
    return UNet3D(CHANNELS, SEGMENTS, settings.widths, settings.patch)


def begin(settings: Settings, training: dict[str, CoarseScan]) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands in the run's folder or at the first step."""
    network = build_network(settings)
    optimizer = MuonAdamW(network, settings.learning_rate, settings.weight_decay)
    # It does not fall in the end: the moving average of the weights does the work of that.
    schedule = LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / settings.warm_up))
    state = {
        "network": network,
        "average": AveragedModel(network, multi_avg_fn=warm_average(EMA_DECAY)),
        "optimizer": optimizer,
        "schedule": schedule,
        "step": 0,
        "settings": asdict(settings),
        "code": code_version(),
        "trained_on": sorted(training),
    }
    checkpoint = Path(settings.run) / "last.ckpt"
    if checkpoint.exists():
        resume(state, read_checkpoint(checkpoint))
    return state


def resume(state: dict[str, Any], saved: dict[str, Any]) -> None:
    """Take over a checkpoint of the same run."""
    for name, now in state["settings"].items():
        if name not in FREE and saved["settings"].get(name) != now:
            raise ValueError(
                f"The run has {name} {saved['settings'].get(name)}, not {now}: give that, or another --run."
            )
    for name, value in saved.items():
        if hasattr(state[name], "load_state_dict"):
            state[name].load_state_dict(value)
        else:
            state[name] = value


def take_step(state: dict[str, Any], batch: Batch) -> Tensor:
    """Learn from one batch; returns its loss."""
    network, optimizer = state["network"], state["optimizer"]
    loss = loss_of(network(network_input(batch.hu, batch.liver, WINDOW_HU)), batch.segments)
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm=5.0)
    optimizer.step()
    state["schedule"].step()
    state["average"].update_parameters(network)
    return loss.detach()


def loss_of(logits: Tensor, segments: Tensor) -> Tensor:
    """Cross-entropy + soft Dice (Milletari et al., 3DV 2016), of the voxels that belong to a segment alone.

    Parameters
    ----------
    logits
        Of segments 1 to 8, (n, 8, k, j, i).
    segments
        1 to 8, 0 outside, (n, k, j, i).
    """
    inside = segments > 0
    probabilities = logits.permute(0, 2, 3, 4, 1)[inside]
    truth = segments[inside] - 1
    cross_entropy = functional.cross_entropy(probabilities, truth)
    probabilities, wanted = probabilities.softmax(dim=1), functional.one_hot(truth, SEGMENTS)
    common, total = (probabilities * wanted).sum(0), (probabilities + wanted).sum(0)
    present = wanted.any(dim=0)
    return cross_entropy + (1 - (2 * common + SMOOTH) / (total + SMOOTH))[present].mean()


def save(state: dict[str, Any], run: Path) -> None:
    """Write the checkpoint beside the last one, then put it in its place."""
    content = {name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in state.items()}
    torch.save(content, run / "partial.ckpt")
    (run / "partial.ckpt").replace(run / "last.ckpt")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
