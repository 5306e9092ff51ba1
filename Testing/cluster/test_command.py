"""`liverseg batch --scheduler` as a user calls it."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from LiverSegLib.batch import Case
from LiverSegLib.cli import main
from Testing.cluster.processes import PATIENCE_SECONDS, Cluster

COPIES = 12


@pytest.fixture
def a_cohort(some_cases: list[Case], tmp_path: Path) -> Path:
    """A folder of scans, of which one is empty."""
    folder = tmp_path / "cohort"
    folder.mkdir()
    for number in range(COPIES):
        shutil.copy(some_cases[0].ct, folder / f"scan{number:02}.nii.gz")
    (folder / "empty.nii.gz").touch()
    return folder


def batch(cohort: Path, output: Path, model: Path, address: str) -> list[str]:
    options = ("--model", str(model), "--device", "cpu", "--no-pictures", "--scheduler", address)
    return ["batch", str(cohort), "-o", str(output), *options]


def statuses(output: Path) -> dict[str, str]:
    return {path.parent.name: json.loads(path.read_text())["status"] for path in output.glob("cases/*/record.json")}


@pytest.mark.slow
def test_a_stopped_batch_goes_on_where_it_was(
    two_workers: Cluster, a_cohort: Path, a_model: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = batch(a_cohort, output, a_model, two_workers.address)
    with subprocess.Popen([sys.executable, "-m", "LiverSegLib.cli", *command], stderr=subprocess.PIPE) as process:
        while not statuses(output) and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        errors = process.communicate(timeout=PATIENCE_SECONDS)[1].decode()
    assert process.returncode == 130, errors
    assert "Cancelled" in errors and "Traceback" not in errors
    finished = statuses(output)
    assert 1 <= len(finished) <= COPIES

    assert main(command) == 1  # the empty one
    (skipped,) = re.findall(r"(\d+) skipped because they were whole", capsys.readouterr().out)
    assert int(skipped) >= sum(status == "done" for status in finished.values())
    assert statuses(output) == {"empty": "failed"} | {f"scan{number:02}": "done" for number in range(COPIES)}
    assert (output / "results.csv").exists() and (output / "index.html").exists()
    assert not list(output.glob(".cluster-*"))


def test_without_a_scheduler_the_command_ends_with_one_line(
    a_cohort: Path, a_model: Path, output: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(batch(a_cohort, output, a_model, "no address")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no address is no address of a Dask scheduler" in line
