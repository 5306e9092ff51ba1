"""Train the network: ``python -m Training.fit``. Stops and resumes at any step; logs to CSV.

Two CPU cores do; a GPU is used when there is one, several, also of several nodes, through Lightning Fabric's launcher,
torchrun or SLURM. However many there are, they share each batch, and the first alone writes.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess  # nosec B404 # see where it is used
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

from LiverSegLib.grid import SIZE_MULTIPLE, neighbour_stacks, pad_to_multiple, window
from LiverSegLib.network import BLOCKS, UNet

from .augment import Augmentation, augment, default_augmentations, project_e_augmentations
from .loss import LOSSES, TUMOUR_WEIGHT, make_loss
from .protocols import get_split
from .sample import PreparedScan, SliceSampler, draw_ahead, load_scans
from .spec import BASE_WIDTH, CLASSES, DEPTH, MAX_WIDTH, OFFSETS_MM, PATCH, SPACING_MM, WINDOW_HU

# What may change when a run is resumed. All else makes another experiment: its record would be a lie.
FREE_IN_A_RUN = (
    "prepared",
    "run",
    "validate_every",
    "save_every",
    "devices",
    "num_nodes",
    "accelerator",
    "scans_in",
)
# Apart by more than a run has steps: a resumed run draws from its seed and its step on.
SEEDS_OF_A_PROCESS = 1_000_000

AUGMENTATIONS: dict[str, Callable[[Settings], list[Augmentation]]] = {
    "default": lambda settings: default_augmentations(
        settings.size, settings.augmentation_strength, settings.random_window, settings.streak_probability
    ),
    "project_e": lambda settings: project_e_augmentations(settings.size, settings.augmentation_strength),
}


@dataclass
class Settings:
    """Everything that a run depends on besides the data and the code; the defaults made the bundled network.

    Parameters
    ----------
    prepared, run
        Folders of the prepared scans and of this run's checkpoint and log.
    start_from
        Checkpoint of another run, whose averaged weights this one begins with; none: random ones.
    split
        Who trains and who validates: a name of :mod:`Training.protocols`.
    spacing_mm, offsets_mm
        Size of a pixel, as prepared; where the neighbouring slices lie, towards superior.
    base_width, max_width, depth, block, patch
        Channels of the first level, doubled at each next one up to a largest; number of levels; "plain" or "residual";
        side of the squares of pixels that the first level takes as one.
    steps, batch, size, sampled_size
        Batches to train on, slices in each, over all processes together, side of their squares in pixels, and the side
        before they are warped.
    loss, tumour_weight
        A name of :mod:`Training.loss`; what its tumour term counts beside the liver's (0: liver alone).
    liver_share, end_share, tumour_share
        Samples from slices with liver; samples from the ends of the liver and from slices with labelled tumour, where
        a scan has them (``liver_share`` is then of the others).
    phantom_share, tilted_share
        Samples from phantoms and from tilted copies of scans.
    augmentation, augmentation_strength, random_window, streak_probability
        "default" or "project_e"; a factor of all of it (0: none); whether "default" clips to random windows; how
        many of its samples have streaks as from metal.
    ema_decay
        Of the moving average of weights that is validated and exported.
    devices, num_nodes, accelerator
        Processes on each node, each with a GPU of its own or on the CPU; nodes; "auto", "cuda" or "cpu". torchrun and
        ``fabric run`` know the first two themselves.
    scans_in
        "stream": slices are read from the prepared files as they are drawn; "device": all scans are held there.

    Raises
    ------
    ValueError
        If they do not fit together.
    """

    prepared: str = "prepared"
    run: str = "runs/bundled"
    start_from: str = ""
    split: str = "bundled"
    spacing_mm: float = SPACING_MM
    offsets_mm: tuple[float, ...] = OFFSETS_MM
    base_width: int = BASE_WIDTH
    max_width: int = MAX_WIDTH
    depth: int = DEPTH
    block: str = "plain"
    patch: int = PATCH
    steps: int = 9000
    batch: int = 12
    size: int = 224
    sampled_size: int = 288
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.999
    loss: str = "dice_cross_entropy"
    tumour_weight: float = TUMOUR_WEIGHT
    liver_share: float = 0.8
    end_share: float = 0.15
    tumour_share: float = 0.1
    phantom_share: float = 0.05
    tilted_share: float = 0.25
    augmentation: str = "default"
    augmentation_strength: float = 1.0
    random_window: bool = True
    streak_probability: float = 0.1
    validate_every: int = 500
    save_every: int = 250
    seed: int = 0
    devices: int = 1
    num_nodes: int = 1
    accelerator: str = "auto"
    scans_in: str = "stream"

    def __post_init__(self) -> None:
        self.offsets_mm = tuple(float(offset) for offset in self.offsets_mm)
        get_split(self.split)
        for name, choices in (
            ("block", BLOCKS),
            ("loss", LOSSES),
            ("augmentation", AUGMENTATIONS),
            ("scans_in", ("stream", "device")),
        ):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}, not {getattr(self, name)!r}.")
        coarsest = self.patch * 2 ** (self.depth - 1)
        if self.depth < 2 or self.patch < 1 or SIZE_MULTIPLE % coarsest:
            raise ValueError(
                f"depth is at least 2, and patch * 2**(depth - 1) divides {SIZE_MULTIPLE}, to whose multiples images "
                f"are padded; depth {self.depth} and patch {self.patch} do not fit."
            )
        if self.size % coarsest or self.size > self.sampled_size:
            raise ValueError(f"size is a multiple of {coarsest} and at most sampled_size.")
        if 0.0 not in self.offsets_mm:
            raise ValueError("offsets_mm holds 0, the slice itself.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level, from full resolution to the bottom."""
        return tuple(min(self.base_width * 2**level, self.max_width) for level in range(self.depth))

    @classmethod
    def from_checkpoint(cls, saved: dict[str, Any]) -> Settings:
        """Those that a checkpoint holds; what an older program did not know yet takes its default."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in saved.items() if name in known})


def build_network(settings: Settings) -> UNet:
    """A fresh network for these settings."""
    return UNet(len(settings.offsets_mm), len(CLASSES), settings.widths, settings.block, settings.patch)


def first_network(settings: Settings) -> UNet:
    """The network that a run begins with: a fresh one, or what another run has learnt.

    Raises
    ------
    ValueError
        If that run is not there, or does not go with this one.
    """
    network = build_network(settings)
    if settings.start_from:
        path = Path(settings.start_from)
        if not path.is_file():
            raise ValueError(f"There is no checkpoint {path}: train that run first, or leave --start-from out.")
        network.load_state_dict(weights_for(settings, path))
    return network


def weights_for(settings: Settings, path: Path) -> dict[str, Tensor]:
    """The averaged weights in the checkpoint of another run, for a network with these settings.

    Raises
    ------
    ValueError
        If that network is built otherwise, or has seen a scan that these settings hold back.
    """
    state = torch.load(path, map_location="cpu", weights_only=True)
    other = Settings.from_checkpoint(state["settings"])
    for name in ("offsets_mm", "base_width", "max_width", "depth", "block", "patch"):
        wanted, found = getattr(settings, name), getattr(other, name)
        if wanted != found:
            raise ValueError(f"The run of {path} has {name} {found}, not {wanted}: give that, or another run.")
    split = get_split(settings.split)
    seen = sorted({*split.validation, *split.test}.intersection(get_split(other.split).training))
    if seen:
        raise ValueError(f"The run of {path} has trained on {', '.join(seen)}, which this one holds back.")
    return averaged_weights(state)


def averaged_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The moving average of the weights, as the network names them; it is what is validated and exported."""
    prefix = "module."
    return {key.removeprefix(prefix): value for key, value in checkpoint["average"].items() if key.startswith(prefix)}


