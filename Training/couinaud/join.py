"""Make one network of two that were trained alone: ``python -m Training.couinaud.join``.

What it writes is measured and exported as if one run had made it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import averaged_weights, read_checkpoint


def join(volume: Path, slices: Path, output: Path) -> Path:
    """Write the checkpoint of :class:`LiverSegLib.model.couinaud_model.CouinaudNetwork`; returns its path.

    Parameters
    ----------
    volume, slices
        Checkpoints of ``Training.couinaud.fit`` and of ``Training.couinaud.fit_slices``.
    output
        The file.

    Raises
    ------
    ValueError
        If they hold back different scans, so that one has seen what the other has not.
    """
    parts = {"volume": read_checkpoint(volume), "slices": read_checkpoint(slices)}
    held_out = {state["settings"]["held_out"] for state in parts.values()}
    if len(held_out) > 1:
        raise ValueError(f"{volume} and {slices} hold back different scans.")
    joined: dict[str, Any] = {
        "average": {
            f"module.{part}.{name}": value
            for part, state in parts.items()
            for name, value in averaged_weights(state).items()
        },
        "settings": {"held_out": held_out.pop(), **{part: state["settings"] for part, state in parts.items()}},
        "code": parts["slices"]["code"],
        "trained_on": sorted({name for state in parts.values() for name in state["trained_on"]}),
    }
    torch.save(joined, output)
    return output


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.couinaud.join", description=__doc__)
    parser.add_argument("volume", type=Path, help="checkpoint of Training.couinaud.fit")
    parser.add_argument("slices", type=Path, help="that of Training.couinaud.fit_slices")
    parser.add_argument("--output", type=Path, required=True)
    join(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
