"""Train the network: ``python -m Training.fit``. Stops and resumes at any checkpoint; logs to CSV.

One CPU core does; a GPU is used where there is one, several through Lightning Fabric: they share each batch.
"""

from __future__ import annotations

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

from LiverSegLib.inference.preprocess import window

from .checkpoint import build_network, check_resumable, read_checkpoint, start_from
from .data.augmentation import Augmentation, augment, augmentations_of
from .data.catalogue import person_of
from .data.classes import Classes
from .data.sample import SEEDS_OF_A_PROCESS, Batch, SliceSampler, endless_batches, load_scans
from .data.stored import PreparedScan
from .loop import RunLog, code_version, due, warm_average
from .losses import RegionLoss
from .optimizer import MuonAdamW, fast_dtype
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
    fabric = launch(settings)
    run, classes = Path(settings.run), Classes.read(settings.classes)
    run.mkdir(parents=True, exist_ok=True)
    training, held_out = load_scans(settings, classes)
    fabric.seed_everything(settings.seed, verbose=False)
    state = begin(settings, fabric, training, held_out)
    # A resumed run draws new samples instead of repeating those from its start.
    seed = settings.seed + SEEDS_OF_A_PROCESS * fabric.global_rank + state["step"]
    fabric.seed_everything(seed % 2**32, verbose=False)
    sampler = SliceSampler(training, classes, settings, settings.batch // fabric.world_size, seed)
    batches = endless_batches(sampler, settings.workers)
    criterion = (criterion or RegionLoss(classes, settings.outline_weight)).to(fabric.device)
    augmentations = augmentations_of(settings) if augmentations is None else augmentations
    fabric.print(f"train: {dict(Counter(scan.kind for scan in training))}; validate: {len(held_out)}")

    log = RunLog(run / "log.csv")
    steps = range(state["step"], settings.steps)
    for step in tqdm(steps, initial=steps.start, total=steps.stop, disable=not fabric.is_global_zero):
        batch = augment(next(batches).to(fabric.device), augmentations)
        log.losses.append(take_step(fabric, state, batch, criterion))
        state["step"] = step + 1
        if due(state["step"], settings.validate_every, settings.steps) and fabric.is_global_zero:
            scores = validate(state["average"].module, held_out, classes, settings.offsets_mm)
            log.write(state["step"], state["schedule"].get_last_lr()[0], scores)
        if due(state["step"], settings.save_every, settings.steps):
            save(fabric, state, run)
    return run / "last.ckpt"


def launch(settings: Settings) -> Fabric:
    """This process among those that train together; starts the others unless a launcher has.

    Raises
    ------
    ValueError
        If they cannot share a batch evenly.
    """
    options = {"accelerator": settings.accelerator, "devices": settings.devices, "num_nodes": settings.num_nodes}
    found = torch.accelerator.current_accelerator(check_available=True) if settings.accelerator != "cpu" else None
    device = found or torch.device("cpu")
    fabric = Fabric(**options, precision="bf16-mixed" if fast_dtype(device) == torch.bfloat16 else "32-true")
    fabric.launch()
    if settings.batch % fabric.world_size:
        raise ValueError(f"{fabric.world_size} processes cannot share a batch of {settings.batch} evenly.")
    return fabric


def begin(
    settings: Settings, fabric: Fabric, training: list[PreparedScan], held_out: list[PreparedScan]
) -> dict[str, Any]:
    """All that a checkpoint holds, as it stands there or, where there is none, at the first step."""
    checkpoint = Path(settings.run) / "last.ckpt"
    network = build_network(settings)
    about = about_run(settings, training, held_out)
    if settings.start_from and not checkpoint.exists():
        other = read_checkpoint(settings.start_from)
        start_from(network, settings, other)
        take_over(about, settings, other)
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
        **about,
    }
    if checkpoint.exists():
        # Before the weights, which another network would refuse in a language of its own.
        check_resumable(read_checkpoint(checkpoint)["settings"], about["settings"])
        fabric.load(checkpoint, state)
        fabric.print(f"resumed at step {state['step']}")
    return state


def about_run(settings: Settings, training: list[PreparedScan], held_out: list[PreparedScan]) -> dict[str, Any]:
    """What a checkpoint tells of its run."""
    return {
        "settings": asdict(settings),
        "trained_on": sorted(scan.name for scan in training if scan.kind not in ("tilted", "fluid")),
        "validated_on": [scan.name for scan in held_out],
        "earlier": [],
        "code": code_version(),
    }


def take_over(about: dict[str, Any], settings: Settings, other: dict[str, Any]) -> None:
    """Add the history of the run that this one starts from.

    Raises
    ------
    ValueError
        If it has seen a person whom this one holds back.
    """
    seen = {person_of(name) for name in other["trained_on"]}.intersection(map(person_of, about["validated_on"]))
    if seen:
        names = ", ".join(sorted(seen))
        raise ValueError(f"{settings.start_from} has trained on {names}, which this run holds back.")
    about["trained_on"] = sorted({*about["trained_on"], *other["trained_on"]})
    about["earlier"] = [*other["earlier"], {"settings": other["settings"], "code": other["code"]}]


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


def save(fabric: Fabric, state: dict[str, Any], run: Path) -> None:
    """Write the checkpoint beside the last one, then put it in its place."""
    fabric.save(run / "partial.ckpt", state)
    if fabric.is_global_zero:
        (run / "partial.ckpt").replace(run / "last.ckpt")
    fabric.barrier()


def main(argv: list[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
