"""What the numbers of the benchmarks rest on, and each benchmark once in small."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.predictor import Predictor
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import Phantom
from Testing.benchmark import busy, flops, limit
from Testing.benchmark.inputs import prolonged, stretched
from Testing.benchmark.places import BACK, CLEAN_UP, NETWORK, PREPARE, watched
from Testing.benchmark.rivals.configurations import RIVALS
from Testing.benchmark.rivals.patches import PatchTimer
from Testing.benchmark.stages import StageClock

ROOT = Path(__file__).parents[2]


@dataclass
class Time:
    """Passes only when told to."""

    now: float = 100.0

    def passes(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    time = Time()
    monkeypatch.setattr("Testing.benchmark.stages.perf_counter", lambda: time.now)
    return time


def test_the_innermost_stage_counts_and_all_stages_are_the_whole_time(time: Time) -> None:
    clock = StageClock("load", started=time.now - 32)
    time.passes(1)
    with clock.stage("outer"):
        time.passes(2)
        for _ in range(2):
            with clock.stage("inner"):
                time.passes(4)
        time.passes(8)
    clock.go_on_as("write")
    time.passes(16)
    assert clock.stop() == {"load": 33, "outer": 10, "inner": 8, "write": 16}


def test_on_a_gpu_its_own_clock_counts(time: Time) -> None:
    """A queue that the computer fills in no time, and that takes 5 s for the network."""
    queue = Time(0.0)

    @dataclass(frozen=True)
    class Event:
        at: float

        def synchronize(self) -> None:
            pass

        def elapsed_time(self, later: Event) -> float:
            return (later.at - self.at) * 1000

    clock = StageClock("load")
    time.passes(1)
    clock.use_events(lambda: Event(queue.now))
    with clock.stage("network"):
        queue.passes(5)
    time.passes(7)
    queue.passes(2)
    assert clock.stop() == {"load": 1 + 2, "network": 5}


def test_a_segmentation_enters_every_stage_and_the_library_is_as_before(an_untrained_model: LiverModel) -> None:
    before = (Segmenter.segment, Predictor.log_odds)
    hu = np.random.default_rng(0).integers(-100, 200, (20, 40, 50)).astype(np.int16)
    clock, segmenter = StageClock("before"), Segmenter(an_untrained_model, "cpu")
    with watched(clock.stage, end=lambda: clock.go_on_as("after")) as batches:
        segmenter.segment(CTVolume(hu, np.diag((-1.5, -1.5, 3.0, 1.0))))
        seconds = clock.stop()
    assert list(seconds) == ["before", BACK, PREPARE, NETWORK, CLEAN_UP, "after"]
    assert sum(count for count, *_ in batches) == 20
    assert before == (Segmenter.segment, Predictor.log_odds)


def test_operations_are_those_of_the_formula_on_the_padded_batch() -> None:
    convolution = torch.nn.Conv2d(3, 5, 3, padding=1)
    assert flops.of_batches(convolution, [(2, 3, 33, 20)]) == 2 * 2 * 9 * 3 * 5 * 64 * 32


def test_the_limit_is_the_best_convolution_of_each_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "SIZES", ((4, 8), (8, 16)))
    found = limit.measure("cpu", seconds=0.0)
    assert found["precision"] in found["gflops"]
    for precision, best in found["gflops"].items():
        assert best == max(each["gflops"] for each in found["convolutions"] if each["precision"] == precision) > 0


def limits(*rates: float) -> list[dict[str, Any]]:
    return [{"precision": "float32", "gflops": {"float32": rate}} for rate in rates]


@pytest.mark.parametrize(("rates", "is_told"), [((100, 97, 99), False), ((100, 97, 60), True), ((55, 100, 99), True)])
def test_a_machine_that_was_busy_between_the_measurements_is_told(rates: tuple[float, ...], is_told: bool) -> None:
    share = busy.lowest_share(limits(*rates))
    assert share == min(rates) / 100
    assert (busy.warning(share) is not None) == is_told


def test_the_whole_body_holds_the_very_trunk_in_its_place(a_phantom: Phantom) -> None:
    trunk = stretched(a_phantom.ct, 61)
    body = prolonged(trunk, 121)
    np.testing.assert_array_equal(body.hu[40:101], trunk.hu)
    np.testing.assert_allclose(body.affine @ (3, 4, 40 + 7, 1), trunk.affine @ (3, 4, 7, 1))


class Doubling(torch.nn.Module):
    """A network that counts how often it runs."""

    calls = 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return 2 * images


@pytest.mark.parametrize(("sample", "calls"), [(None, 6), (2, 2)])
def test_the_time_of_patches_that_were_not_run_is_estimated(sample: int | None, calls: int) -> None:
    timer = PatchTimer(network := Doubling(), sample)
    for _ in range(6):
        answer = timer(torch.ones(1, 1, 2, 2))
        assert float(answer.max()) == 2.0
        answer *= 100  # as a sliding window does
    assert (network.calls, timer.patches, len(timer.seconds_of_patches)) == (calls, 6, calls)
    assert timer.network_seconds == pytest.approx(6 / calls * sum(timer.seconds_of_patches))


def test_the_page_names_every_rival() -> None:
    page = (ROOT / "docs" / "side-by-side.md").read_text(encoding="utf-8")
    assert [name for name in RIVALS if f"`{name}`" not in page] == []


def test_the_rivals_run_on_the_packages_that_the_tests_run_on() -> None:
    """Two versions of PyTorch or numpy would be compared otherwise, not two programs."""
    ours, theirs = (
        dict(re.findall(r"^([\w-]+)==(\S+)$", (ROOT / "Testing" / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.txt", "requirements-rivals.txt")
    )
    both = set(ours) & set(theirs)
    assert {"torch", "numpy", "scipy", "monai"} <= both
    assert {name: theirs[name] for name in both} == {name: ours[name] for name in both}


def run(module: str, output: Path, *options: str) -> tuple[int, str, Any]:
    """Exit code, what is printed, and the JSON of a benchmark."""
    command = [sys.executable, "-m", f"Testing.benchmark.{module}", *options, "--output", str(output)]
    finished = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=1200, check=False)
    assert output.exists(), finished.stderr
    return finished.returncode, finished.stdout, json.loads(output.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_make_bench_in_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("slicer", reason="needs slicer-core for the surface")
    monkeypatch.setenv("LIVERSEG_DATA", str(tmp_path))
    options = ("--cases", "native", "--divisor", "32", "--runs", "1", "--clicks", "2", "--limit-seconds", "0")
    code, printed, found = run("speed", tmp_path / "found.json", *options, "--device", "cpu")
    native = found["cases"]["native"]
    assert code == 0 and native["source"].startswith("phantom") and native["shape"] == [3, 16, 16]
    assert all(seconds > 0 for seconds in native["runs"][0]["seconds"].values())
    assert native["flop"] > 0 and native["process_gb"] > 0.1
    for title in (
        "| Stage | native, 16×16×3 |",
        "| 3×3 convolution",
        "| From click to labels, native |",
        "| 2 spinning |",
    ):
        assert title in printed


@pytest.mark.slow
def test_a_cohort_with_broken_scans_survives_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    small = ("--cases", "12", "--shape", "4", "32", "32", "--timed-cases", "6", "--timed-shape", "4", "32", "32")
    code, printed, rows = run("batch", tmp_path / "found.json", *small, "--seed", "7")
    found = {row["what"]: row["value"] for row in rows}
    assert code == 0, printed
    assert (found["good cases done"], found["broken cases named"], found["exit code"]) == (7, 5, 1)
    assert {"batch's pace / segmenter's, with references", "two processes / one"} <= found.keys()


@pytest.mark.slow
def test_make_bench_cluster_in_small(tmp_path: Path) -> None:
    code, printed, found = run("cluster", tmp_path / "found.json", "--cases", "2", "--shape", "8", "32", "32")
    assert code == 0 and [each["workers"] for each in found] == [1, 2] and "two workers / one" in printed


@pytest.mark.slow
def test_make_bench_rivals_measures_ours_and_names_what_is_not_installed(tmp_path: Path, a_phantom: Phantom) -> None:
    files.write_ct(ct := tmp_path / "ct.nii.gz", a_phantom.ct)
    options = ("--ct", str(ct), "--rivals", "openvino", "--runs", "1", "--threads", "1")
    code, printed, found = run("rivals", tmp_path / "found.json", *options)
    own, other = found["rivals"]["ours"], found["rivals"]["openvino"]
    assert own["whole"] == pytest.approx(sum(own["seconds"].values()))
    if "whole" not in other:
        assert code == 1 and other["not measured"].startswith("not installed: openvino") and "openvino" in printed
