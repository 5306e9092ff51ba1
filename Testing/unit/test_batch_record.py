"""Options, records, tables, log and lock: what a run leaves on the disk, and when it counts."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from LiverSegLib.batch.lock import LOCK_FILE, only_run
from LiverSegLib.batch.log import batch_log
from LiverSegLib.batch.options import BatchOptions
from LiverSegLib.batch.record import CaseRecord, case_folder, is_current, read_record, write_record
from LiverSegLib.batch.table import write_tables
from LiverSegLib.errors import InputError, OutputError

REPORT = {"liver_volume_ml": 1500.25, "tumour_volume_ml": None, "dice": 0.95, "warnings": ["Look, twice.", "Ü"]}


def a_record(name: str = "a", **changes: object) -> CaseRecord:
    written = {"segmentation": f"cases/{name}/liver.nii.gz"}
    record = CaseRecord(name, f"{name}.nii", "done", "", "", "input", "model", "options", REPORT, written, 1.5)
    return replace(record, **changes)


def stored(output: Path, record: CaseRecord) -> CaseRecord:
    """The record on disk, with its files."""
    case_folder(output, record.name).mkdir(parents=True, exist_ok=True)
    for path in record.files.values():
        (output / path).write_bytes(b"labels")
    write_record(output, record)
    return record


# ---- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"tumour": True},
        {"force": True},
        {"suffix": ".nrrd"},
        {"pictures": False},
        {"patient_data": True},
    ],
)
def test_what_changes_results_changes_the_digest(changes: dict[str, object]) -> None:
    assert BatchOptions(**changes).digest("model") != BatchOptions().digest("model")


@pytest.mark.parametrize("changes", [{"device": "cpu"}, {"threads": 1}, {"model": Path("elsewhere.pt")}])
def test_where_and_how_fast_it_runs_does_not_change_the_digest(changes: dict[str, object]) -> None:
    assert BatchOptions(**changes).digest("model") == BatchOptions().digest("model")


def test_options_that_cannot_be_are_told() -> None:
    with pytest.raises(OutputError, match=r"\.png"):
        BatchOptions(suffix=".png")
    with pytest.raises(InputError, match="threads is 0"):
        BatchOptions(threads=0)


# ---- records ---------------------------------------------------------------------------------------------------------


def test_a_record_comes_back_from_the_disk_as_it_was(tmp_path: Path) -> None:
    for record in (a_record(), a_record("ü", status="failed", reason="„Nein“.", report=None, files={})):
        stored(tmp_path, record)
        assert read_record(case_folder(tmp_path, record.name)) == record


A_RECORD_WITH = '{"name": "a", "input": "a.nii", "status": "done", "files": %s}'


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "3", '{"name": "a"}', "\udcff", A_RECORD_WITH % 3, "[" * 100_000]
)
def test_a_record_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "record.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert read_record(tmp_path) is None


@pytest.mark.parametrize(
    "changes", [{"input_sha256": "x"}, {"model_sha256": "x"}, {"options": "x"}, {"status": "failed"}]
)
def test_a_case_of_another_input_model_or_options_or_a_failed_one_is_not_current(
    tmp_path: Path, changes: dict[str, str]
) -> None:
    assert not is_current(stored(tmp_path, a_record(**changes)), "input", "model", "options", tmp_path)


def test_a_case_that_misses_a_file_is_not_current(tmp_path: Path) -> None:
    record = stored(tmp_path, a_record())
    (tmp_path / record.files["segmentation"]).unlink()
    assert not is_current(record, "input", "model", "options", tmp_path)
    assert not is_current(a_record(files={}), "input", "model", "options", tmp_path)
    assert not is_current(None, "input", "model", "options", tmp_path)


# ---- tables ----------------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_the_tables_hold_all_cases_sorted_by_name(tmp_path: Path) -> None:
    failed = a_record(
        "b", status="failed", reason='It is "empty", copy it; again.', kind="InputError", report=None, files={}
    )
    assert write_tables(tmp_path, [failed, a_record("a"), a_record("c")]) == []
    first, second, _ = rows(tmp_path / "results.csv")
    assert (first["name"], first["liver_volume_ml"], first["dice"]) == ("a", "1500.25", "0.95")
    assert first["warnings"] == "Look, twice. Ü"
    assert first["segmentation"] == "cases/a/liver.nii.gz"
    assert (second["name"], second["status"], second["reason"]) == ("b", "failed", failed.reason)
    assert second["dice"] == ""
    content = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert [CaseRecord.from_dict(case).name for case in content["cases"]] == ["a", "b", "c"]


def test_the_table_is_the_same_whatever_the_order_and_the_time_taken(tmp_path: Path) -> None:
    records = [a_record(name) for name in "abcdef"]
    write_tables(tmp_path, records)
    before = (tmp_path / "results.csv").read_bytes()
    shuffled = random.Random(0).sample(records, len(records))
    write_tables(tmp_path, [replace(record, seconds=9.0) for record in shuffled])
    assert (tmp_path / "results.csv").read_bytes() == before


def test_patient_columns_are_there_only_when_they_were_asked_for(tmp_path: Path) -> None:
    write_tables(tmp_path, [a_record()])
    assert "patient_id" not in rows(tmp_path / "results.csv")[0]
    write_tables(tmp_path, [a_record(patient={"patient_id": "7", "study_date": "20200101"}), a_record("b")])
    first, second = rows(tmp_path / "results.csv")
    assert (first["patient_id"], first["study_date"], second["patient_id"]) == ("7", "20200101", "")


def test_a_table_that_cannot_be_replaced_goes_beside_it_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "results.csv").mkdir()  # as little to be replaced as a file that a spreadsheet holds on Windows
    (warning,) = write_tables(tmp_path, [a_record()])
    assert "results-2.csv" in warning
    assert rows(tmp_path / "results-2.csv")[0]["name"] == "a"
    assert (tmp_path / "results.json").is_file()


# ---- log -------------------------------------------------------------------------------------------------------------


def test_the_log_has_a_line_for_each_case_and_keeps_the_old_ones(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with batch_log(tmp_path) as log:
            log.case(a_record(name))
    with batch_log(tmp_path) as log:
        log.case(a_record("a"), skipped=True)
        log.case(a_record("c", status="failed", reason="It is empty; copy it again.", report=None))
    lines = (tmp_path / "batch.log").read_text(encoding="utf-8").splitlines()
    assert ["a: done" in lines[0], "b: done" in lines[1], "a: skipped" in lines[2]] == [True] * 3
    assert "ERROR c: failed: It is empty; copy it again." in lines[3]
    assert len(lines) == 4


# ---- lock ------------------------------------------------------------------------------------------------------------

HOLD_THE_LOCK = """
import sys
from pathlib import Path
from LiverSegLib.batch.lock import only_run
with only_run(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def another_run(tmp_path: Path):
    """A process that holds the lock of the output."""
    library = Path(__file__).parents[2] / "LiverSeg"
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=library) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_two_runs_do_not_write_to_one_output(tmp_path: Path, another_run: subprocess.Popen) -> None:
    with pytest.raises(OutputError, match=f"process {another_run.pid} on"), only_run(tmp_path):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path: Path, another_run: subprocess.Popen) -> None:
    another_run.kill()
    another_run.wait()
    assert (tmp_path / LOCK_FILE).exists()
    with only_run(tmp_path):
        pass