def check_resumable(saved: Settings, wanted: Settings) -> dict[str, tuple[Any, Any]]:
    """Settings that differ, as (saved, wanted), where a run may go on with other ones.

    Raises
    ------
    ValueError
        If it would become another experiment.
    """
    changed = {
        field.name: (getattr(saved, field.name), getattr(wanted, field.name))
        for field in fields(Settings)
        if getattr(saved, field.name) != getattr(wanted, field.name)
    }
    for name, (before, now) in changed.items():
        if name not in FREE_IN_A_RUN:
            raise ValueError(f"the run in {wanted.run} has {name} {before}, not {now}: give that, or another --run")
    return changed


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

    fabric.seed_everything(settings.seed, verbose=False)
    checkpoint = run / "last.ckpt"
    # One process looks for all: on a shared disk, others may see the file later, and would start from scratch.
    resumes = fabric.broadcast(checkpoint.exists())
    network = build_network(settings) if resumes else first_network(settings)
    network = network.to(memory_format=torch.channels_last)
    if fabric.world_size > 1 and fabric.device.type == "cuda":  # there is none for the CPU
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)
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
    if resumes:
        # Before the weights, which another network would refuse in a language of its own.
        saved = torch.load(checkpoint, map_location="cpu", weights_only=True)["settings"]
        changed = check_resumable(Settings.from_checkpoint(saved), settings)
        fabric.load(checkpoint, state)
        state["settings"] = asdict(settings)
        state["commit"] = _commits(state["commit"], state["step"])
        fabric.print(f"resumed at step {state['step']}", *(f"{name}: {a} -> {b}" for name, (a, b) in changed.items()))

    # A resumed run draws new samples instead of repeating those from its start.
    seed = settings.seed + SEEDS_OF_A_PROCESS * fabric.global_rank + state["step"]
    fabric.seed_everything(seed, verbose=False)
    sampler = SliceSampler(
        _load_part(settings, "train", fabric.device),
        settings.sampled_size,
        {
            "real": 1 - settings.phantom_share - settings.tilted_share,
            "tilted": settings.tilted_share,
            "phantom": settings.phantom_share,
        },
        settings.liver_share,
        seed,
        settings.offsets_mm,
        settings.end_share,
        settings.tumour_share,
    )
    validation = _load_part(settings, "validation", fabric.device) if get_split(settings.split).validation else []
    fabric.print(f"{len(sampler.scans)} scans train, {len(validation)} validate")
    augmentations = AUGMENTATIONS[settings.augmentation](settings)
    criterion = make_loss(settings.loss, settings.tumour_weight)
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
        network.train()
        batch = augment(next(batches).to(fabric.device), augmentations)
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
            scores = validate(fabric, average.module, validation, settings.offsets_mm) if validation else {}
            log.write(state["step"], schedule.get_last_lr()[0], scores)
            bar.set_postfix(scores)
        if state["step"] % settings.save_every == 0 or state["step"] == settings.steps:
            share_statistics(fabric, average.module)
            fabric.save(checkpoint.with_suffix(".partial"), state)
            if fabric.is_global_zero:
                checkpoint.with_suffix(".partial").replace(checkpoint)
            fabric.barrier()
    return checkpoint


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


