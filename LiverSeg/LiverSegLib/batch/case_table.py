"""A table of cases, for those who know their scans better than names of files tell."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from .. import messages
from ..dicom import Series, SeveralSeries, find_series, one_series
from ..errors import InputError
from ..io.paths import as_on_disk
from .cases import Case, CaseSearch, series_cases
from .names import case_names, series_name


@dataclass(frozen=True)
class _Row:
    ct: str
    reference: str
    name: str
    series_uid: str


WANTED = ("ct", "reference", "name", "series_uid")
TABLE_SUFFIXES = (".csv", ".tsv")
SEPARATORS = (",", ";", "\t")
# What Excel takes as its own.
_SEPARATOR_LINE = re.compile(r'\s*"?sep=(.)"?[^\S\r\n]*(?:\r\n?|\n)', re.IGNORECASE)
_NO_ROW = _Row("", "", "", "")
# Its number in the file, and its cells.
_Line = tuple[int, list[str]]


def read_case_table(path: Path) -> CaseSearch:
    """Read a table with the columns ct and, if wanted, reference, name and series_uid; paths are relative to the file.

    ``ct`` is an image file or a DICOM folder; ``series_uid`` chooses one of several series in it. Columns of other
    names are left alone, and told. Commas, semicolons or tabs separate the cells, or what a first line ``sep=`` says;
    the text is in UTF-8 or UTF-16.

    Raises
    ------
    InputError
        If the file is no such table, a row names no CT, or two rows have the same name. A row whose files cannot be
        used becomes a case with a problem.
    """
    columns, lines = _columns_and_lines(path)
    rows = [row for line in lines if (row := _row(line, columns, path)) != _NO_ROW]
    _check_names(rows, path)
    cases = [_case(row, path) for row in rows]
    names = case_names([case.name for case in cases])
    # A DICOM series goes by its name also where it came from: its folder may be named after a patient.
    named = (
        replace(case, name=name, source=name if os.path.isdir(case.ct) else case.source)
        for case, name in zip(cases, names, strict=True)
    )
    others = [name for name in columns if name and name not in WANTED]
    told = [messages.CASE_TABLE_OTHER_COLUMNS.format(columns=", ".join(others))] if others else []
    return CaseSearch(tuple(named), tuple(told))


def _columns_and_lines(path: Path) -> tuple[list[str], list[_Line]]:
    """The headings, in lower case, and the lines below."""
    try:
        lines = _lines(_decoded(path.read_bytes()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(messages.CASE_TABLE_UNREADABLE.format(path=path, reason=error)) from error
    columns = [cell.lower() for cell in lines[0][1]] if lines else []
    for name in WANTED:
        if columns.count(name) > 1:
            raise InputError(messages.CASE_TABLE_COLUMN_TWICE.format(path=path, column=name))
    if "ct" not in columns:
        raise InputError(messages.CASE_TABLE_WITHOUT_CT.format(path=path, columns=", ".join(columns) or messages.NONE))
    return columns, lines[1:]


def _decoded(content: bytes) -> str:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16")
    # Without a mark, the empty half of the first letter tells.
    if b"\0" in content[:2]:
        return content.decode("utf-16-be" if content.startswith(b"\0") else "utf-16-le")
    return content.decode("utf-8-sig")


def _lines(text: str) -> list[_Line]:
    """The lines that are not blank, in the first dialect of which the headings make sense, else in the first."""
    if said := _SEPARATOR_LINE.match(text):
        return list(_split(text[said.end() :], said[1], len(said[0].splitlines())))
    for separator in SEPARATORS:
        with suppress(csv.Error):
            headings = next(_split(text, separator), (0, []))[1]
            if "ct" in map(str.lower, headings):
                break
    else:
        separator = SEPARATORS[0]
    return list(_split(text, separator))


def _split(text: str, separator: str, lines_before: int = 0) -> Iterator[_Line]:
    """Number and cells of each line that is not blank; csv.Error where quotes are not closed."""
    # The csv module takes a space in front of quotes, but none behind them.
    text = re.sub(rf'(?<=[^"])" +(?=[{re.escape(separator)}\r\n]|$)', '"', text)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True, strict=True)
    for cells in reader:
        stripped = [cell.strip() for cell in cells]
        if any(stripped):
            yield reader.line_num + lines_before, stripped


def _row(line: _Line, columns: list[str], path: Path) -> _Row:
    number, cells = line
    if any(cells[len(columns) :]):
        raise InputError(messages.CASE_TABLE_ROW_TOO_LONG.format(line=number, path=path))
    named = dict(zip(columns, cells, strict=False))
    row = _Row(*(named.get(name, "") for name in WANTED))
    if row != _NO_ROW and not row.ct:
        raise InputError(messages.CASE_TABLE_ROW_WITHOUT_CT.format(line=number, path=path))
    return row


def _check_names(rows: list[_Row], path: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.name and row.name.casefold() in seen:
            raise InputError(messages.CASE_TABLE_NAME_TWICE.format(path=path, name=row.name))
        seen.add(row.name.casefold())


def _case(row: _Row, path: Path) -> Case:
    ct = _place(row.ct, path)
    reference = _place(row.reference, path) if row.reference else None
    if not os.path.isdir(ct):
        relative = Path(os.path.relpath(ct, path.parent)).as_posix()
        return Case(row.name or relative, ct, reference=reference, source=relative)
    try:
        series = series_cases([_series(ct, row.series_uid)])[0]
    except InputError as error:
        name = row.name or series_name(row.series_uid or row.ct)
        return Case(name, ct, reference=reference, problem=str(error).replace(str(ct), name))
    return replace(series, name=row.name or series.name, reference=reference)


def _place(text: str, path: Path) -> Path:
    """Where a file of the table lies; what Windows wrote with backslashes is found elsewhere, too."""
    place = as_on_disk(path.parent / text)
    return place if os.path.lexists(place) else as_on_disk(path.parent / text.replace("\\", "/"))


def _series(folder: Path, uid: str) -> Series:
    if not uid:
        try:
            return one_series(folder)
        except SeveralSeries as error:  # its sentence is for whoever gave the folder, not for a table to be passed on
            raise InputError(messages.SEVERAL_SERIES_IN_ROW.format(folder=folder)) from error
    for series in find_series(folder).series:
        if series.uid == uid:
            return series
    raise InputError(messages.NO_SUCH_SERIES.format(folder=folder, uid=uid))
