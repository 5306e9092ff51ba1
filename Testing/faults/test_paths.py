"""Names as people give them: with spaces, in any script, as long as the system takes them, and longer."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib.cli import main
from LiverSegLib.errors import LiverSegError, OutputError
from LiverSegLib.io import files
from Testing.faults.writers import AFFINE, ALL_WRITERS, LABELS

LONG = "x" * 100
FOLDERS = {
    "spaces": "results of Monday ",
    "umlauts": "Größe der Leber",
    "other scripts": "肝臓 печень كبد",
    "signs": "50% {name} $HOME 'a' #1",
    "300 characters": f"{LONG}/{LONG}/{LONG}",
}


@pytest.fixture(params=FOLDERS.values(), ids=FOLDERS)
def a_folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / request.param
    folder.mkdir(parents=True)
    return folder


def test_every_kind_of_file_is_written_and_labels_are_read_again(a_folder: Path) -> None:
    for kind, write in ALL_WRITERS.items():
        write(a_folder / kind)
        assert (a_folder / kind).stat().st_size > 400, kind
    for ending in files.WRITABLE_SUFFIXES:
        path = a_folder / f"the liver, dasselbe wie früher{ending}"
        files.write_labels(path, LABELS, AFFINE)
        labels, affine = files.read_labels(path)
        np.testing.assert_array_equal(labels, LABELS)
        np.testing.assert_allclose(affine, AFFINE)


def test_a_whole_segmentation_goes_through(a_folder: Path, a_ct_file: Path) -> None:
    ct = a_folder / "das CT.nii.gz"
    shutil.copy(a_ct_file, ct)
    outputs = [a_folder / name for name in ("die Leber.seg.nrrd", "r.json", "p.png")]
    labels, report, picture = map(str, outputs)
    assert main(["segment", str(ct), "-o", labels, "--report", report, "--picture", picture]) == 0
    assert all(path.stat().st_size for path in outputs)


@pytest.mark.parametrize("ending", files.WRITABLE_SUFFIXES)
def test_the_longest_name_that_the_system_takes_is_no_trouble(tmp_path: Path, ending: str) -> None:
    name = "ü" * ((255 - len(ending)) // 2) + ending
    files.write_labels(tmp_path / name, LABELS, AFFINE)
    assert os.listdir(tmp_path) == [name]


def test_a_name_longer_than_that_is_refused_before_any_work(
    tmp_path: Path, a_ct_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / ("x" * 300 + ".nii.gz")
    assert main(["segment", str(a_ct_file), "-o", str(output)]) == 2
    assert "could not be written (File name too long)" in capsys.readouterr().err
    assert os.listdir(tmp_path) == []
    with pytest.raises(OutputError, match="too long"):
        files.write_labels(output, LABELS, AFFINE)


def test_an_input_whose_name_is_too_long_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["segment", str(tmp_path / ("x" * 300 + ".nii.gz")), "-o", str(tmp_path / "liver.nii.gz")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system whose names are bytes, such as Linux")
def test_a_name_that_is_no_utf_8_is_written_or_refused_in_a_sentence(tmp_path: Path) -> None:
    """As old archives have them, in Latin-1."""
    for kind, write in ALL_WRITERS.items():
        folder = tmp_path / kind / os.fsdecode("Müller".encode("latin-1"))
        folder.mkdir(parents=True)
        try:
            write(folder / kind)
        except LiverSegError:
            assert os.listdir(folder) == [], kind
        else:
            assert (folder / kind).stat().st_size > 400, kind


@pytest.mark.skipif(sys.platform != "linux", reason="needs a system whose names are bytes, such as Linux")
@pytest.mark.parametrize("ending", [".nii.gz", ".seg.nrrd"])
def test_a_segmentation_under_a_name_that_is_no_utf_8_ends_as_the_contract_says(
    tmp_path: Path, a_ct_file: Path, ending: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / os.fsdecode("Müller".encode("latin-1"))
    folder.mkdir()
    shutil.copy(a_ct_file, folder / "ct.nii.gz")
    output, report = folder / f"liver{ending}", folder / "report.json"
    code = main(["segment", str(folder / "ct.nii.gz"), "-o", str(output), "--report", str(report)])
    said = capsys.readouterr().err
    assert code == 0 or (code == 2 and len(said.splitlines()) == 1), said
    assert output.exists() == report.exists() == (code == 0)
