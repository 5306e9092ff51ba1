"""`liverseg batch`: a folder in; segmentations, tables, a page and a log out, whatever some of the scans are like."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib.batch import CaseRecord
from LiverSegLib.batch.command import ProgressLine
from LiverSegLib.batch.run import BatchStatus
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom

ROOT = Path(__file__).parents[2]


@pytest.fixture
def scans(a_scan, tmp_path: Path) -> Path:
    """A folder with two good scans, in folders of their own, and an empty file."""
    folder = tmp_path / "scans"
    for name in ("p1", "p2"):
        (folder / name).mkdir(parents=True)
        shutil.copy(a_scan.ct, folder / name / "ct.nii.gz")
    (folder / "p3.nii.gz").write_bytes(b"")
    return folder


@pytest.fixture
def references(a_scan, tmp_path: Path) -> Path:
    folder = tmp_path / "references"
    folder.mkdir()
    shutil.copy(a_scan.liver, folder / "p1_liver.nii.gz")
    return folder


def table(output: Path) -> list[dict[str, str]]:
    with (output / "results.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_good_scans_are_done_bad_ones_named_and_the_exit_code_is_1(run, scans, references, tmp_path):
    output = tmp_path / "out"
    outcome = run("batch", scans, "-o", output, "--references", references)
    assert outcome.exit_code == 1
    assert outcome.errors == [f"liverseg: error: 1 of 3 cases failed; see {output / 'results.csv'} for the reasons."]
    assert "Cases: 3, 2 done, 1 failed, 0 skipped" in outcome.output
    assert "Failed: p3: p3.nii.gz is empty (0 bytes); copy or download it again." in outcome.output
    assert "Median Dice: " in outcome.output and "Without a reference: 1 of 2 cases" in outcome.output
    assert "research use" in outcome.output
    first, second, third = table(output)
    assert [row["status"] for row in (first, second, third)] == ["done", "done", "failed"]
    assert first["dice"] and not second["dice"] and "empty" in third["reason"]
    assert files.read_labels(output / first["segmentation"])[0].any()
    assert {"index.html", "results.csv", "results.json", "batch.log", "cases"} <= {
        path.name for path in output.iterdir()
    }


def test_when_all_are_done_the_exit_code_is_0_and_the_next_run_skips_them(run, scans, tmp_path):
    (scans / "p3.nii.gz").unlink()
    arguments = ("batch", scans, "-o", tmp_path / "out", "--format", ".seg.nrrd", "--no-pictures")
    assert run(*arguments).exit_code == 0
    outcome = run(*arguments)
    assert (outcome.exit_code, outcome.errors) == (0, [])
    assert "Cases: 2, 0 done, 0 failed, 2 skipped" in outcome.output
    assert "Cases: 2, 2 done" in run(*arguments, "--no-resume").output
    assert {row["segmentation"] for row in table(tmp_path / "out")} == {
        "cases/p1__ct/liver.seg.nrrd",
        "cases/p2__ct/liver.seg.nrrd",
    }


@pytest.mark.slow
def test_what_the_batch_finds_is_what_segment_finds(run, a_scan, scans, tmp_path):
    run("batch", scans, "-o", tmp_path / "out", "--jobs", 2, "--threads", 1)
    run("segment", a_scan.ct, "-o", tmp_path / "liver.nii.gz")
    expected, _ = files.read_labels(tmp_path / "liver.nii.gz")
    for row in table(tmp_path / "out")[:2]:
        assert np.array_equal(files.read_labels(tmp_path / "out" / row["segmentation"])[0], expected)


def test_a_table_of_cases_is_a_batch(run, a_scan, tmp_path):
    shutil.copy(a_scan.ct, tmp_path / "ct.nii.gz")
    shutil.copy(a_scan.liver, tmp_path / "truth.nii.gz")
    (tmp_path / "cases.csv").write_text("name,ct,reference\nMine,ct.nii.gz,truth.nii.gz\nGone,gone.nii.gz,\n")
    outcome = run("batch", tmp_path / "cases.csv", "-o", tmp_path / "out")
    assert outcome.exit_code == 1
    gone, mine = table(tmp_path / "out")
    assert (gone["name"], gone["status"], mine["name"], mine["status"]) == ("Gone", "failed", "Mine", "done")
    assert float(mine["dice"]) > 0.5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("missing", "-o", "out"), "missing"),
        ((".", "-o", "."), "input itself"),
        (("scans", "-o", "out", "--references", "missing"), "missing"),
        (("scans", "-o", "out", "--jobs", "0"), "jobs"),
        (("scans", "-o", "out", "--threads", "-1"), "threads"),
        (("scans", "-o", "out", "--format", ".png"), "--help"),
        (("scans", "-o", "out", "--model", "missing.pt"), "missing"),
        (("scans", "-o", "out", "--device", "quantum"), "quantum"),
        (("scans", "-o", "scans/p3.nii.gz"), "p3.nii.gz"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(run, scans, tmp_path, monkeypatch, arguments, told):
    monkeypatch.chdir(tmp_path)
    outcome = run("batch", *arguments)
    assert outcome.exit_code == 2
    assert len(outcome.errors) == 1 and told in outcome.errors[0]
    assert not list(tmp_path.glob("out/cases/*"))


# ---- DICOM -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def dicom_series(tmp_path: Path) -> Path:
    """Two series of one patient in one folder, and a picture of the screen."""
    pytest.importorskip("pydicom")
    from Testing.dicom_files import save, slices_of

    folder = tmp_path / "Doe_Jane"
    for seed in (1, 2):
        ct = make_phantom(seed, (5, 48, 48), (6.0, 8.0, 8.0)).ct
        save(slices_of(ct.hu, ct.affine, SeriesInstanceUID=f"1.2.3.{seed}"), folder, f"series{seed}")
    screen = slices_of(ct.hu[:1], ct.affine, ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"])
    save(screen, folder, "screen")
    return folder


def test_each_dicom_series_is_a_case_and_the_patient_stays_out(run, dicom_series, tmp_path):
    output = tmp_path / "out"
    outcome = run("batch", dicom_series.parent, "-o", output)
    assert outcome.exit_code == 0
    assert "Left out: " in outcome.output
    rows = table(output)
    assert len(rows) == 2 and all(row["name"].startswith("series_") for row in rows)
    for path in output.rglob("*"):
        if path.is_file():
            assert not any(secret in path.read_bytes() for secret in (b"Doe", b"Jane", b"4711", b"1950")), path
    assert run("batch", dicom_series.parent, "-o", output).output.count("2 skipped") == 1


def test_a_series_beside_unreadable_files_says_so_until_they_are_gone(run, dicom_series, tmp_path):
    output = tmp_path / "out"
    last = dicom_series / "last.dcm"
    last.write_bytes(b"")
    assert run("batch", dicom_series, "-o", output).exit_code == 1
    rows = table(output)
    assert [row["status"] for row in rows] == ["failed", "done", "done"]
    assert all("cannot be read (1)" in row["warnings"] for row in rows if row["status"] == "done")
    last.unlink()
    assert "2 done, 0 failed, 0 skipped" in run("batch", dicom_series, "-o", output).output
    assert not any("cannot be read" in row["warnings"] for row in table(output))


def test_patient_data_are_in_the_table_when_they_are_asked_for(run, dicom_series, tmp_path):
    for path in dicom_series.glob("series2*"):
        path.write_bytes(path.read_bytes()[128 + len(b"DICM") :])  # without the usual preamble
    run("batch", dicom_series, "-o", tmp_path / "out", "--patient-data")
    assert {row["patient_id"] for row in table(tmp_path / "out")} == {"4711"}


def test_a_dicom_series_gives_a_dicom_seg(run, dicom_series, tmp_path):
    highdicom = pytest.importorskip("highdicom")
    run("batch", dicom_series, "-o", tmp_path / "seg", "--format", ".dcm")
    run("batch", dicom_series, "-o", tmp_path / "nifti")
    for seg_row, nifti_row in zip(table(tmp_path / "seg"), table(tmp_path / "nifti"), strict=True):
        seg = highdicom.seg.segread(tmp_path / "seg" / seg_row["segmentation"])
        labels, _ = files.read_labels(tmp_path / "nifti" / nifti_row["segmentation"])
        assert seg.get_volume().array.astype(bool).sum() == (labels > 0).sum()


# ---- what others named -----------------------------------------------------------------------------------------------


def test_names_reach_neither_terminal_nor_files_as_commands(run, tmp_path):
    hostile = ["\x1b]0;title\x07\x1b[31mred.nii", "\x9b31m.nii", "\u202egpj.nii", "new\nline.nii"]
    (tmp_path / "in").mkdir()
    for name in hostile:
        (tmp_path / "in" / name).write_bytes(b"")
    outcome = run("batch", tmp_path / "in", "-o", tmp_path / "out", "--no-pictures")
    names = ("batch.log", "index.html", "results.csv", "results.json")
    written = [(tmp_path / "out" / name).read_text(encoding="utf-8-sig") for name in names]
    for text in (outcome.output, *outcome.errors, *written):
        assert all(character.isprintable() or character == "\n" for character in text)
    assert "\\u001b[31mred.nii" in outcome.output
    assert len(written[0].splitlines()) == len(hostile)


# ---- signals, disks --------------------------------------------------------------------------------------------------


def start(*arguments: object, **more: object) -> subprocess.Popen[str]:
    """The command in a process of its own, and in a session of its own, as a terminal would have it."""
    command = [sys.executable, "-m", "LiverSegLib.cli", "batch", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg")}, **streams, **more)


def errors_of(printed: str) -> list[str]:
    """Lines on stderr that are no progress, of which a slow computer prints one a minute."""
    return [line for line in printed.splitlines() if " cases, " not in line]


def wait_for_a_record(process: subprocess.Popen[str], output: Path) -> None:
    while process.poll() is None and not list(output.glob("cases/*/record.json")):
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()


@pytest.fixture
def many_scans(a_scan, tmp_path: Path) -> Path:
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(60):
        os.link(
            shutil.copy(a_scan.ct, tmp_path / "ct.nii.gz") if n == 0 else tmp_path / "ct.nii.gz", folder / f"{n}.nii.gz"
        )
    return folder


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_second_run_is_refused_and_ctrl_c_ends_the_first_with_130_and_leaves_whole_cases_only(
    run, many_scans, tmp_path, jobs
):
    output = tmp_path / "out"
    with start(many_scans, "-o", output, "--jobs", jobs, "--threads", 1) as process:
        wait_for_a_record(process, output)
        # Held meanwhile, or it is done before the second has begun on a busy computer.
        os.killpg(process.pid, signal.SIGSTOP)
        second = run("batch", many_scans, "-o", output)
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C reaches every process of a terminal
        os.killpg(process.pid, signal.SIGCONT)
        printed, errors = process.communicate(timeout=120)
    assert second.exit_code == 2 and f"process {process.pid} on" in second.errors[0]
    assert process.returncode == 130
    assert errors_of(errors) == [errors.splitlines()[-1]]
    assert errors.endswith("cases are finished; run it again to go on.\n")
    assert "Traceback" not in printed + errors
    assert not list(output.glob("cases/*/.*")), "temporary files are left"
    finished = [json.loads(path.read_text()) for path in output.glob("cases/*/record.json")]
    assert finished and all((output / path).is_file() for record in finished for path in record["files"].values())
    assert 1 <= len(table(output)) <= len(finished) < 60


@pytest.fixture
def on_a_small_disk(tmp_path: Path) -> Iterator[list[str]]:
    """What a command begins with, to run with a small disk at ``tmp_path/disk``; what is on it is then in ``left``."""
    disk, left = tmp_path / "disk", tmp_path / "left"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=900k tmpfs '{disk}'"
    unshare = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    if not shutil.which("unshare") or subprocess.run([*unshare, mount], capture_output=True, check=False).returncode:
        pytest.skip("needs Linux with user namespaces, for a disk that is full")
    return [*unshare, f'{mount}; "$@"; code=$?; cp -r "{disk}" "{left}"; exit $code', "sh"]


@pytest.mark.slow
def test_a_full_disk_stops_the_run_and_what_is_there_is_whole(on_a_small_disk, many_scans, tmp_path):
    command = [
        *on_a_small_disk,
        sys.executable,
        "-m",
        "LiverSegLib.cli",
        "batch",
        str(many_scans),
        "-o",
        str(tmp_path / "disk"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg")}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 2
    (error,) = errors_of(finished.stderr)
    assert "is full: the run stopped; free some space" in error
    left = tmp_path / "left"
    records = [json.loads(path.read_text()) for path in left.glob("cases/*/record.json")]
    assert 0 < len(records) < 60
    assert all(record["status"] == "done" for record in records)
    assert all((left / path).stat().st_size for record in records for path in record["files"].values())


# ---- progress --------------------------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def status(finished: int, failed: int = 0, skipped: int = 0) -> BatchStatus:
    return BatchStatus(10, finished, failed, skipped, CaseRecord("x", "x.nii", "done"))


def test_a_terminal_shows_how_far_the_run_is_and_how_long_it_takes() -> None:
    terminal = Terminal()
    with ProgressLine(terminal) as line:
        line(status(4, skipped=4))
        line(status(5, failed=1, skipped=4))
    skipped, worked, *rest = [text.strip() for text in terminal.getvalue().split("\r") if text.strip()]
    assert skipped == "40%  4 of 10 cases"
    assert worked.startswith("50%  5 of 10 cases, 1 failed, about ") and worked.endswith(" left")
    assert rest == [] and terminal.getvalue().endswith("\r")


def test_elsewhere_a_short_run_writes_no_progress() -> None:
    stream = io.StringIO()
    with ProgressLine(stream) as line:
        line(status(4))
    assert stream.getvalue() == ""
