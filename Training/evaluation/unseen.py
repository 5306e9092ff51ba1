"""Measure small networks on scans that they never saw, so that the networks of all folds measure each scan once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ..checkpoint import read_checkpoint
from ..data.catalogue import person_of, shared_data
from ..data.splits import check_unseen, held_out_persons

Model, Scan = TypeVar("Model"), TypeVar("Scan")


def measure_unseen(
    checkpoints: Sequence[Path],
    scans: Mapping[str, Scan],
    names: Sequence[str],
    model_of: Callable[[dict[str, Any]], Model],
    measure: Callable[[Model, Scan], dict[str, Any]],
) -> list[dict[str, Any]]:
    """The result of each scan that a network holds back, or of those named.

    Raises
    ------
    ValueError
        If a network has trained on the person of a scan.
    """
    rows = []
    for checkpoint in checkpoints:
        state = read_checkpoint(checkpoint)
        held_out = state["settings"]["held_out"]
        persons = held_out_persons(scans, [held_out] if held_out else [])
        wanted = names or [name for name in scans if person_of(name) in persons]
        check_unseen(state["trained_on"], wanted, checkpoint)
        model = model_of(state)
        rows += [measure(model, scans[name]) for name in wanted]
    return rows


def evaluate_from(
    argv: Sequence[str] | None, room: str, about: str | None, evaluate: Callable[..., dict[str, Any]]
) -> None:
    """Command line of the ``evaluate`` of a small network's package ``room``, as ``Training.vessels``."""
    parser = argparse.ArgumentParser(prog=f"python -m {room}.evaluate", description=about)
    parser.add_argument("checkpoints", type=Path, nargs="+")
    parser.add_argument("--data", type=Path, default=shared_data(), help="holds the folders (default: LIVERSEG_DATA)")
    parser.add_argument("--scans", nargs="*", default=(), help="in place of those that the networks hold back")
    parser.add_argument("--output", type=Path, help="JSON file for the results")
    options = parser.parse_args(argv)
    results = evaluate(options.checkpoints, options.data, options.scans)
    if options.output:
        options.output.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for row in results["scans"]:
        print(*(f"{name} {value}" for name, value in row.items()))
    print(json.dumps(results["summary"], indent=2))
