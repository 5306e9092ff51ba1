"""Train the network: ``python -m Training.fit``. Stops and resumes at any step; logs to CSV.

Two CPU cores do; a GPU is used when there is one, several, also of several nodes, through Lightning Fabric's launcher,
torchrun or SLURM. However many there are, they share each batch, and the first alone writes.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from LiverSegLib.grid import window

from .checkpoint import build_network, check_resumable, first_network
from .commit import commits
from .data.augment import augment
from .data.sample import Batch, PreparedScan, SliceSampler, draw_ahead, load_scans
from .data.splits import get_split
from .deep_supervision import supervise_deeply
from .losses import make_loss
from .optimizer import OPTIMIZERS
from .run_log import RunLog
from .settings import AUGMENTATIONS, Settings, parse_settings
from .spec import WINDOW_HU
from .validate import share_statistics, validate

# Apart by more than a run has steps: a resumed run draws from its seed and its step on.
SEEDS_OF_A_PROCESS = 1_000_000


def launch(settings: Settings) -> Fabric:
    """This process among those that train together; starts the others unless a launcher has."""
    fabric = Fabric(
        accelerator=settings.accelerator,
        devices=settings.devices,
        num_nodes=settings.num_nodes,
        precision="bf16-mixed",
    )
    if "LT_CLI_USED" not in os.environ:  # `fabric run` has launched it and forbids to do it again
        fabric.launch()
    return fabric


def share_of(batch: int, processes: int) -> int:
    """Slices that each process takes of a batch.

    Raises
    ------
    ValueError
        If they cannot share it evenly.
    """
    if batch % processes:
        raise ValueError(f"{processes} processes cannot share a batch of {batch}; give a --batch that they divide")
    return batch // processes


def as_launched(settings: Settings) -> Settings:
    """The settings with the numbers of processes and nodes that torchrun has started, if it has."""
    if not (torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()):
        return settings
    processes, devices = int(os.environ["WORLD_SIZE"]), int(os.environ["LOCAL_WORLD_SIZE"])
    return replace(settings, devices=devices, num_nodes=processes // devices)


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from scratch, to the last step; returns the checkpoint."""
    settings = as_launched(settings)
    fabric = launch(settings)
    share = share_of(settings.batch, fabric.world_size)
    run = Path(settings.run)
    run.mkdir(parents=True, exist_ok=True)
    checkpoint = run / "last.ckpt"

    fabric.seed_everything(settings.seed, verbose=False)
    state = begin(settings, fabric, checkpoint)

    # A resumed run draws new samples instead of repeating those from its start.
    seed = settings.seed + SEEDS_OF_A_PROCESS * fabric.global_rank + state["step"]
    fabric.seed_everything(seed, verbose=False)
    sampler = make_sampler(settings, fabric.device, seed)
    validation = _load_part(settings, "validation", fabric.device) if get_split(settings.split).validation else []
    kinds = ", ".join(f"{count} {kind}" for kind, count in Counter(scan.kind for scan in sampler.scans).items())
    fabric.print(f"{kinds} scans train, {len(validation)} validate")
    augmentations = AUGMENTATIONS[settings.augmentation](settings)
    criterion = make_loss(settings.loss, settings.tumour_weight)
    if settings.deep_supervision:
        criterion = supervise_deeply(criterion)
    log = RunLog(run / "log.csv", fabric)
    batches = draw_ahead(sampler, share)

    bar = tqdm(
        range(state["step"], settings.steps),
        initial=state["step"],
        total=settings.steps,
        file=sys.stderr,
        disable=not fabric.is_global_zero,
    )
    for step in bar:
        log.loss(take_step(fabric, state, augment(next(batches).to(fabric.device), augmentations), criterion))
        state["step"] = step + 1
        if _due(state["step"], settings.validate_every, settings.steps):
            network = state["average"].module
            scores = validate(fabric, network, validation, settings.offsets_mm) if validation else {}
            log.write(state["step"], state["schedule"].get_last_lr()[0], scores)
            bar.set_postfix(scores)
        if _due(state["step"], settings.save_every, settings.steps):
            save(fabric, state, checkpoint)
    return checkpoint


