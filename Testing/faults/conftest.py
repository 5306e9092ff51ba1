"""Places in which files can hardly be written: a small disk, a read-only one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom
from Testing.faults.processes import OLD


@pytest.fixture
def a_small_disk(tmp_path: Path) -> Iterator[Path]:
    """16 KB of space."""
    yield from _mounted(tmp_path, "size=16k")


@pytest.fixture
def a_read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """With an old file liver.nii.gz in it."""
    for folder in _mounted(tmp_path, "size=1m"):
        (folder / "liver.nii.gz").write_bytes(OLD)
        subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
        yield folder


def _mounted(tmp_path: Path, options: str) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("needs the right to mount a disk, as root on Linux has it")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.fixture(scope="session")
def a_ct_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slab of the phantom in few voxels."""
    path = tmp_path_factory.mktemp("scan") / "ct.nii.gz"
    files.write_ct(path, make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0)).ct)
    return path


@pytest.fixture(scope="session")
def some_labels() -> np.ndarray:
    """Labels that do not compress well, (k, j, i)."""
    return np.random.default_rng(0).integers(0, 3, (30, 60, 60), dtype=np.uint8)
