"""Tables that spreadsheets open: what others named is text in them, and numbers are numbers."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from LiverSegLib.io.spreadsheet import write_table


def cells_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return [row["cell"] for row in csv.DictReader(file)]


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=1+1.nii", "'=1+1.nii"),
        ("+1+1", "'+1+1"),
        ("-2+3", "'-2+3"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "\\t=1"),
        ("a\r\n=1", "a\\r\\n=1"),
        ("a;=1", "a;'=1"),
        ("\uff1d1", "'\uff1d1"),
        ("-7", "-7"),
        ("+1.5e3", "+1.5e3"),
        ("scan-1 = +2", "scan-1 = +2"),
    ],
)
def test_a_cell_is_no_formula_and_a_number_stays_one(tmp_path: Path, text: str, cell: str) -> None:
    write_table(tmp_path / "t.csv", ["cell"], [{"cell": text, "other": "left out"}])
    assert cells_of(tmp_path / "t.csv") == [cell]


def test_numbers_and_what_is_not_known_are_written_as_they_are(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ["cell"], [{"cell": -7.5}, {"cell": None}])
    assert cells_of(tmp_path / "t.csv") == ["-7.5", ""]


def test_excel_is_told_that_it_is_utf_8(tmp_path: Path) -> None:
    write_table(tmp_path / "t.csv", ["cell"], [{"cell": "Müller"}])
    assert (tmp_path / "t.csv").read_bytes() == "\ufeffcell\r\nMüller\r\n".encode()
