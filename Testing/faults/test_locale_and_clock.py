"""Neither the user's language nor a clock that is set back changes what is written."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from LiverSegLib.cli import main
from Testing.faults.processes import python
from Testing.faults.writers import WRITERS

# Writes each kind of file, and proves first that the language was really taken, and at last that it was left alone.
SCRIPT = """
import locale, sys
from pathlib import Path
locale.setlocale(locale.LC_ALL, "")
assert locale.localeconv()["decimal_point"] == sys.argv[1], locale.localeconv()["decimal_point"]
language = locale.setlocale(locale.LC_ALL)
from LiverSegLib.io import files
from Testing.faults.writers import AFFINE, LABELS, WRITERS
import numpy
for kind, write in WRITERS.items():
    path = Path(sys.argv[2]) / kind
    write(path)
    if kind.startswith("liver"):
        labels, affine = files.read_labels(path)
        assert (labels == LABELS).all() and numpy.allclose(affine, AFFINE), kind
from LiverSegLib.cli import main
code = main(["segment", sys.argv[3], "-o", str(Path(sys.argv[2]) / "Größe.seg.nrrd")])
assert locale.setlocale(locale.LC_ALL) == language, "the language of the process was changed"
sys.exit(code)
"""


@pytest.fixture(scope="module")
def files_in_english(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("english")
    for kind, write in WRITERS.items():
        write(folder / kind)
    return {kind: (folder / kind).read_bytes() for kind in WRITERS}


@pytest.fixture(scope="module")
def german(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment in which numbers have a decimal comma; made here, where the system has what it takes."""
    folder = tmp_path_factory.mktemp("locales")
    if shutil.which("localedef") is None:
        pytest.skip("needs localedef and the sources of the locale de_DE")
    command = ["localedef", "-i", "de_DE", "-f", "UTF-8", str(folder / "de_DE.UTF-8")]
    subprocess.run(command, capture_output=True, check=False)
    if not (folder / "de_DE.UTF-8").exists():
        pytest.skip("needs the sources of the locale de_DE")
    return {"LOCPATH": str(folder), "LC_ALL": "de_DE.UTF-8", "LANG": "de_DE.UTF-8"}


def test_a_decimal_comma_is_in_no_file(
    german: dict[str, str], files_in_english: dict[str, bytes], a_ct_file: Path, tmp_path: Path
) -> None:
    assert_same_files(python("-c", SCRIPT, ",", tmp_path, a_ct_file, **german), files_in_english, tmp_path)


def test_the_plain_locale_of_servers_is_enough(
    files_in_english: dict[str, bytes], a_ct_file: Path, tmp_path: Path
) -> None:
    finished = python("-c", SCRIPT, ".", tmp_path, a_ct_file, LC_ALL="C", LANG="C")
    assert_same_files(finished, files_in_english, tmp_path)


def assert_same_files(finished: subprocess.CompletedProcess[str], expected: dict[str, bytes], folder: Path) -> None:
    assert finished.returncode == 0, finished.stderr
    assert {kind: (folder / kind).read_bytes() == content for kind, content in expected.items()} == dict.fromkeys(
        expected, True
    )


@pytest.mark.parametrize("now", [1.8e9, 0.5], ids=["today", "at the beginning of the era"])
def test_a_clock_that_runs_backwards_changes_no_timing(
    monkeypatch: pytest.MonkeyPatch, now: float, a_ct_file: Path, tmp_path: Path
) -> None:
    backwards = itertools.count(now, -3600.0)
    monkeypatch.setattr(time, "time", lambda: next(backwards))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(backwards) * 1e9))
    report = tmp_path / "report.json"
    outputs = ["-o", str(tmp_path / "liver.nii.gz"), "--report", str(report), "--picture", str(tmp_path / "p.png")]
    assert main(["segment", str(a_ct_file), *outputs]) == 0
    seconds = json.loads(report.read_text(encoding="utf-8"))["seconds"]
    assert all(0 <= took < 600 for took in seconds.values())
    assert seconds["total"] >= max(seconds.values())


# As scanners and archives send them: uncompressed, and compressed in ways that GDCM reads.
DICOM_SCRIPT = """
import locale, sys
from pathlib import Path
locale.setlocale(locale.LC_ALL, "")
import numpy
from LiverSegLib.io import files
from Testing.dicom_files import WRITTEN_BY_GDCM, ExplicitVRLittleEndian, save, slices_of, stored_as
from Testing.faults.writers import AFFINE, MORE_WRITERS
hu = numpy.random.default_rng(0).integers(-1000, 1000, (3, 16, 16)).astype(numpy.int16)
language = locale.setlocale(locale.LC_ALL)
for syntax in (ExplicitVRLittleEndian, *WRITTEN_BY_GDCM):
    folder = Path(sys.argv[1]) / syntax.name
    save([stored_as(image, syntax) for image in slices_of(hu, AFFINE)], folder)
    locale.setlocale(locale.LC_ALL, language)
    ct = files.read_ct(folder)
    assert numpy.allclose(ct.spacing, (2.5, 0.75, 0.75)), ct.spacing
    assert locale.setlocale(locale.LC_ALL) == language, syntax.name
for kind, write in MORE_WRITERS.items():
    write(Path(sys.argv[1]) / kind)
    assert locale.setlocale(locale.LC_ALL) == language, kind
"""


def test_dicom_is_read_and_written_in_any_language_and_leaves_it_alone(german: dict[str, str], tmp_path: Path) -> None:
    """SimpleITK's writer of DICOM does not."""
    finished = python("-W", "ignore", "-c", DICOM_SCRIPT, tmp_path, **german)
    assert finished.returncode == 0, finished.stderr


def test_in_a_batch_a_clock_that_runs_backwards_changes_no_timing_and_does_nothing_twice(
    monkeypatch: pytest.MonkeyPatch, a_ct_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backwards = itertools.count(1.8e9, -3600.0)
    monkeypatch.setattr(time, "time", lambda: next(backwards))
    monkeypatch.setattr(time, "time_ns", lambda: int(next(backwards) * 1e9))
    command = ["batch", str(a_ct_file.parent), "-o", str(tmp_path / "out")]
    assert main(command) == 0
    [record] = (tmp_path / "out").glob("cases/*/record.json")
    first = record.read_bytes()
    content = json.loads(first)
    assert 0 <= content["seconds"] < 600
    assert all(0 <= took < 600 for took in content["report"]["seconds"].values())
    assert main(command) == 0
    assert record.read_bytes() == first
