"""What a run of ``Training.fit`` depends on, each an option of its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeVar

from LiverSegLib.inference.preprocess import SIZE_MULTIPLE

from .data.classes import Classes

SPACING_MM = 1.5
WINDOW_HU = (-160.0, 240.0)

AnySettings = TypeVar("AnySettings")


@dataclass
class Settings:
    """Everything that a run depends on besides the data and the code; the defaults are the bundled network's.

    Parameters
    ----------
    prepared, run
        Folders of the prepared scans and of this run's checkpoint and log.
    start_from
        Checkpoint of another run, whose averaged weights this one begins with; none: random ones.
    classes
        File of the classes to tell apart (:mod:`Training.data.classes`).
    scans, held_out
        Patterns of the names of all scans, and of those that are held back; or one fold, as ``fold0of4``.
    spacing_mm, offsets_mm
        Size of a pixel, as prepared; where the neighbouring slices lie, towards superior.
    base_width, max_width, depth, patch
        Channels of the first level, doubled at each next one up to a largest; number of levels; side of the squares of
        pixels that the first level takes as one.
    steps, batch, size, sampled_size
        Batches to train on, slices in each, over all processes together, side of their squares in pixels, and the side
        before they are warped.
    outline_weight
        What pixels near an outline count in the loss (:mod:`Training.losses`).
    liver_share, end_share, tumour_share
        Samples from slices with liver; samples from the ends of the liver and from slices with labelled tumour, where
        a scan has them (``liver_share`` is then of the others).
    modality
        Of the scans that the network is for: "CT", or "MR", for which CT are given contrast of any kind
        (:mod:`Training.data.any_contrast`).
    phantom_share, tilted_share, fluid_share, slices_share, mr_share
        Samples from phantoms, from tilted copies of scans, from copies with fluid in chest and abdomen, from single
        slices, and from MR.
    missing_neighbours
        Samples in which the scan ends near the slice.
    unenhanced_share, density_share
        Samples without contrast medium; of the others, those whose liver is made darker or brighter, as fat, iron and
        drugs do.
    streak_probability, mass_probability
        Samples with streaks as from metal, and with a mass beside the liver.
    lesion_probability, lesion_hu, heavy_lesion_share
        Samples with lesions drawn in the liver; by how much the darkest and the brightest differ from it; how many of
        these have cysts or iodised oil through much of it instead.
    smallest_scale
        How small a body may become, as children are, of its own size 1.
    devices, num_nodes, accelerator, workers
        Processes on each node, nodes, "auto", "cuda" or "cpu" (Lightning Fabric's); processes that draw the samples
        of each ahead.

    Raises
    ------
    ValueError
        If they do not fit together.
    """

    prepared: str = "prepared"
    run: str = "runs/try"
    start_from: str = ""
    classes: str = "liver.json"
    modality: str = "CT"
    scans: tuple[str, ...] = ("*",)
    held_out: tuple[str, ...] = ("ircad_e10", "ircad_e16", "lits_023")
    spacing_mm: float = SPACING_MM
    offsets_mm: tuple[float, ...] = (-6.0, -3.0, 0.0, 3.0, 6.0)
    base_width: int = 32
    max_width: int = 256
    depth: int = 5
    patch: int = 2
    steps: int = 4500
    batch: int = 8
    size: int = 224
    sampled_size: int = 288
    learning_rate: float = 2e-3
    outline_weight: float = 1.0
    liver_share: float = 0.8
    end_share: float = 0.15
    tumour_share: float = 0.1
    phantom_share: float = 0.05
    tilted_share: float = 0.25
    fluid_share: float = 0.25
    slices_share: float = 0.0
    mr_share: float = 0.0
    missing_neighbours: float = 0.05
    unenhanced_share: float = 0.35
    density_share: float = 0.4
    streak_probability: float = 0.1
    mass_probability: float = 0.15
    lesion_probability: float = 0.5
    lesion_hu: tuple[float, ...] = (-120.0, 50.0)
    heavy_lesion_share: float = 0.0
    smallest_scale: float = 0.8
    validate_every: int = 500
    save_every: int = 250
    seed: int = 0
    devices: int = 1
    num_nodes: int = 1
    accelerator: str = "auto"
    workers: int = 0

    def __post_init__(self) -> None:
        for name in ("scans", "held_out", "offsets_mm", "lesion_hu"):
            setattr(self, name, tuple(getattr(self, name)))
        Classes.read(self.classes)
        coarsest = self.patch * 2 ** (self.depth - 1)
        if self.depth < 2 or self.patch < 1 or SIZE_MULTIPLE % coarsest:
            raise ValueError(
                f"depth is at least 2, and patch * 2**(depth - 1) divides {SIZE_MULTIPLE}, to whose multiples images "
                f"are padded; depth {self.depth} and patch {self.patch} do not fit."
            )
        if self.size % coarsest or self.size > self.sampled_size:
            raise ValueError(f"size is a multiple of {coarsest} and at most sampled_size.")
        if self.modality not in ("CT", "MR"):
            raise ValueError("modality is CT or MR.")
        if 0.0 not in self.offsets_mm:
            raise ValueError("offsets_mm holds 0, the slice itself.")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level, from full resolution to the bottom."""
        return tuple(min(self.base_width * 2**level, self.max_width) for level in range(self.depth))

    @property
    def shares(self) -> dict[str, float]:
        """Samples from each kind of prepared scan."""
        others = {
            "tilted": self.tilted_share,
            "fluid": self.fluid_share,
            "slices": self.slices_share,
            "phantom": self.phantom_share,
            "mr": self.mr_share,
        }
        return {"real": 1 - sum(others.values()), **others}

    def takes(self, name: str) -> bool:
        """Whether a scan, or a copy of one, or a phantom, is among those at hand."""
        return name.startswith("phantom") or any(fnmatchcase(name, f"{pattern}*") for pattern in self.scans)


class DoublingWidths:
    """Part of the small networks' settings: from each level to the next the channels double."""

    base_width: int
    depth: int

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels at each level, from the finest to the bottom."""
        return tuple(self.base_width * 2**level for level in range(self.depth))


def parse_settings(argv: Sequence[str] | None = None, defaults: Settings | None = None) -> Settings:
    """Settings from a command line; what it does not name is as in ``defaults``. Bad ones end the program with 2."""
    return settings_from(argv, defaults or Settings(), "Training.fit", __doc__)


def settings_from(argv: Sequence[str] | None, defaults: AnySettings, program: str, about: str | None) -> AnySettings:
    """Settings of any program from its command line, each an option; ``defaults`` is a dataclass of plain values.

    Bad ones end the program with 2.
    """
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    for name, value in asdict(defaults).items():
        how: dict[str, Any] = {"type": type(value)}
        if isinstance(value, tuple):
            how = {"type": type(value[0]) if value else str, "nargs": "*"}
        parser.add_argument(f"--{name.replace('_', '-')}", default=value, **how)
    try:
        return type(defaults)(**vars(parser.parse_args(argv)))
    except ValueError as error:
        parser.error(str(error))


def command_of(settings: Settings) -> str:
    """The command line that repeats these settings: the options that differ from the defaults."""
    words = ["python -m Training.fit"]
    for name, default in asdict(Settings()).items():
        value = getattr(settings, name)
        if value != default:
            text = " ".join(map(str, value)) if isinstance(value, tuple) else value
            words.append(f"--{name.replace('_', '-')} {text}".rstrip())
    return " ".join(words)
