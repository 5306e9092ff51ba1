"""What a run of ``Training.couinaud.fit`` depends on, each an option of its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import DoublingWidths, settings_from

# In every scan at hand values within it are right.
WINDOW_HU = (-40.0, 160.0)
# Voxels (k, j, i) of the grid round the liver, which is wider than high or deep, and how small they may be.
SHAPE = (40, 40, 48)
FINEST_MM = 4.0


@dataclass
class Settings(DoublingWidths):
    """Everything that a run depends on besides the data and the code.

    Parameters
    ----------
    prepared, run
        Folders of the prepared scans and of this run's checkpoint and log.
    held_out
        One fold, as ``fold0of4``, or none.
    base_width, depth, patch
        Channels of the first level, doubled at each next one; number of levels; side of the cubes of voxels that the
        first level takes as one.
    steps, warm_up, batch
        Batches to train on, those until the rate is reached, livers in each. Few: with 700 steps the network knows its
        patients by heart, and others less well than after 150.
    rotation_degrees, stretch, shift_mm, elastic_mm
        Largest turn about each axis, change of size along each, move of the grid, and spread of the bends.
    cut_probability, resection_probability, rough_probability
        Livers cut off by an end of the scan; without some of their segments; whose outline is found badly.
    """

    prepared: str = "prepared/couinaud"
    run: str = "runs/couinaud/all"
    held_out: str = ""
    base_width: int = 32
    depth: int = 3
    patch: int = 2
    steps: int = 150
    warm_up: int = 100
    batch: int = 2
    learning_rate: float = 3e-3
    rotation_degrees: float = 15.0
    stretch: float = 0.12
    shift_mm: float = 8.0
    elastic_mm: float = 5.0
    cut_probability: float = 0.15
    resection_probability: float = 0.1
    rough_probability: float = 0.4
    weight_decay: float = 0.01
    save_every: int = 50
    seed: int = 0


@dataclass
class SliceSettings(DoublingWidths):
    """Everything that a run of ``Training.couinaud.fit_slices`` depends on besides the data and the code.

    Parameters
    ----------
    single_share
        Share of samples that are single slices of patients of whom there is no whole scan.
    prepared, run, held_out, base_width, depth, patch, steps, warm_up, batch, seed
        As of :class:`Settings`; squares of pixels in place of cubes, slices in place of livers.
    rotation_degrees, stretch, elastic_mm, resection_probability, rough_probability
        As of :class:`Settings`, within the slice.
    """

    prepared: str = "prepared/couinaud"
    run: str = "runs/couinaud/all/slices"
    held_out: str = ""
    base_width: int = 32
    depth: int = 4
    patch: int = 2
    steps: int = 600
    warm_up: int = 60
    batch: int = 8
    learning_rate: float = 3e-3
    single_share: float = 0.6
    rotation_degrees: float = 20.0
    stretch: float = 0.15
    elastic_mm: float = 5.0
    resection_probability: float = 0.1
    rough_probability: float = 0.4
    label_smoothing: float = 0.05
    weight_decay: float = 0.01
    save_every: int = 50
    seed: int = 0


def parse_settings(argv: Sequence[str] | None, defaults: Settings | None = None) -> Settings:
    """Settings from a command line; what it does not name is as in ``defaults``."""
    return settings_from(argv, defaults or Settings(), "Training.couinaud.fit", __doc__)


def parse_slice_settings(argv: Sequence[str] | None, defaults: SliceSettings | None = None) -> SliceSettings:
    """The same for ``Training.couinaud.fit_slices``."""
    return settings_from(argv, defaults or SliceSettings(), "Training.couinaud.fit_slices", __doc__)
