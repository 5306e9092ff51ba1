"""Tables in CSV files: a row is a dictionary of text by the name of its column."""

from __future__ import annotations

import csv
from pathlib import Path


def read_rows(path: Path) -> list[dict[str, str]]:
    """All rows, in order; OSError if there is no such file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
