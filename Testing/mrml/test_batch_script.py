"""Slicer's way to run a batch: the script on slicer-core gives what the command gives, and ends with its exit codes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep

import pytest

from LiverSegLib import cli, messages
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "LiverSeg" / "Scripts" / "batch.py"
STAND_IN = ROOT / "Testing" / "package" / "SlicerStandIn" / "run_on_core.py"
SLICER = [sys.executable, "-I", "-S", str(STAND_IN), "--site-packages", sysconfig.get_path("purelib")]
SLICER += ["--additional-module-paths", str(ROOT / "LiverSeg"), "--no-splash", "--no-main-window"]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two CTs of few voxels and a broken file, in the folder cts; the livers in the folder references."""
    folder = tmp_path_factory.mktemp("scans")
    for name in ("cts", "references"):
        (folder / name).mkdir()
    for seed in range(2):
        phantom = make_phantom(seed=seed, shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
        files.write_ct(folder / "cts" / f"scan_{seed}.nii.gz", phantom.ct)
        files.write_labels(folder / "references" / f"scan_{seed}.nii.gz", phantom.labels, phantom.ct.affine)
    whole = (folder / "cts" / "scan_0.nii.gz").read_bytes()
    (folder / "cts" / "truncated.nii.gz").write_bytes(whole[: len(whole) // 2])
    return folder


@contextmanager
def slicer_running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """The script with these arguments, in what stands for Slicer; it is ended with the block."""
    command = [*SLICER, "--python-script", str(SCRIPT), *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "encoding": "utf-8"}
    with subprocess.Popen(command, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def run_in_slicer(*arguments: object) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    with slicer_running(*arguments) as process:
        output, errors = process.communicate(timeout=300)
        return process.returncode, output, errors


def left_in(output: Path) -> dict[str, object]:
    """All that a run has left, without times: labels as arrays, records, the table."""
    left: dict[str, object] = {"results.csv": (output / "results.csv").read_text(encoding="utf-8")}
    for path in sorted(output.glob("cases/*/*")):
        name = path.relative_to(output).as_posix()
        if path.name.endswith(".nii.gz"):
            labels, affine = files.read_labels(path)
            left[name] = (labels.tobytes(), labels.shape, affine.tolist())
        elif path.suffix == ".json":
            left[name] = without_times(json.loads(path.read_text(encoding="utf-8")))
        else:
            left[name] = path.read_bytes()
    return left


def without_times(content: object) -> object:
    if isinstance(content, dict):
        return {key: without_times(value) for key, value in content.items() if key != "seconds"}
    return content


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_the_script_leaves_what_the_command_leaves(scans: Path, tmp_path: Path, jobs: int) -> None:
    arguments = [str(scans / "cts"), "--references", str(scans / "references"), "--threads", "1"]
    assert cli.main(["batch", *arguments, "-o", str(tmp_path / "command")]) == 1
    exit_code, output, errors = run_in_slicer(*arguments, "-o", tmp_path / "script", "--jobs", jobs)
    assert exit_code == 1, errors
    expected = left_in(tmp_path / "command")
    assert len(expected) == 2 * 4 + 1 + 1  # two scans whole, the record of the third, the table
    assert left_in(tmp_path / "script") == expected
    assert "truncated" in output and messages.RESEARCH_USE in output


def test_all_done_is_exit_code_0_and_the_progress_needs_no_terminal(scans: Path, tmp_path: Path) -> None:
    (tmp_path / "fine").mkdir()
    shutil.copy(scans / "cts" / "scan_0.nii.gz", tmp_path / "fine")
    exit_code, _, errors = run_in_slicer(tmp_path / "fine", "-o", tmp_path / "out", "--no-pictures", "--threads", 1)
    assert exit_code == 0, errors
    assert "\r" not in errors and "Traceback" not in errors


@pytest.mark.parametrize("arguments", [["{folder}/none", "-o", "{folder}/out"], ["{folder}", "--jobs", "x"]])
def test_bad_input_and_usage_are_one_line_and_exit_code_2(tmp_path: Path, arguments: list[str]) -> None:
    exit_code, output, errors = run_in_slicer(*(text.format(folder=tmp_path) for text in arguments))
    assert (exit_code, output) == (2, "")
    assert errors.count("\n") == 1 and errors.startswith("liverseg: error: ")


def test_behind_two_dashes_help_is_the_scripts(tmp_path: Path) -> None:
    exit_code, output, _ = run_in_slicer("--", "--help")
    assert exit_code == 0
    assert "--references" in output


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_ctrl_c_ends_the_run_with_130_and_leaves_whole_cases_only(scans: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for number in range(60):
        os.link(scans / "cts" / "scan_0.nii.gz", many / f"scan_{number:02}.nii.gz")
    with slicer_running(many, "-o", tmp_path / "out", "--threads", 1) as process:
        while process.poll() is None and not list(tmp_path.glob("out/cases/*/record.json")):
            sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    folders = list(tmp_path.glob("out/cases/*"))
    whole = [json.loads((folder / "record.json").read_text(encoding="utf-8")) for folder in folders]
    assert 0 < len(whole) < 60
    assert all((tmp_path / "out" / path).is_file() for record in whole for path in record["files"].values())
    assert not [path for path in tmp_path.glob("out/**/.*") if path.name != ".lock"]
