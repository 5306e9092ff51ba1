"""What a run begins with: a fresh network, another run's averaged weights, or the checkpoint that it goes on from."""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.unet import UNet

from .data.classes import Classes
from .settings import Settings

# What may change when a run is resumed. All else makes another experiment: its record would be a lie.
FREE_IN_A_RUN = {
    "prepared",
    "run",
    "start_from",
    "validate_every",
    "save_every",
    "devices",
    "num_nodes",
    "accelerator",
    "workers",
}
REPOSITORY = Path(__file__).parents[1]
# A class that is new to a network begins as a kind of background, by so many log-odds rarer; a bias moves by the
# learning rate a step at most, so rarer ones take too long to appear.
NEW_CLASS = -2.0


def build_network(settings: Settings) -> UNet:
    """A fresh network for these settings."""
    classes = Classes.read(settings.classes)
    return UNet(len(settings.offsets_mm), len(classes.names), settings.widths, patch=settings.patch)


def start_from(network: UNet, settings: Settings, other: dict[str, Any]) -> None:
    """Give a network the averaged weights of another run's checkpoint.

    That may know fewer classes, the first ones of this network's.

    Raises
    ------
    ValueError
        If that network is built otherwise.
    """
    weights = averaged_weights(other)
    for name in ("head.weight", "head.bias"):
        weights[name] = _with_new_classes(weights[name], len(network.state_dict()[name]), settings.patch**2, name)
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(f"The run of {settings.start_from} has another kind of network: {error}") from error


def _with_new_classes(values: Tensor, wanted: int, channels: int, name: str) -> Tensor:
    """The head's weights or bias with the background's, the first ``channels``, for each class that lacks."""
    missing = max(0, wanted - len(values)) // channels
    new = values[:channels] + (NEW_CLASS if name == "head.bias" else 0.0)
    return torch.cat((values, *[new] * missing))


def averaged_weights(checkpoint: dict[str, Any]) -> dict[str, Tensor]:
    """The moving average of the weights, as the plain network names them; it is what is validated and exported."""
    prefix = "module."
    return {key.removeprefix(prefix): value for key, value in checkpoint["average"].items() if key.startswith(prefix)}


def read_checkpoint(path: Path | str) -> dict[str, Any]:
    """All that ``Training.fit`` saved, on the CPU; of a released network (.pt), what a run needs to start from it.

    Raises
    ------
    ValueError
        If there is none.
    """
    path = Path(path)
    if path.suffix == ".pt":
        path = REPOSITORY / path
    if not path.is_file():
        raise ValueError(f"There is no checkpoint {path}: train that run first, or leave it out.")
    if path.suffix == ".pt":
        return _released(path)
    return torch.load(path, map_location="cpu", weights_only=True)


def _released(path: Path) -> dict[str, Any]:
    """A released network as a checkpoint, with the history that the record tells which its card names."""
    model = LiverModel.load(path)
    record = json.loads((REPOSITORY / model.card.training["record"]).read_text(encoding="utf-8"))
    *earlier, last = record["runs"]
    average = {f"module.{name}": value for name, value in model.network.state_dict().items()}
    return {"average": average, "trained_on": record["trained_on"], "earlier": earlier, **last}


def check_resumable(saved: dict[str, Any], wanted: dict[str, Any], free: Collection[str] = FREE_IN_A_RUN) -> None:
    """Raise ValueError if a run would become another experiment when it goes on with these settings."""
    for name, now in wanted.items():
        before = saved.get(name)
        if name not in free and before != now:
            raise ValueError(f"The run in {wanted['run']} has {name} {before}, not {now}: give that, or another --run.")
