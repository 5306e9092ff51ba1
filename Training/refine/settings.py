"""What a run of ``Training.refine.fit`` depends on, each an option of its command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..settings import settings_from

SPACING_MM, SLICE_MM = 1.5, 3.0
OFFSETS_MM = (-6.0, -3.0, 0.0, 3.0, 6.0)
WINDOW_HU = (-160.0, 240.0)
# Side in pixels of the blocks round a click, and how far their slices lie from it.
SIDE, HALF_HEIGHT_MM = 96, 66.0
# Whom the liver network has not seen before its last stage: what both are worth on others is measured on them.
UNSEEN = "btcv_0005,btcv_0008,btcv_0025,btcv_0028,btcv_0033,btcv_0038"


@dataclass
class Settings:
    """Everything that a run depends on besides the data and the code.

    Parameters
    ----------
    prepared, run
        Folders of the prepared scans and of this run's checkpoint and log.
    start_from
        The liver network that it begins as; the bundled one if empty.
    held_out
        Names of scans, or patterns, with commas between them.
    levels
        Of the liver network, from the finest on: a block is smaller than a slice, and needs no level for the whole.
    steps, blocks, rounds
        Batches to train on, blocks in each, and clicks at most in one block before the next.
    other_target
        Share of the blocks in which another organ is to be added, or a tumour to be left out: there only the clicks
        tell what is wanted.
    stray
        Share of the first clicks on what is right already.
    """

    prepared: str = "prepared/all_1.5mm"
    run: str = "runs/refine/all"
    start_from: str = ""
    held_out: str = UNSEEN
    levels: int = 4
    steps: int = 900
    warm_up: int = 50
    blocks: int = 2
    rounds: int = 4
    learning_rate: float = 2e-3
    weight_decay: float = 0.01
    other_target: float = 0.2
    stray: float = 0.1
    save_every: int = 50
    seed: int = 0


def parse_settings(argv: Sequence[str] | None, defaults: Settings | None = None) -> Settings:
    """Settings from a command line; what it does not name is as in ``defaults``."""
    return settings_from(argv, defaults or Settings(), "Training.refine.fit", __doc__)
