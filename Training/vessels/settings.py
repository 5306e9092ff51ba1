"""What a run of ``Training.vessels.fit`` depends on, each an option of its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import DoublingWidths, settings_from

# Counted from the liver's median.
WINDOW_HU = (-100.0, 100.0)
SPACING_MM = 1.2
# Vessels are told from their course through the next slices.
OFFSETS_MM = (-4.0, -2.0, 0.0, 2.0, 4.0)


@dataclass
class Settings(DoublingWidths):
    """Everything that a run depends on besides the data and the code.

    Parameters
    ----------
    prepared, run
        Folders of the prepared scans and of this run's checkpoint and log.
    held_out
        One fold, as ``fold0of4``, or none.
    start_from
        Weights of a liver network, which the layers that fit begin with; none: random ones.
    base_width, depth, patch
        Channels of the first level, doubled at each next one; number of levels; side of the squares of pixels that the
        first level takes as one.
    steps, warm_up, batch
        Batches to train on, those until the rate is reached, slices in each.
    size, sampled_size
        Side in pixels of the squares that the network sees, and before they are warped.
    contrast_probability
        Samples in which the vessels differ less from the liver, more, or the other way round, as without contrast
        medium.
    missing_neighbours
        Samples in which the scan ends near the slice.
    """

    prepared: str = "prepared/vessels"
    run: str = "runs/vessels/all"
    held_out: str = ""
    start_from: str = "LiverSeg/Resources/Models/liver_unet.pt"
    base_width: int = 32
    depth: int = 4
    patch: int = 2
    steps: int = 900
    warm_up: int = 100
    batch: int = 8
    size: int = 160
    sampled_size: int = 208
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    contrast_probability: float = 0.4
    missing_neighbours: float = 0.05
    save_every: int = 100
    seed: int = 0


def parse_settings(argv: Sequence[str] | None, defaults: Settings | None = None) -> Settings:
    """Settings from a command line; what it does not name is as in ``defaults``."""
    return settings_from(argv, defaults or Settings(), "Training.vessels.fit", __doc__)
