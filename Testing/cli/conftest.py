"""A small CT on disk and the command in this process: what the command-line tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import pytest

from LiverSegLib.cli import main
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom


class Scan(NamedTuple):
    """Files of one patient."""

    ct: Path
    liver: Path


class Outcome(NamedTuple):
    """What the user sees of one command."""

    exit_code: int
    output: str
    errors: list[str]


Run = Callable[..., Outcome]


@pytest.fixture(scope="session")
def a_scan(tmp_path_factory: pytest.TempPathFactory) -> Scan:
    """A slab of the phantom, few voxels, and its liver."""
    folder = tmp_path_factory.mktemp("scan")
    scan = Scan(folder / "ct.nii.gz", folder / "liver.nii.gz")
    phantom = make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0))
    files.write_ct(scan.ct, phantom.ct)
    files.write_labels(scan.liver, phantom.labels, phantom.ct.affine)
    return scan


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `liverseg` with these arguments."""

    def run(*arguments: object) -> Outcome:
        exit_code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Outcome(exit_code, captured.out, captured.err.splitlines())

    return run


@pytest.fixture
def output_folder(tmp_path: Path) -> Path:
    """An empty folder for results."""
    folder = tmp_path / "output"
    folder.mkdir()
    return folder


@pytest.fixture
def changed_ct(a_scan: Scan, tmp_path: Path) -> Callable[..., Path]:
    """The scan's CT with other voxels or another affine, as a file."""

    def changed(change: Callable[[np.ndarray], np.ndarray] = lambda hu: hu, affine: np.ndarray | None = None) -> Path:
        image = nibabel.load(a_scan.ct)
        path = tmp_path / "changed.nii.gz"
        values = change(np.asarray(image.dataobj))
        nibabel.save(nibabel.Nifti1Image(values, image.affine if affine is None else affine), path)
        return path

    return changed
