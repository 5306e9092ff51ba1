"""The tables of a run: results.csv for spreadsheets and statistics, results.json with all that is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from .. import messages
from ..errors import OutputError
from ..evaluation import anatomy_measures
from ..io.json_file import write_json
from ..io.spreadsheet import write_table
from .record import CaseRecord

CSV_FILE, JSON_FILE = "results.csv", "results.json"

CASE_COLUMNS = ("name", "input", "status", "reason", "kind")
REPORT_COLUMNS = (
    "liver_volume_ml",
    "tumour_volume_ml",
    "dice",
    "iou",
    "hd95_mm",
    "assd_mm",
    "volume_difference_percent",
    "warnings",
)
FILE_COLUMNS = ("segmentation", "picture")
PATIENT_COLUMNS = ("patient_id", "study_date")


def write_tables(output: Path, records: Iterable[CaseRecord]) -> list[str]:
    """Write results.csv and results.json of these records, sorted by name.

    The CSV holds no timings and no devices: the same inputs, options and weights give the same file, whatever order
    the cases were done in and however often the run was interrupted. The JSON holds everything.

    Returns
    -------
    Warnings: a table that could not be replaced, because a spreadsheet holds it, was written under another name.

    Raises
    ------
    OutputError
        If a table cannot be written under the other name either.
    """
    ordered = sorted(records, key=lambda record: record.name)
    return [
        warning
        for name, write in ((CSV_FILE, _write_csv), (JSON_FILE, _write_json))
        for warning in _write_somewhere(output / name, write, ordered)
    ]


def _write_somewhere(
    path: Path, write: Callable[[Path, Sequence[CaseRecord]], None], records: Sequence[CaseRecord]
) -> list[str]:
    try:
        write(path, records)
    except OutputError:
        other = path.with_name(f"{path.stem}-2{path.suffix}")
        write(other, records)
        return [messages.TABLE_IN_USE.format(path=path.name, other=other.name)]
    return []


def _write_csv(path: Path, records: Sequence[CaseRecord]) -> None:
    rows = [_row(record) for record in records]
    has_patients = any(record.patient for record in records)
    columns = (
        *CASE_COLUMNS,
        *REPORT_COLUMNS,
        *anatomy_measures.columns({}),
        *(PATIENT_COLUMNS if has_patients else ()),
        *FILE_COLUMNS,
    )
    write_table(path, columns, rows)


def _write_json(path: Path, records: Sequence[CaseRecord]) -> None:
    content = {"cases": [record.to_dict() for record in records]}
    write_json(path, content)


def _row(record: CaseRecord) -> dict[str, Any]:
    content = record.to_dict()
    row = {**{name: content[name] for name in CASE_COLUMNS}, **record.patient, **record.files}
    report = record.report or {}
    row |= {name: report.get(name) for name in REPORT_COLUMNS} | anatomy_measures.columns(report)
    row["warnings"] = " ".join(report.get("warnings", ()))
    return row
