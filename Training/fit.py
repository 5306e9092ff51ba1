"""Train the network: ``python -m Training.fit``. Stops and resumes at any step; logs to CSV.

Two CPU cores do; a GPU is used when there is one, several through Lightning Fabric's launcher.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from LiverSegLib.grid import neighbour_stacks, pad_to_multiple, window
from LiverSegLib.network import UNet

from .augment import augment, default_augmentations
from .loss import LiverTumourLoss
from .sample import PreparedScan, SliceSampler, load_scans
from .spec import CLASSES, OFFSETS_MM, WIDTHS, WINDOW_HU


@dataclass
class Settings:
    """Everything that a run depends on besides the data and the code."""

    prepared: str = "prepared"
    run: str = "runs/bundled"
    steps: int = 7000
    batch: int = 12
    size: int = 224
    sampled_size: int = 288
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.999
    liver_share: float = 0.8
    phantom_share: float = 0.05
    tilted_share: float = 0.25
    validate_every: int = 500
    save_every: int = 250
    seed: int = 0
    devices: int = 1
    accelerator: str = "auto"


def build_network() -> UNet:
    """A fresh network of the shape that :mod:`Training.spec` fixes."""
    return UNet(len(OFFSETS_MM), len(CLASSES), WIDTHS)


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from scratch, to the last step; returns the checkpoint."""
    fabric = Fabric(accelerator=settings.accelerator, devices=settings.devices, precision="bf16-mixed")
    fabric.launch()
    run = Path(settings.run)
    run.mkdir(parents=True, exist_ok=True)

    network = build_network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, settings.learning_rate, total_steps=settings.steps, pct_start=0.15, final_div_factor=1000
    )
    network, optimizer = fabric.setup(network, optimizer)
    average = AveragedModel(network.module, multi_avg_fn=warm_average(settings.ema_decay), use_buffers=True)
    state = {
        "network": network,
        "average": average,
        "optimizer": optimizer,
        "schedule": schedule,
        "step": 0,
        "settings": asdict(settings),
        "commit": _commit(),
    }
    checkpoint = run / "last.ckpt"
    if checkpoint.exists():
        fabric.load(checkpoint, state)
        fabric.print(f"resumed at step {state['step']}")

    # A resumed run draws new samples instead of repeating those from its start.
    seed = settings.seed + 1000 * fabric.global_rank + state["step"]
    fabric.seed_everything(seed, verbose=False)
    sampler = SliceSampler(
        load_scans(Path(settings.prepared), "train", fabric.device),
        settings.sampled_size,
        {
            "real": 1 - settings.phantom_share - settings.tilted_share,
            "tilted": settings.tilted_share,
            "phantom": settings.phantom_share,
        },
        settings.liver_share,
        seed,
    )
    validation = load_scans(Path(settings.prepared), "validation", fabric.device)
    augmentations = default_augmentations(settings.size)
    criterion = LiverTumourLoss()
    log = RunLog(run / "log.csv", enabled=fabric.is_global_zero)

    bar = tqdm(range(state["step"], settings.steps), initial=state["step"], total=settings.steps, file=sys.stderr)
    for step in bar:
        network.train()
        batch = augment(sampler.batch(settings.batch), augmentations)
        images = window(batch.hu, WINDOW_HU).contiguous(memory_format=torch.channels_last)
        loss = criterion(network(images), batch.labels, batch.tumour_labelled)
        optimizer.zero_grad()
        fabric.backward(loss)
        fabric.clip_gradients(network, optimizer, max_norm=5.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(network.module)
        state["step"] = step + 1
        log.loss(loss.detach())
        if state["step"] % settings.validate_every == 0 or state["step"] == settings.steps:
            scores = validate(average.module, validation)
            log.write(state["step"], schedule.get_last_lr()[0], scores)
            bar.set_postfix(scores)
        if state["step"] % settings.save_every == 0 or state["step"] == settings.steps:
            fabric.save(checkpoint.with_suffix(".partial"), state)
            if fabric.is_global_zero:
                checkpoint.with_suffix(".partial").replace(checkpoint)
            fabric.barrier()
    return checkpoint


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


@torch.no_grad()
def validate(network: torch.nn.Module, scans: list[PreparedScan], every: int = 3) -> dict[str, float]:
    """Volume Dice of liver, per scan and mean, and of tumour, over every third slice of each validation scan."""
    network.eval()
    scores = {}
    tumour = torch.zeros(2)
    for scan in scans:
        overlap = total = 0.0
        positions = torch.arange(0, len(scan.hu), every, device=scan.hu.device)
        for chunk in positions.split(8):
            images = neighbour_stacks(scan.hu.float(), chunk, scan.slice_spacing, OFFSETS_MM)
            images = pad_to_multiple(window(images, WINDOW_HU), -1.0)
            with torch.autocast(images.device.type, dtype=torch.bfloat16):
                logits = network(images.contiguous(memory_format=torch.channels_last)).float()
            truth = scan.labels[chunk]
            found = logits[..., : truth.shape[1], : truth.shape[2]].argmax(1)
            overlap += float(((found > 0) & (truth > 0)).sum())
            total += float((found > 0).sum() + (truth > 0).sum())
            tumour[0] += float(((found == 2) & (truth == 2)).sum())
            tumour[1] += float((found == 2).sum() + (truth == 2).sum())
        scores[scan.name] = round(2 * overlap / total, 4)
    scores["liver_dice"] = round(sum(scores.values()) / len(scans), 4)
    scores["tumour_dice"] = round(float(2 * tumour[0] / tumour[1].clamp(min=1)), 4)
    return scores


class RunLog:
    """One CSV row each time the network is validated: step, seconds, mean training loss since the last row, Dice."""

    def __init__(self, path: Path, enabled: bool) -> None:
        self.path = path
        self.enabled = enabled
        self.started = time.time()
        self.losses: list[torch.Tensor] = []

    def loss(self, value: torch.Tensor) -> None:
        """Note the loss of one step."""
        self.losses.append(value)

    def write(self, step: int, learning_rate: float, scores: dict[str, float]) -> None:
        """Append a row; the header is written once."""
        row = {
            "step": step,
            "seconds": round(time.time() - self.started),
            "loss": round(float(torch.stack(self.losses).mean()), 5),
            "learning_rate": f"{learning_rate:.2e}",
            **scores,
        }
        self.losses.clear()
        if not self.enabled:
            return
        fresh = not self.path.exists()
        with self.path.open("a", newline="") as file:
            writer = csv.DictWriter(file, row)
            if fresh:
                writer.writeheader()
            writer.writerow(row)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        described = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False)
    except FileNotFoundError:  # a cluster's node may have no git
        return "unknown"
    return described.stdout.strip() or "unknown"


def main(argv: list[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, value in asdict(Settings()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(value), default=value)
    fit(Settings(**vars(parser.parse_args(argv))))


if __name__ == "__main__":
    main()
