"""Pictures of what the network gets wrong, for the model card: ``python -m Training.evaluation.failures``.

From an evaluation under degradations, of phantoms alone, since the licences of the CT data allow no pictures of them
here: the worst result under each of the degradations that harm most. Phantoms are easier than patients; the pictures
show the kinds of failure, not how often they happen.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from .card import FAILURES, RECORD
from .evaluate import read_results, worst_slice_file
from .plot import GALLERY_COLUMNS, plot_worst_slices, title_of

PHANTOM = "phantom"


def worst_phantoms(rows: list[dict], count: int = GALLERY_COLUMNS) -> list[dict]:
    """The phantoms' results with the lowest Dice, the worst first, each degradation at most once."""
    worst: dict[str, dict] = {}
    for row in sorted((row for row in rows if row["group"] == PHANTOM), key=lambda row: row["dice"]):
        worst.setdefault(row["degradation"], row)
    return list(worst.values())[:count]


def picture_failures(results: Path, picture: Path, record: Path) -> None:
    """Draw the worst slices of :func:`worst_phantoms` and write what each has, its Dice and the expected one.

    Raises
    ------
    ValueError
        If the results hold no phantom.
    """
    rows = worst_phantoms(read_results(results))
    if not rows:
        raise ValueError(f"{results} holds no phantom; measure the bundled network with Training.evaluation.evaluate.")
    files = (worst_slice_file(row["group"], row["name"], row["degradation"]) for row in rows)
    slices = [dict(np.load(results.parent / "worst_slices" / file)) for file in files]
    plot_worst_slices(slices, picture)
    about = [
        {
            "name": row["name"],
            "degradation": title_of(row["degradation"]),
            "dice": row["dice"],
            "expected": row["quality"],
        }
        for row in rows
    ]
    record.write_text(json.dumps(about, indent=2) + "\n")


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.evaluation.failures", description=__doc__)
    parser.add_argument("--results", type=Path, default=Path("out/evaluation/results.csv"))
    parser.add_argument("--picture", type=Path, default=FAILURES)
    parser.add_argument("--record", type=Path, default=RECORD / "failures.json")
    options = parser.parse_args(argv)
    try:
        picture_failures(options.results, options.picture, options.record)
    except ValueError as error:
        parser.error(str(error))
    print(options.picture)


if __name__ == "__main__":
    main()
