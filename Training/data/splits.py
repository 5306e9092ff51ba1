"""Who trains and who is held back, by names of scans.

Scans of one person stay on one side, whatever a split asks for, and patients 19 and 20 of 3D-IRCADb-01 are on neither.
LiTS training volumes 28 to 47 are the patients of 3D-IRCADb-01; none is here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TypeVar

from .catalogue import NEVER_TRAINED_ON, data_set_of, person_of

Scan = TypeVar("Scan")

FOLD = re.compile(r"fold(\d+)of(\d+)")


def held_out_persons(names: Collection[str], held_out: Sequence[str]) -> set[str]:
    """The persons that a split holds back.

    Parameters
    ----------
    names
        All scans at hand.
    held_out
        Patterns of names, as ``btcv_*``, or one fold, as ``fold0of4``.

    Raises
    ------
    ValueError
        If a pattern names none of them, or there is no such fold.
    """
    if len(held_out) == 1 and (fold := FOLD.fullmatch(held_out[0])):
        number, count = int(fold[1]), int(fold[2])
        if number >= count:
            raise ValueError(f"There is no {held_out[0]}; the last is fold{count - 1}of{count}.")
        return set(folds(names, count)[number])
    for pattern in held_out:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"No scan is called {pattern}; there are {', '.join(sorted(names))}.")
    return {person_of(name) for name in names if any(fnmatchcase(name, pattern) for pattern in held_out)}


def folds(names: Collection[str], count: int) -> list[list[str]]:
    """The persons in parts of about as many scans; the data sets are spread evenly.

    Each person goes to the fold with the fewest scans of the same data set, of those to the smallest, of those to the
    first, whoever has most scans first: no chance is involved.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or fewer persons than folds.
    """
    scans: dict[str, list[str]] = {}
    for name in sorted(set(names).difference(NEVER_TRAINED_ON)):
        scans.setdefault(person_of(name), []).append(name)
    if not 2 <= count <= len(scans):
        raise ValueError(f"{len(scans)} persons make 2 to {len(scans)} folds, not {count}.")
    parts: list[list[str]] = [[] for _ in range(count)]

    def filling(part: list[str], data_set: str) -> tuple[int, int]:
        members = [scan for person in part for scan in scans[person]]
        return sum(data_set_of(scan)["name"] == data_set for scan in members), len(members)

    for person in sorted(scans, key=lambda person: (-len(scans[person]), person)):
        data_set = data_set_of(person)["name"]
        min(parts, key=lambda part: filling(part, data_set)).append(person)
    return parts


def training_scans(prepared: str, held_out: str, read: Callable[[Path], Scan]) -> dict[str, Scan]:
    """The scans stored as ``<name>.npz`` in a folder, by name, but for those of persons held back, if any are."""
    files = {path.stem: path for path in sorted(Path(prepared).glob("*.npz"))}
    persons = held_out_persons(files, [held_out] if held_out else [])
    return {name: read(path) for name, path in files.items() if person_of(name) not in persons}


def check_unseen(trained_on: Collection[str], scans: Collection[str], network: Path | str = "The network") -> None:
    """Raise ValueError if a network has trained on the person of a scan."""
    seen = {person_of(name) for name in trained_on}
    if known := sorted({name for name in scans if person_of(name) in seen}):
        raise ValueError(f"{network} has trained on the persons of {', '.join(known)}; measure it on others.")