@torch.no_grad()
def share_statistics(fabric: Fabric, network: torch.nn.Module) -> None:
    """Make batch normalisation's statistics the mean of all processes', where each has counted its own samples."""
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.copy_(fabric.all_reduce(buffer))


@torch.no_grad()
def validate(
    fabric: Fabric,
    network: torch.nn.Module,
    scans: list[PreparedScan],
    offsets_mm: Sequence[float] = OFFSETS_MM,
    every: int = 3,
) -> dict[str, float]:
    """Volume Dice of liver, per scan and mean, and of tumour, over every third slice of each validation scan.

    The processes share the scans out, and all know all scores in the end.
    """
    network.eval()
    share_statistics(fabric, network)
    counts = torch.zeros(len(scans), 4, dtype=torch.long, device=fabric.device)
    for number in range(fabric.global_rank, len(scans), fabric.world_size):
        counts[number] = _count_voxels(network, scans[number], offsets_mm, every, fabric.device)
    counts = fabric.all_reduce(counts, reduce_op="sum").tolist()
    scores = {
        scan.name: round(2 * overlap / total, 4) for scan, (overlap, total, _, _) in zip(scans, counts, strict=True)
    }
    scores["liver_dice"] = round(sum(scores.values()) / len(scans), 4)
    overlap, total = (sum(row[column] for row in counts) for column in (2, 3))
    scores["tumour_dice"] = round(2 * overlap / max(total, 1), 4)
    return scores


