"""What a run of ``Training.fit`` depends on, each an option of its command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

from LiverSegLib.grid import SIZE_MULTIPLE
from LiverSegLib.network import BLOCKS

from .data.augment import Augmentation, Lesions, Warp, default_augmentations, project_e_augmentations
from .data.splits import get_split
from .losses import LOSSES, TUMOUR_WEIGHT
from .optimizer import OPTIMIZERS
from .spec import BASE_WIDTH, DEPTH, MAX_WIDTH, OFFSETS_MM, PATCH, SPACING_MM

AUGMENTATIONS: dict[str, Callable[[Settings], list[Augmentation]]] = {
    "default": lambda settings: default_augmentations(
        settings.size,
        settings.augmentation_strength,
        settings.random_window,
        settings.streak_probability,
        Lesions(settings.lesion_probability, settings.lesion_hu, settings.heavy_lesion_share),
        settings.mass_probability,
        settings.smallest_scale,
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
        Who trains and who validates: a name of :mod:`Training.data.splits`.
    spacing_mm, offsets_mm
        Size of a pixel, as prepared; where the neighbouring slices lie, towards superior.
    base_width, max_width, depth, block, patch
        Channels of the first level, doubled at each next one up to a largest; number of levels; "plain" or "residual";
        side of the squares of pixels that the first level takes as one.
    steps, batch, size, sampled_size
        Batches to train on, slices in each, over all processes together, side of their squares in pixels, and the side
        before they are warped.
    optimizer
        "muon" or "adamw" (:mod:`Training.optimizer`).
    deep_supervision
        Whether the decoder's coarser levels are trained to tell liver and tumour, too.
    loss, tumour_weight
        A name of :mod:`Training.losses`; what its tumour term counts beside the liver's (0: liver alone).
    liver_share, end_share, tumour_share
        Samples from slices with liver; samples from the ends of the liver and from slices with labelled tumour, where
        a scan has them (``liver_share`` is then of the others).
    phantom_share, tilted_share, fluid_share
        Samples from phantoms, from tilted copies of scans and from copies with fluid in chest and abdomen.
    unenhanced_share, density_share
        Samples without contrast medium; of the others, those whose liver is made darker or brighter, as fat, iron and
        drugs do.
    augmentation, augmentation_strength, random_window, streak_probability
        "default" or "project_e"; a factor of all of it (0: none); whether "default" clips to random windows; how
        many of its samples have streaks as from metal.
    lesion_probability, lesion_hu
        How many of its samples have lesions drawn in the liver, and by how much the darkest and the brightest differ.
    heavy_lesion_share
        How many of these have cysts or iodised oil through much of the liver instead.
    mass_probability
        How many have a mass drawn beside the liver.
    smallest_scale
        How small a body may become, as children are, of its own size 1.
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
    optimizer: str = "muon"
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    ema_decay: float = 0.999
    deep_supervision: bool = False
    loss: str = "dice_cross_entropy"
    tumour_weight: float = TUMOUR_WEIGHT
    liver_share: float = 0.8
    end_share: float = 0.15
    tumour_share: float = 0.1
    phantom_share: float = 0.05
    tilted_share: float = 0.25
    fluid_share: float = 0.0
    unenhanced_share: float = 0.0
    density_share: float = 0.0
    augmentation: str = "default"
    augmentation_strength: float = 1.0
    random_window: bool = True
    streak_probability: float = 0.1
    lesion_probability: float = Lesions.probability
    lesion_hu: tuple[float, float] = Lesions.contrast_hu
    heavy_lesion_share: float = 0.0
    mass_probability: float = 0.0
    smallest_scale: float = Warp.scale[0]
    validate_every: int = 500
    save_every: int = 250
    seed: int = 0
    devices: int = 1
    num_nodes: int = 1
    accelerator: str = "auto"
    scans_in: str = "stream"

    def __post_init__(self) -> None:
        self.offsets_mm = tuple(float(offset) for offset in self.offsets_mm)
        darkest, brightest = self.lesion_hu
        self.lesion_hu = (float(darkest), float(brightest))
        get_split(self.split)
        for name, choices in (
            ("block", BLOCKS),
            ("optimizer", OPTIMIZERS),
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
        """Those that a checkpoint holds; what an older program did not know yet takes its default.

        All but the optimiser: before there was a choice, it was AdamW.
        """
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in {"optimizer": "adamw", **saved}.items() if name in known})


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
