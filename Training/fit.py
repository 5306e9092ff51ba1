"""Train the network: ``python -m Training.fit``. Stops and resumes at any checkpoint; logs to CSV.

One CPU core does; a GPU is used where there is one, several through Lightning Fabric: they share each batch.
"""

from __future__ import annotations

import csv
import subprocess  # nosec B404 # see where it is used
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from LiverSegLib.grid import window

from .checkpoint import build_network, check_resumable, read_checkpoint, start_from
from .data.augmentation import Augmentation, augment, augmentations_of
from .data.catalogue import person_of
from .data.classes import Classes
from .data.sample import SEEDS_OF_A_PROCESS, Batch, SliceSampler, endless_batches, load_scans
from .losses import RegionLoss
from .optimizer import MuonAdamW
from .settings import WINDOW_HU, Settings, parse_settings
from .validate import validate

# Of the moving average of weights that is validated and exported.
EMA_DECAY = 0.999
WEIGHT_DECAY = 1e-2


def fit(
    settings: Settings,
    criterion: torch.nn.Module | None = None,
    augmentations: Sequence[Augmentation] | None = None,
) -> Path:
    """Train from the last checkpoint in the run's folder, or from scratch, to the last step; returns the checkpoint.

    Loss and augmentations are those of the settings unless given.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's, the scans do not fit, or the run that this one starts from has seen
        a person whom this one holds back.
    """
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision="bf16-mixed",
    )
    fabric.launch()
    run = Path(settings.run)
    run.mkdir(parents=True, exist_ok=True)
    classes = Classes.read(settings.classes)
    training, held_out = load_scans(settings, classes)
    fabric.seed_everything(settings.seed, verbose=False)
    originals = [scan.name for scan in training if scan.kind not in ("tilted", "fluid")]
    state = begin(settings, fabric, originals, [scan.name for scan in held_out])

    # A resumed run draws new samples instead of repeating those from its start.
    seed = settings.seed + SEEDS_OF_A_PROCESS * fabric.global_rank + state["step"]
    fabric.seed_everything(seed % 2**32, verbose=False)
    sampler = SliceSampler(training, classes, settings, settings.batch // fabric.world_size, seed)
    batches = endless_batches(sampler, settings.workers)
    criterion = (criterion or RegionLoss(classes, settings.outline_weight)).to(fabric.device)
    augmentations = augmentations_of(settings) if augmentations is None else augmentations
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(scan.kind for scan in training).items())
    fabric.print(f"{kinds} train, {len(held_out)} validate")

    started, losses = time.time(), []
    steps = range(state["step"], settings.steps)
    bar = tqdm(steps, initial=steps.start, total=steps.stop, file=sys.stderr, disable=not fabric.is_global_zero)
    for step in bar:
        batch = augment(next(batches).to(fabric.device), augmentations)
        losses.append(take_step(fabric, state, batch, criterion))
        state["step"] = step + 1
        if _due(state["step"], settings.validate_every, settings.steps) and fabric.is_global_zero:
            scores = validate(state["average"].module, held_out, classes, settings.offsets_mm)
            rate = state["schedule"].get_last_lr()[0]
            took = round(time.time() - started)
            row = {"step": step + 1, "seconds": took, "loss": _mean(losses), "learning_rate": f"{rate:.2e}", **scores}
            append_row(run / "log.csv", row)
            losses.clear()
            bar.set_postfix(scores)
        if _due(state["step"], settings.save_every, settings.steps):
            fabric.save(run / "partial.ckpt", state)
            if fabric.is_global_zero:
                (run / "partial.ckpt").replace(run / "last.ckpt")
            fabric.barrier()
    return run / "last.ckpt"


def begin(settings: Settings, fabric: Fabric, training: list[str], held_out: list[str]) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands there or, where there is none, at the first step."""
    network = build_network(settings)
    trained_on, earlier = sorted(training), []
    checkpoint = Path(settings.run) / "last.ckpt"
    resumes = checkpoint.exists()
    if settings.start_from and not resumes:
        other = read_checkpoint(settings.start_from)
        start_from(network, settings, other)
        trained_on = sorted({*training, *other["trained_on"]})
        earlier = [*other["earlier"], {"settings": other["settings"], "code": other["code"]}]
    seen = sorted({person_of(name) for name in trained_on}.intersection(map(person_of, held_out)))
    if seen:
        raise ValueError(f"{settings.start_from} has trained on {', '.join(seen)}, which this run holds back.")
    network = network.to(memory_format=torch.channels_last)
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # there is none for the CPU
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network = fabric.setup_module(network)
    optimizer = MuonAdamW(network.module, settings.learning_rate, WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=settings.steps,
        pct_start=0.15,
        final_div_factor=1000,
        cycle_momentum=False,
    )
    state = {
        "network": network,
        "average": AveragedModel(network.module, multi_avg_fn=warm_average(EMA_DECAY), use_buffers=True),
        "optimizer": fabric.setup_optimizers(optimizer),
        "schedule": schedule,
        "step": 0,
        "settings": asdict(settings),
        "trained_on": trained_on,
        "validated_on": held_out,
        "earlier": earlier,
        "code": code_version(),
    }
    if resumes:
        # Before the weights, which another network would refuse in a language of its own.
        check_resumable(read_checkpoint(checkpoint)["settings"], settings)
        fabric.load(checkpoint, state)
        fabric.print(f"resumed at step {state['step']}")
    return state


def take_step(fabric: Fabric, state: dict[str, Any], batch: Batch, criterion: Callable[..., Tensor]) -> Tensor:
    """Learn from one batch; returns its loss."""
    network, optimizer = state["network"], state["optimizer"]
    network.train()
    images = window(batch.hu, WINDOW_HU).contiguous(memory_format=torch.channels_last)
    loss = criterion(network(images), batch.labels, batch.labelled)
    optimizer.zero_grad()
    fabric.backward(loss)
    fabric.clip_gradients(network, optimizer, max_norm=5.0)
    optimizer.step()
    state["schedule"].step()
    state["average"].update_parameters(network.module)
    return loss.detach()


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _mean(losses: list[Tensor]) -> float:
    return round(float(torch.stack(losses).mean()), 5)


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


def append_row(table: Path, row: dict) -> None:
    """Append a row to a CSV file; a new one begins with its header."""
    fresh = not table.exists()
    with table.open("a", newline="") as file:
        writer = csv.DictWriter(file, row)
        if fresh:
            writer.writeheader()
        writer.writerow(row)


def code_version() -> str:
    """Which code trains, as git describes it."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)  # nosec B603 # words of our own
    return described.stdout.strip() or "unknown"


def main(argv: list[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
