"""The clock of the speed benchmark: each moment counts once, for one stage; and the library is left as it was."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.label_writer import Answer
from LiverSegLib.inference.predictor import Predictor
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.inference.slice_cache import PreparedSlices
from LiverSegLib.model.liver_model import LiverModel
from Testing.benchmark.memory import COMPUTER, PeakMemory
from Testing.benchmark.places import BACK, CLEAN_UP, NETWORK, PREPARE, watched
from Testing.benchmark.stages import StageClock


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
    clock = StageClock("load")
    time.passes(1)
    with clock.stage("outer"):
        time.passes(2)
        for _ in range(2):
            with clock.stage("inner"):
                time.passes(4)
        time.passes(8)
    clock.go_on_as("write")
    time.passes(16)
    assert clock.stop() == {"load": 1, "outer": 10, "inner": 8, "write": 16}


def test_it_begins_when_the_process_was_started(time: Time) -> None:
    clock = StageClock("load", started=time.now - 3)
    time.passes(1)
    assert clock.stop() == {"load": 4}


def test_a_stage_ends_with_an_error(time: Time) -> None:
    clock = StageClock("load")
    with pytest.raises(ValueError), clock.stage("network"):
        time.passes(1)
        raise ValueError
    time.passes(2)
    assert clock.stop() == {"network": 1, "load": 2}


def test_what_another_thread_does_meanwhile_is_not_counted(time: Time) -> None:
    clock = StageClock("network")

    def prepare() -> None:
        with clock.stage("prepare"):
            time.passes(1)

    thread = threading.Thread(target=prepare)
    thread.start()
    thread.join()
    assert clock.stop() == {"network": 1}


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


def test_memory_is_told_by_stage() -> None:
    if COMPUTER not in PeakMemory().take():
        pytest.skip("this system does not tell a process's peak memory in parts")
    clock = StageClock("before", memory=PeakMemory())
    with clock.stage("large"):
        np.ones(200_000_000, np.uint8)
    with clock.stage("after"):
        pass
    clock.stop()
    peaks = {stage: of_stage[COMPUTER] for stage, of_stage in clock.peak_gb.items()}
    assert peaks["large"] > peaks["after"] + 0.15
    assert peaks["large"] > peaks["before"] + 0.15


def test_a_segmentation_enters_every_stage_and_the_library_is_as_before(an_untrained_model: LiverModel) -> None:
    def functions() -> list[Callable[..., object]]:
        return [Segmenter.segment, Predictor.logits, PreparedSlices.stacks, Answer.clean_up]

    before = functions()
    hu = np.random.default_rng(0).integers(-100, 200, (20, 40, 50)).astype(np.int16)
    scan = CTVolume(hu, np.diag((-1.5, -1.5, 3.0, 1.0)))
    segmenter = Segmenter(an_untrained_model, "cpu")
    plain = segmenter.segment(scan)
    clock, seen = StageClock("before"), []
    with watched(clock.stage, seen.append, lambda: clock.go_on_as("after")) as batches:
        found = segmenter.segment(scan)
        seconds = clock.stop()
    assert list(seconds) == ["before", BACK, PREPARE, NETWORK, CLEAN_UP, "after"]
    assert all(taken >= 0 for taken in seconds.values())
    assert sum(count for count, *_ in batches) == 20
    assert {tuple(size) for _, *size in batches} == {(3, 40, 50)}
    assert seen == [segmenter]
    assert functions() == before
    np.testing.assert_array_equal(found.labels, plain.labels)
