"""Make one network of several that were trained alone: ``python -m Training.couinaud.join``.

What it writes is measured and exported as if one run had made it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from ..checkpoint import averaged_weights, read_checkpoint


def join(volumes: Sequence[Path], slices: Path, output: Path) -> Path:
    """Write the checkpoint of :class:`LiverSegLib.model.couinaud_model.CouinaudNetwork`; returns its path.

    Parameters
    ----------
    volumes, slices
        Checkpoints of ``Training.couinaud.fit`` and of ``Training.couinaud.fit_slices``.
    output
        The file.

    Raises
    ------
    ValueError
        If they hold back other scans, so that no scan is unseen by all.
    """
    of_volumes, of_slices = [read_checkpoint(path) for path in volumes], read_checkpoint(slices)
    members = {f"volumes.{number}": state for number, state in enumerate(of_volumes)} | {"slices": of_slices}
    held_out = {state["settings"]["held_out"] for state in members.values()}
    if len(held_out) > 1:
        raise ValueError(f"The networks hold back different scans: {', '.join(sorted(held_out))}.")
    joined: dict[str, Any] = {
        "average": {
            f"module.{place}.{name}": value
            for place, state in members.items()
            for name, value in averaged_weights(state).items()
        },
        "settings": {
            "held_out": held_out.pop(),
            "volumes": [state["settings"] for state in of_volumes],
            "slices": of_slices["settings"],
        },
        "code": of_slices["code"],
        "trained_on": sorted({name for state in members.values() for name in state["trained_on"]}),
    }
    torch.save(joined, output)
    return output


def main(argv: Sequence[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.couinaud.join", description=__doc__)
    parser.add_argument("volumes", type=Path, nargs="+", help="checkpoints of Training.couinaud.fit")
    parser.add_argument("--slices", type=Path, required=True, help="that of Training.couinaud.fit_slices")
    parser.add_argument("--output", type=Path, required=True)
    join(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
