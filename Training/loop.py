"""A run: its state, which stops and resumes at any checkpoint, its log, and the loop of the small networks.

Those are the networks of the Couinaud segments and of the vessels, and the one that corrects; one process trains them,
on the CPU. The liver network's loop is :mod:`Training.fit`.
"""

from __future__ import annotations

import csv
import subprocess  # nosec B404 # see where it is used
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from .checkpoint import check_resumable, read_checkpoint
from .optimizer import MuonAdamW

# Runs are short, so the moving average forgets sooner than the liver network's.
EMA_DECAY = 0.99
# What a run that goes on may change.
FREE = ("prepared", "run", "save_every")


def begin(
    settings: Any,
    network: torch.nn.Module,
    rate_at: Callable[[int, Any], float],
    trained_on: Iterable[str],
    **about: Any,
) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands in the run's folder or at the first step.

    ``settings`` are the network's own, a dataclass. ``rate_at`` gives the share of the learning rate at a step by them,
    ``trained_on`` are names of scans, ``about`` is what else it holds.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    optimizer = MuonAdamW(network, settings.learning_rate, settings.weight_decay)
    state = {
        "network": network,
        "average": AveragedModel(network, multi_avg_fn=warm_average(EMA_DECAY), use_buffers=True),
        "optimizer": optimizer,
        "schedule": LambdaLR(optimizer, lambda step: rate_at(step, settings)),
        "step": 0,
        "settings": asdict(settings),
        "code": code_version(),
        "trained_on": sorted(trained_on),
        **about,
    }
    checkpoint = Path(settings.run) / "last.ckpt"
    if checkpoint.exists():
        resume(state, read_checkpoint(checkpoint))
    return state


def resume(state: dict[str, Any], saved: dict[str, Any]) -> None:
    """Take over a checkpoint of the same run."""
    check_resumable(saved["settings"], state["settings"], FREE)
    for name, value in saved.items():
        if hasattr(state[name], "load_state_dict"):
            state[name].load_state_dict(value)
        else:
            state[name] = value


def train(state: dict[str, Any], settings: Any, take_step: Callable[[], Tensor]) -> Path:
    """Take the steps that are left, each of which returns its loss; returns the checkpoint."""
    run = Path(settings.run)
    run.mkdir(parents=True, exist_ok=True)
    log = RunLog(run / "log.csv")
    for step in tqdm(range(state["step"], settings.steps), initial=state["step"], total=settings.steps):
        log.losses.append(take_step())
        state["step"] = step + 1
        if due(state["step"], settings.save_every, settings.steps):
            log.write(state["step"], state["schedule"].get_last_lr()[0], {})
            save(state, run)
    return run / "last.ckpt"


def learn(state: dict[str, Any], loss: Tensor) -> Tensor:
    """Take one step down from a loss: weights, rate and moving average; returns the loss without its graph."""
    network, optimizer = state["network"], state["optimizer"]
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), max_norm=5.0)
    optimizer.step()
    state["schedule"].step()
    state["average"].update_parameters(network)
    return loss.detach()


def save(state: dict[str, Any], run: Path) -> None:
    """Write the checkpoint beside the last one, then put it in its place."""
    content = {name: value.state_dict() if hasattr(value, "state_dict") else value for name, value in state.items()}
    torch.save(content, run / "partial.ckpt")
    (run / "partial.ckpt").replace(run / "last.ckpt")


def due(step: int, every: int, last: int) -> bool:
    """Whether a step ends a round of so many, or is the last."""
    return step % every == 0 or step == last


class RunLog:
    """A row of a CSV file each time the network is validated: step, seconds, mean loss since the last row, Dice."""

    def __init__(self, path: Path) -> None:
        self.path, self.started, self.losses = path, time.time(), []

    def write(self, step: int, learning_rate: float, scores: dict[str, float]) -> None:
        """Append a row; a new file begins with its header."""
        loss = round(float(torch.stack(self.losses).mean()), 5)
        took = round(time.time() - self.started)
        row = {"step": step, "seconds": took, "loss": loss, "learning_rate": f"{learning_rate:.2e}", **scores}
        self.losses.clear()
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def warm_average(decay: float) -> Callable[[list[Tensor], list[Tensor], Tensor | int], None]:
    """Exponential moving average whose decay rises to ``decay``, so that the random start is soon forgotten."""

    @torch.no_grad()
    def update(averages: list[Tensor], values: list[Tensor], count: Tensor | int) -> None:
        weight = 1 - min(decay, (1 + int(count)) / (10 + int(count)))
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.lerp_(value, weight)
            else:  # batch normalisation counts its batches
                average.copy_(value)

    return update


def code_version() -> str:
    """Which code trains, as git describes it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603 # words of our own
    return described.stdout.strip() or "unknown"
