"""What a run begins with: a fresh network, another run's averaged weights, or the checkpoint that it goes on from."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from LiverSegLib.network import UNet

from .data.splits import get_split
from .deep_supervision import HEADS, DeeplySupervisedUNet
from .settings import Settings
from .spec import CLASSES

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


def build_network(settings: Settings) -> UNet:
    """A fresh network for these settings."""
    kind = DeeplySupervisedUNet if settings.deep_supervision else UNet
    return kind(len(settings.offsets_mm), len(CLASSES), settings.widths, settings.block, settings.patch)


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
        # Heads of deep supervision, which no other run hands on, stay fresh.
        network.load_state_dict({**network.state_dict(), **weights_for(settings, path)})
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
    """The moving average of the weights, as the plain network names them; it is what is validated and exported."""
    prefix = "module."
    named = {key.removeprefix(prefix): value for key, value in checkpoint["average"].items() if key.startswith(prefix)}
    return {name: value for name, value in named.items() if not name.startswith(HEADS)}


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
