"""Short soaks: nothing grows and nothing changes; and what grows or changes is noticed."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from LiverSegLib.inference.segmenter import Segmenter
from Testing.soak import segmentations
from Testing.soak.process import growth, holdings
from Testing.soak.segmentations import Course, Road, Work, soak, summary, verdict

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process holds")

COUNT = 20


Soak = Callable[[Work], Course]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return segmentations.make_scans(tmp_path_factory.mktemp("scans"))


@pytest.fixture
def a_soak(scans: list[Path], tmp_path: Path) -> Soak:
    """A short one with this work."""
    return lambda work: soak(COUNT, work, scans, tmp_path)


def failures(course: Course) -> str:
    return "; ".join(summary(course, 1.0, "cpu")["failures"])


def test_segmentations_in_one_process_hold_no_more_and_find_the_same_each_time(a_soak: Soak):
    course = a_soak(Road(Segmenter(device="cpu")))
    found = summary(course, 1.0, "cpu")
    assert found["failures"] == [] and found["passed"]
    assert found["segmentations"] == COUNT and len(found["results"]) == 5
    assert json.loads(json.dumps(found)) == found
    assert verdict(found).endswith("\npassed")


def test_the_scans_have_different_shapes_and_orientations(scans: list[Path]):
    from LiverSegLib.io import files

    volumes = {path.name: files.read_ct(path) for path in scans}
    assert len({ct.hu.shape for ct in volumes.values()}) == len(scans)
    assert [name for name, ct in volumes.items() if ct.geometry.obliquity_degrees > 10] == ["oblique.mha"]
    assert np.array_equal(volumes["axial.nii.gz"].canonical().hu, volumes["sagittal.nrrd"].canonical().hu)


def steady(scan: Path, folder: Path) -> bytes:
    return scan.name.encode()


def test_a_steady_work_passes_and_a_liver_that_is_none_fails(a_soak: Soak):
    assert failures(a_soak(steady)) == ""
    assert "no liver" in failures(a_soak(lambda scan, folder: bytes(100)))


def test_a_leak_of_memory_is_noticed(a_soak: Soak):
    kept: list[np.ndarray] = []
    # 200 MB after the warm-up, far more than the process of all the tests may give back meanwhile.
    course = a_soak(lambda scan, folder: kept.append(np.ones(2_500_000)) or b"liver")
    assert "memory grew" in failures(course)


@pytest.mark.parametrize("what", ["threads", "files", "tensors"])
def test_whatever_else_is_left_behind_is_noticed(what: str):
    end = threading.Event()
    threads: list[threading.Thread] = []
    files: list[Any] = []
    tensors: list[Any] = []

    def leave_behind() -> None:
        import torch

        if what == "threads":
            threads.append(threading.Thread(target=end.wait))
            threads[-1].start()
        elif what == "files":
            files.append(Path(os.devnull).open("rb"))  # noqa: SIM115
        else:
            tensors.append(torch.zeros(1))

    before = holdings()
    leave_behind()
    try:
        [told] = growth(before, holdings())
    finally:
        end.set()
        for opened in files:
            opened.close()
        for thread in threads:
            thread.join()
    assert told.startswith(f"{what} grew")


def test_a_result_that_changes_once_is_noticed(a_soak: Soak):
    calls: list[Path] = []

    def changing(scan: Path, folder: Path) -> bytes:
        calls.append(scan)
        return b"another liver" if len(calls) == 12 else scan.name.encode()

    course = a_soak(changing)
    assert "2 different results" in failures(course)
    assert not summary(course, 1.0, "cpu")["passed"]
    assert verdict(summary(course, 1.0, "cpu")).endswith("\nfailed")


@pytest.mark.parametrize("steady_result", [True, False])
def test_the_command_ends_with_code_1_when_something_was_wrong(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], steady_result: bool
):
    work = steady if steady_result else lambda scan, folder: os.urandom(8)
    monkeypatch.setattr(segmentations, "Road", lambda segmenter: work)
    output = tmp_path / "soak" / "found.json"
    monkeypatch.setattr(sys, "argv", ["soak", "--count", "15", "--device", "cpu", "--output", str(output)])
    assert segmentations.main() == (0 if steady_result else 1)
    assert json.loads(output.read_text(encoding="utf-8"))["passed"] == steady_result
    assert "15 segmentations" in capsys.readouterr().out
