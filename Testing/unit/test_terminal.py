"""What reaches a terminal cannot steer it; and what is told where nobody can read it any more."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from LiverSegLib.io.terminal import printable, tell

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "LiverSeg" / "LiverSegLib"


@pytest.mark.parametrize(
    "character", ["\x00", "\x07", "\x1b", "\x7f", "\x9b", "\n", "\u202e", "\ufeff", "\udcfc", "\U000e0001"]
)
def test_what_a_terminal_would_obey_is_shown_as_json_shows_it(character: str) -> None:
    shown = printable(f"a{character}b ü 肝")
    assert shown.isprintable() and shown.startswith("a\\") and shown.endswith("b ü 肝")
    assert json.loads(f'"{shown}"') == f"a{character}b ü 肝"


def test_a_terminal_that_knows_no_umlauts_gets_them_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    tell("Müller")
    assert stream.buffer.getvalue() == b"M\\xfcller\n"


def command(*arguments: object, **streams: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg")}
    words = [sys.executable, "-m", "LiverSegLib.cli", *map(str, arguments)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.run(words, text=True, env=environment, timeout=120, check=False, **streams)


@pytest.mark.parametrize(
    "arguments",
    [("--version",), ("--help",), pytest.param(("phantom", "-o", "OUT"), marks=pytest.mark.slow)],
    ids="/".join,
)
def test_standard_output_on_a_full_disk_is_told_in_a_sentence(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        finished = command(*(tmp_path if word == "OUT" else word for word in arguments), stdout=full)
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1 and "Standard output cannot be written (No space" in finished.stderr
    assert arguments[0] != "phantom" or (tmp_path / "liver.nii.gz").exists()


def test_a_reader_that_has_seen_enough_changes_nothing() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    finished = command("--help", stdout=writing)
    os.close(writing)
    assert (finished.returncode, finished.stderr) == (0, "")


def test_an_error_that_cannot_be_told_keeps_its_exit_code() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    with open("/dev/full", "wb") as full:
        assert command("segment", "missing.nii", "-o", "x.nii", stderr=full).returncode == 2


def test_nothing_else_prints() -> None:
    """But for lines that change, which hold words and numbers of ours alone."""
    for path in LIBRARY.rglob("*.py"):
        printing = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if " print(" in line]
        assert path.name == "terminal.py" or all("\\r" in line for line in printing), path
