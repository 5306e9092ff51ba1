"""Train the network that corrects where a reader clicked: ``python -m Training.refine.fit``. Stops and resumes.

It begins as the bundled liver network, which knows what a liver is, and learns to listen. One CPU core does.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.refine_model import STROKE_CHANNELS
from LiverSegLib.model.unet import UNet

from ..data.catalogue import NEVER_TRAINED_ON, person_of
from ..data.classes import Classes
from ..data.splits import held_out_persons
from ..data.stored import PreparedScan, is_stored
from ..loop import begin, learn, train
from ..optimizer import fast_dtype
from .episode import Episode, EpisodeMaker, loss_of
from .mistakes import MistakeMaker
from .settings import OFFSETS_MM, SPACING_MM, Settings, parse_settings

# Every other slice of a block is learnt from; what lies between is interpolated before the next click.
EVERY = 2


def fit(settings: Settings) -> Path:
    """Train from the last checkpoint in the run's folder, or from the start, to the last step; returns the checkpoint.

    Raises
    ------
    ValueError
        If the checkpoint is another experiment's.
    """
    classes = Classes.read("neighbours.json")
    scans = training_scans(settings, classes)
    torch.manual_seed(settings.seed)
    liver = LiverModel.load(settings.start_from or None)
    # Blocks of one batch are too alike for statistics of their own: batch normalisation keeps the liver network's.
    network = network_from(liver, settings.levels).to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    built = {"widths": list(liver.card.widths[: settings.levels]), "patch": liver.card.patch}
    names = [scan.name for scan in scans]
    state = begin(settings, network, rate_at, names, built=built)
    seed = settings.seed + 1000 * state["step"]
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    maker = EpisodeMaker(scans, classes, MistakeMaker(liver, classes), settings)
    episodes = [maker.draw(rng) for _ in range(settings.blocks)]

    def learn_and_click() -> Tensor:
        loss = take_step(state, episodes, rng)
        episodes[:] = [next_episode(episode, maker, settings, rng) for episode in episodes]
        return loss

    return train(state, settings, learn_and_click)


def training_scans(settings: Settings, classes: Classes) -> list[PreparedScan]:
    """The real scans, but for those of persons held back."""
    folders = [path for path in sorted(Path(settings.prepared).glob("*")) if is_stored(path)]
    scans = [PreparedScan.open(path, classes, SPACING_MM) for path in folders]
    scans = [scan for scan in scans if scan.kind == "real" and scan.name not in NEVER_TRAINED_ON]
    held_out = settings.held_out.split(",") if settings.held_out else []
    persons = held_out_persons([scan.name for scan in scans], held_out)
    return [scan for scan in scans if person_of(scan.name) not in persons]


def network_from(liver: LiverModel, levels: int) -> UNet:
    """A network that begins as the liver network's answer to the CT, and does not look at result and strokes yet.

    It has its upper levels alone: those at the bottom, which see the whole slice, are left out.
    """
    offsets, card = len(OFFSETS_MM), liver.card
    network = UNet(2 * offsets + STROKE_CHANNELS, 1, card.widths[:levels], patch=card.patch)
    weights = _upper_levels(liver.network.state_dict(), len(card.widths) - levels)
    channels = card.patch**2
    stem = torch.zeros_like(network.state_dict()["stem.0.weight"])
    stem[:, : offsets * channels] = weights["stem.0.weight"]
    weights["stem.0.weight"] = stem
    background, liver_class = (slice(value * channels, (value + 1) * channels) for value in (0, 1))
    for name in ("head.weight", "head.bias"):
        weights[name] = weights[name][liver_class] - weights[name][background]
    network.load_state_dict(weights)
    return network


def _upper_levels(weights: dict[str, Tensor], fewer: int) -> dict[str, Tensor]:
    """Copies of a U-Net's weights, as one with fewer levels names them."""
    levels = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("down."))
    kept = {}
    for name, value in weights.items():
        part, number, *rest = name.split(".")
        if part == "down" and int(number) >= levels - fewer:
            continue
        if part in ("up", "merge"):
            if int(number) < fewer:
                continue
            name = ".".join((part, str(int(number) - fewer), *rest))
        kept[name] = value.clone().float()
    return kept


def rate_at(step: int, settings: Settings) -> float:
    """Share of the learning rate at a step: up in a line, down in a quarter of a cosine's wave."""
    return min(1.0, (step + 1) / settings.warm_up) * max(0.02, float(np.cos(np.pi / 2 * step / settings.steps)))


def take_step(state: dict[str, Any], episodes: Sequence[Episode], rng: np.random.Generator) -> Tensor:
    """Learn from every other slice of each block, and give the blocks what was found; returns the loss."""
    positions = [torch.arange(int(rng.integers(EVERY)), len(one.ct), EVERY) for one in episodes]
    images = torch.cat([one.input(at) for one, at in zip(episodes, positions, strict=True)])
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=fast_dtype(images.device) == torch.bfloat16):
        logits = state["network"](images)[:, 0]
    parts = logits.split([len(at) for at in positions])
    losses = [
        loss_of(part, one.target[at], one.weight(at), one.clicks[-1][1])
        for part, one, at in zip(parts, episodes, positions, strict=True)
    ]
    loss = learn(state, torch.stack(losses).mean())
    for part, one, at in zip(parts, episodes, positions, strict=True):
        one.take(part.detach(), at)
    return loss


def next_episode(episode: Episode, maker: EpisodeMaker, settings: Settings, rng: np.random.Generator) -> Episode:
    """The same with a further click, or a new one."""
    goes_on = len(episode.clicks) < settings.rounds and rng.random() < 0.75
    return episode if goes_on and episode.click(rng) else maker.draw(rng)


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step: every setting is an option."""
    fit(parse_settings(argv))


if __name__ == "__main__":
    main()
