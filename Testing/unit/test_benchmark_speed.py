"""The speed benchmark in small, as ``make bench`` runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io import files
from LiverSegLib.phantom import Phantom
from Testing.benchmark import fresh, full_pass
from Testing.benchmark.places import STAGES

ROOT = Path(__file__).parents[2]


def test_it_measures_prints_tables_and_leaves_json(tmp_path: Path) -> None:
    pytest.importorskip("slicer", reason="needs slicer-core for the surface")
    output = tmp_path / "out" / "benchmark.json"
    command = [sys.executable, "-m", "Testing.benchmark.speed", "--cases", "native", "--divisor", "32", "--runs", "1"]
    command += ["--clicks", "2", "--limit-seconds", "0", "--device", "cpu", "--profile", "--output", str(output)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "LiverSeg"), str(ROOT)))}
    environment |= {"LIVERSEG_DATA": str(tmp_path), "PYTHONUTF8": "1"}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, encoding="utf-8", timeout=1200, check=False
    )
    assert finished.returncode == 0, finished.stderr
    found = json.loads(output.read_text(encoding="utf-8"))
    native = found["cases"]["native"]
    assert native["source"].startswith("phantom")
    assert native["shape"] == [3, 16, 16]
    [run] = native["runs"]
    assert set(run["seconds"]) == set(STAGES)
    assert all(seconds > 0 for seconds in run["seconds"].values())
    # Nobody can be sure of three slices of 16×16: their mirror image is looked at, too.
    assert native["images"] == 2 * 3
    assert native["flop"] > 0
    assert native["process_gb"] > 0.1
    assert len(native["surface"]) == 2
    assert [len(found["clicks"][how]["clicks"]) for how in ("warmed up", "not warmed up")] == [2, 2]
    assert all(goal["met"] in (True, False) for goal in found["goals"])
    for title in ("| Stage | native, 16×16×3 |", "| 3×3 convolution", "| From click to labels, native |", "| Goal |"):
        assert title in finished.stdout
    assert "its times say nothing" in finished.stdout
    profile = (output.parent / "benchmark-profile-native.txt").read_text(encoding="utf-8")
    assert "stage: network" in profile
    assert "convolution" in profile


def test_the_full_pass_is_compared_with_the_labels_in_the_file(a_phantom: Phantom, tmp_path: Path) -> None:
    some = slice(17, 20)
    ct = CTVolume(a_phantom.ct.hu[some], a_phantom.ct.affine)
    files.write_ct(tmp_path / "ct.nii.gz", ct)
    files.write_labels(tmp_path / "liver.nii.gz", a_phantom.labels[some], ct.affine)
    found = full_pass.measure(str(tmp_path / "ct.nii.gz"), str(tmp_path / "liver.nii.gz"), "cpu")
    assert found["voxels"] > 0
    assert 0.7 < found["dice"] < 1


def test_a_function_that_fails_in_its_process_ends_the_benchmark(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"full_pass\.measure failed"):
        fresh.run(full_pass.measure, ct="nowhere.nii.gz", labels="", device="cpu")
    assert "nowhere.nii.gz" in capfd.readouterr().err
