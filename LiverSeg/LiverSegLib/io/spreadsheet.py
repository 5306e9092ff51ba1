"""Tables as CSV that spreadsheets open as they are meant."""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .atomic import replacing
from .terminal import printable

# What spreadsheets take for a formula at the start of a cell, and behind a semicolon, at which some split. Numbers are
# none. Source: OWASP, CSV Injection.
_FORMULA = re.compile(r"(^|;)(?=[=+\-@\uff1d\uff0b\uff0d\uff20])")
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")


def write_table(path: str | os.PathLike[str], columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV; what a row holds besides these columns is left out.

    It is in UTF-8 with the mark by which Excel knows it. Text that begins as a formula gets an apostrophe in front, and
    tabs and line breaks are written as JSON writes them.

    Raises
    ------
    OutputError
        If the file cannot be written; an old one stays as it was.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows({key: _cell(value) for key, value in row.items()} for row in rows)


def _cell(value: Any) -> Any:
    if not isinstance(value, str) or _NUMBER.fullmatch(value):
        return value
    return _FORMULA.sub(r"\1'", printable(value))
