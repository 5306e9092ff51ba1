"""A table of cases, for those who know their scans better than names of files tell."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path

from .. import messages
from ..dicom import Series, SeveralSeries, find_series, one_series
from ..errors import InputError
from .cases import Case, CaseSearch, series_cases
from .names import case_names, series_name


@dataclass(frozen=True)
class _Row:
    ct: str
    reference: str
    name: str
    series_uid: str


def read_case_table(path: Path) -> CaseSearch:
    """Read a .csv with the columns ct and, if wanted, reference, name and series_uid; paths are relative to the file.

    ``ct`` is an image file or a DICOM folder; ``series_uid`` chooses one of several series in it. Columns of other
    names are left alone; semicolons may stand for commas, as some spreadsheets write them.

    Raises
    ------
    InputError
        If the file is no such table, a row names no CT, or two rows have the same name. A row whose files cannot be
        used becomes a case with a problem.
    """
    cases = [_case(row, path) for row in _rows(path)]
    names = case_names([case.name for case in cases])
    # A DICOM series goes by its name also where it came from: its folder may be named after a patient.
    return CaseSearch(
        tuple(
            replace(case, name=name, source=name if os.path.isdir(case.ct) else case.source)
            for case, name in zip(cases, names, strict=True)
        )
    )


def _rows(path: Path) -> list[_Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            reader = csv.DictReader(file, delimiter=";" if ";" in first and "," not in first else ",", strict=True)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            if "ct" not in columns:
                raise InputError(messages.CASE_TABLE_WITHOUT_CT.format(path=path))
            wanted = ("ct", "reference", "name", "series_uid")
            lines = [
                (reader.line_num, _Row(*(str(line.get(columns.get(name, ""), "") or "").strip() for name in wanted)))
                for line in reader
            ]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(messages.CASE_TABLE_UNREADABLE.format(path=path, reason=error)) from error
    lines = [(number, row) for number, row in lines if row != _Row("", "", "", "")]
    for number, row in lines:
        if not row.ct:
            raise InputError(messages.CASE_TABLE_ROW_WITHOUT_CT.format(line=number, path=path))
    rows = [row for _, row in lines]
    _check_names(rows, path)
    return rows


def _check_names(rows: list[_Row], path: Path) -> None:
    seen: set[str] = set()
    for row in rows:
        if row.name and row.name.casefold() in seen:
            raise InputError(messages.CASE_TABLE_NAME_TWICE.format(path=path, name=row.name))
        seen.add(row.name.casefold())


def _case(row: _Row, path: Path) -> Case:
    ct = path.parent / row.ct
    reference = path.parent / row.reference if row.reference else None
    if not os.path.isdir(ct):
        relative = Path(os.path.relpath(ct, path.parent)).as_posix()
        return Case(row.name or relative, ct, reference=reference, source=relative)
    try:
        series = series_cases([_series(ct, row.series_uid)])[0]
    except InputError as error:
        name = row.name or series_name(row.series_uid or row.ct)
        return Case(name, ct, reference=reference, problem=str(error).replace(str(ct), name))
    return replace(series, name=row.name or series.name, reference=reference)


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