def _count_voxels(
    network: torch.nn.Module, scan: PreparedScan, offsets_mm: Sequence[float], every: int, device: torch.device
) -> Tensor:
    """Voxels of liver in both and in either, those in both counted twice; likewise of tumour."""
    counts = torch.zeros(4, dtype=torch.long, device=device)
    hu, labels = scan.hu[:].to(device).float(), scan.labels[:].to(device)
    for chunk in torch.arange(0, len(hu), every, device=device).split(8):
        images = neighbour_stacks(hu, chunk, scan.slice_spacing, offsets_mm)
        images = pad_to_multiple(window(images, WINDOW_HU), -1.0)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last)).float()
        truth = labels[chunk]
        found = logits[..., : truth.shape[1], : truth.shape[2]].argmax(1)
        pairs = ((found > 0, truth > 0), (found == 2, truth == 2))
        counts += torch.stack([count for a, b in pairs for count in ((a & b).sum(), a.sum() + b.sum())])
    return counts


class RunLog:
    """One CSV row each time the network is validated: step, seconds, mean training loss since the last row, Dice.

    The loss is the mean of all processes, which must all call; the first writes.
    """

    def __init__(self, path: Path, fabric: Fabric) -> None:
        self.path = path
        self.fabric = fabric
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
            "loss": round(float(self.fabric.all_reduce(torch.stack(self.losses).mean())), 5),
            "learning_rate": f"{learning_rate:.2e}",
            **scores,
        }
        self.losses.clear()
        if not self.fabric.is_global_zero:
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
        described = subprocess.run(  # nosec B603 # the words of the command are above
            command, capture_output=True, text=True, cwd=Path(__file__).parent, check=False
        )
    except FileNotFoundError:  # a cluster's node may have no git
        return "unknown"
    return described.stdout.strip() or "unknown"


def _commits(saved: str, step: int) -> str:
    """The commits that a resumed run was made with."""
    now = _commit()
    last = saved.rpartition(", ")[2].partition(" from step")[0]
    return saved if now == last else f"{saved}, {now} from step {step}"


def option_parser(defaults: Settings) -> argparse.ArgumentParser:
    """A parser with an option for every setting."""
    parser = argparse.ArgumentParser(prog="python -m Training.fit", description=__doc__)
    for name, value in asdict(defaults).items():
        how: dict[str, Any] = {"type": type(value)}
        if isinstance(value, bool):
            how = {"action": argparse.BooleanOptionalAction}
        elif isinstance(value, tuple):
            how = {"type": float, "nargs": "+"}
        parser.add_argument(f"--{name.replace('_', '-')}", default=value, **how)
    return parser


def parse_settings(argv: list[str] | None, defaults: Settings | None = None) -> Settings:
    """Settings from a command line; what it does not name is as in ``defaults``. Bad ones end the program with 2."""
    parser = option_parser(defaults or Settings())
    options = vars(parser.parse_args(argv))
    try:
        return Settings(**options)
    except ValueError as error:
        parser.error(str(error))


def command_of(settings: Settings) -> str:
    """The command line that repeats these settings: the options that differ from the defaults."""
    words = ["python -m Training.fit"]
    for name, default in asdict(Settings()).items():
        value = getattr(settings, name)
        option = name.replace("_", "-")
        if value == default:
            continue
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        elif isinstance(value, tuple):
            words.append(f"--{option} {' '.join(f'{number:g}' for number in value)}")
        else:
            words.append(f"--{option} {value}")
    return " ".join(words)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
