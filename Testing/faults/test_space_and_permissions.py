"""Full and read-only disks: the old results survive, the message says what happened."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib.cli import main
from LiverSegLib.errors import OutputError
from LiverSegLib.io import files
from Testing.faults.processes import OLD
from Testing.faults.writers import ALL_WRITERS


def fill(folder: Path) -> None:
    """Leave no byte of a disk."""
    with (folder / "filler").open("wb", buffering=0) as file, pytest.raises(OSError):
        while True:
            file.write(bytes(512))


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_on_a_full_disk_a_write_says_so_and_leaves_the_old_file(a_small_disk: Path, kind: str) -> None:
    target = a_small_disk / kind
    target.write_bytes(OLD)
    fill(a_small_disk)
    with pytest.raises(OutputError, match="free some space"):
        ALL_WRITERS[kind](target)
    assert target.read_bytes() == OLD
    assert set(os.listdir(a_small_disk)) == {kind, "filler"}


@pytest.mark.parametrize("ending", files.WRITABLE_SUFFIXES)
def test_a_disk_that_fills_up_while_labels_are_written_takes_nothing(
    a_small_disk: Path, some_labels: np.ndarray, ending: str
) -> None:
    """The header and the first voxels fit."""
    target = a_small_disk / f"liver{ending}"
    target.write_bytes(OLD)
    with pytest.raises(OutputError, match="free some space"):
        files.write_labels(target, some_labels, np.eye(4))
    assert target.read_bytes() == OLD
    assert os.listdir(a_small_disk) == [target.name]


def test_a_segmentation_on_a_full_disk_ends_with_code_2_and_all_old_results(
    a_small_disk: Path, a_ct_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels, report, picture = (a_small_disk / name for name in ("liver.nii.gz", "report.json", "overlay.png"))
    for old in (labels, report, picture):
        old.write_bytes(OLD)
    code = main(["segment", str(a_ct_file), "-o", str(labels), "--report", str(report), "--picture", str(picture)])
    assert code == 2
    assert_one_line(capsys.readouterr().err, "free some space")
    assert {path.name: path.read_bytes() for path in a_small_disk.iterdir()} == {
        path.name: OLD for path in (labels, report, picture)
    }


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_on_a_read_only_disk_a_write_says_so(a_read_only_disk: Path, kind: str) -> None:
    with pytest.raises(OutputError, match="Read-only file system"):
        ALL_WRITERS[kind](a_read_only_disk / kind)


COMMANDS: dict[str, Callable[[Path, Path], list[object]]] = {
    "segment": lambda ct, disk: ["segment", ct, "-o", disk / "liver.nii.gz"],
    "phantom": lambda ct, disk: ["phantom", "-o", disk],
    "batch": lambda ct, disk: ["batch", ct.parent, "-o", disk],
    "batch into a new folder": lambda ct, disk: ["batch", ct.parent, "-o", disk / "new"],
}


@pytest.mark.parametrize("command", COMMANDS)
def test_on_a_read_only_disk_a_command_ends_with_code_2_before_its_work(
    a_read_only_disk: Path, a_ct_file: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(argument) for argument in COMMANDS[command](a_ct_file, a_read_only_disk)]) == 2
    assert_one_line(capsys.readouterr().err, "Read-only file system")
    assert (a_read_only_disk / "liver.nii.gz").read_bytes() == OLD


def assert_one_line(errors: str, words: str) -> None:
    lines = errors.splitlines()
    assert len(lines) == 1 and lines[0].startswith("liverseg: error: ") and words in lines[0], errors