def begin(settings: Settings, fabric: Fabric, checkpoint: Path) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands there or, where there is none, at the first step.

    ``network``, ``average``, ``optimizer``, ``schedule``, ``step``, ``settings`` and ``commit``.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    # One process looks for all: on a shared disk, others may see the file later, and would start from scratch.
    resumes = fabric.broadcast(checkpoint.exists())
    network = build_network(settings) if resumes else first_network(settings)
    network = network.to(memory_format=torch.channels_last)
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # there is none for the CPU
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
    network = fabric.setup_module(network)
    optimizer = OPTIMIZERS[settings.optimizer](network.module, settings.learning_rate, settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        settings.learning_rate,
        total_steps=settings.steps,
        pct_start=0.15,
        final_div_factor=1000,
        cycle_momentum=settings.optimizer == "adamw",
    )
    optimizer = fabric.setup_optimizers(optimizer)
    state = {
        "network": network,
        "average": AveragedModel(network.module, multi_avg_fn=warm_average(settings.ema_decay), use_buffers=True),
        "optimizer": optimizer,
        "schedule": schedule,
        "step": 0,
        "settings": asdict(settings),
        "commit": commits(),
    }
    if resumes:
        _resume(settings, fabric, checkpoint, state)
    return state


def _resume(settings: Settings, fabric: Fabric, checkpoint: Path, state: dict[str, Any]) -> None:
    # Before the weights, which another network would refuse in a language of its own.
    saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["settings"]
    changed = check_resumable(Settings.from_checkpoint(saved), settings)
    fabric.load(checkpoint, state)
    state["settings"] = asdict(settings)
    state["commit"] = commits(state["commit"], state["step"])
    fabric.print(f"resumed at step {state['step']}", *(f"{name}: {a} -> {b}" for name, (a, b) in changed.items()))


def make_sampler(settings: Settings, device: torch.device, seed: int) -> SliceSampler:
    """What draws the samples of one process."""
    shares = {
        "real": 1 - settings.phantom_share - settings.tilted_share - settings.fluid_share,
        "tilted": settings.tilted_share,
        "fluid": settings.fluid_share,
        "phantom": settings.phantom_share,
    }
    return SliceSampler(
        _load_part(settings, "train", device),
        settings.sampled_size,
        shares,
        settings.liver_share,
        seed,
        settings.offsets_mm,
        settings.end_share,
        settings.tumour_share,
        settings.density_share,
        settings.unenhanced_share,
    )


def take_step(fabric: Fabric, state: dict[str, Any], batch: Batch, criterion: Callable[..., Tensor]) -> Tensor:
    """Learn from one batch; returns its loss."""
    network, optimizer = state["network"], state["optimizer"]
    network.train()
    images = window(batch.hu, WINDOW_HU).contiguous(memory_format=torch.channels_last)
    loss = criterion(network(images), batch.labels, batch.tumour_labelled)
    optimizer.zero_grad()
    fabric.backward(loss)
    fabric.clip_gradients(network, optimizer, max_norm=5.0)
    optimizer.step()
    state["schedule"].step()
    state["average"].update_parameters(network.module)
    return loss.detach()


def save(fabric: Fabric, state: dict[str, Any], checkpoint: Path) -> None:
    """Write the checkpoint beside the last one, then put it in its place."""
    share_statistics(fabric, state["average"].module)
    fabric.save(checkpoint.with_suffix(".partial"), state)
    if fabric.is_global_zero:
        checkpoint.with_suffix(".partial").replace(checkpoint)
    fabric.barrier()


def _due(step: int, every: int, last: int) -> bool:
    return step % every == 0 or step == last


def _load_part(settings: Settings, part: str, device: torch.device) -> list[PreparedScan]:
    stream = settings.scans_in == "stream"
    return load_scans(Path(settings.prepared), part, device, settings.split, settings.spacing_mm, stream)


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


def main(argv: list[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
