"""How many threads the network takes, by a clock that passes only when told to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from LiverSegLib.inference.threads import REST, Threads
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom

MODULE_FOLDER = Path(__file__).parents[2] / "LiverSeg"


@dataclass
class Clock:
    """The time, and how much of it this thread was on a core."""

    now: float = 100.0
    own: float = 10.0

    def passes(self, seconds: float, share: float) -> None:
        self.now += seconds
        self.own += seconds * share


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("LiverSegLib.inference.threads.perf_counter", lambda: clock.now)
    monkeypatch.setattr("LiverSegLib.inference.threads.thread_time", lambda: clock.own)
    return clock


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


def numbers_taken(clock: Clock, batches: int, seconds: Callable[[int], float], share: float) -> list[int]:
    """Threads in each batch, of which each takes so long with so many of them."""
    threads, taken = Threads(), []
    for _ in range(batches):
        with threads.batch(pixels=1000):
            taken.append(torch.get_num_threads())
            clock.passes(seconds(taken[-1]), share)
    return taken


@pytest.mark.usefixtures("four_threads")
def test_threads_that_have_their_cores_are_all_used(clock: Clock) -> None:
    assert numbers_taken(clock, 50, lambda count: 8 / count, share=0.95) == [4] * 50


@pytest.mark.usefixtures("four_threads")
def test_where_threads_hinder_each_other_fewer_go_on(clock: Clock) -> None:
    taken = numbers_taken(clock, 10, lambda count: 8.0 * count, share=0.5)
    assert taken == [4, 4, 2, 1, 1, 1, 1, 1, 1, 1]


@pytest.mark.usefixtures("four_threads")
def test_where_a_fair_share_of_each_core_is_free_all_go_on_after_one_trial(clock: Clock) -> None:
    taken = numbers_taken(clock, 10, lambda count: 16 / count, share=0.5)
    assert taken == [4, 4, 2, 4, 4, 4, 4, 4, 4, 4]


@pytest.mark.usefixtures("four_threads")
def test_when_the_other_work_has_ended_all_are_used_again(clock: Clock) -> None:
    threads, taken = Threads(), []
    for number in range(3 * REST):
        is_busy = number < 10
        with threads.batch(pixels=1000):
            taken.append(count := torch.get_num_threads())
            clock.passes(8.0 * count if is_busy else 8 / count, 0.5 if is_busy else 0.95)
    assert taken[9] == 1 and taken[-1] == 4


@pytest.mark.usefixtures("four_threads")
def test_outside_the_batches_and_after_an_error_the_number_is_as_before(clock: Clock) -> None:
    threads = Threads()
    for _ in range(2):
        with threads.batch(pixels=1000):
            clock.passes(1.0, 0.5)
    with pytest.raises(MemoryError), threads.batch(pixels=1000):
        assert torch.get_num_threads() == 2
        raise MemoryError
    assert torch.get_num_threads() == 4


ROADS = {
    "the command": ["-m", "LiverSegLib.cli", "segment", "{ct}", "-o", "{out}/l.nii.gz", "--debug"],
    "a batch's processes": ["-m", "LiverSegLib.cli", "batch", "{scans}", "-o", "{out}", "--jobs", "2", "--debug"],
    "Slicer's script": ["{scripts}/batch.py", "{scans}", "-o", "{out}", "--debug"],
    "Python": ["-c", "from LiverSegLib.model.devices import usable_devices"],
}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the OpenMP of other systems does not tell how long it spins")
@pytest.mark.parametrize("road", ROADS)
def test_openmp_knows_how_long_to_spin_when_pytorch_loads_it(road: str, tmp_path: Path) -> None:
    assert set(turns_told_on(road, tmp_path)) == {"10000"}


@pytest.mark.skipif(sys.platform != "linux", reason="the OpenMP of other systems does not tell how long it spins")
def test_whoever_has_chosen_how_long_has_it_their_way(tmp_path: Path) -> None:
    assert turns_told_on("Python", tmp_path, GOMP_SPINCOUNT="77") == ["77"]


def turns_told_on(road: str, folder: Path, **chosen: str) -> list[str]:
    """GOMP_SPINCOUNT in each process of a run, as GNU's OpenMP itself tells when it is loaded."""
    (scans := folder / "scans").mkdir()
    files.write_ct(scans / "ct.nii.gz", make_phantom(shape=(6, 64, 64), spacing=(5.0, 6.0, 6.0)).ct)
    places = {"ct": scans / "ct.nii.gz", "scans": scans, "out": folder, "scripts": MODULE_FOLDER / "Scripts"}
    without = {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"}
    environment = {key: value for key, value in os.environ.items() if key not in without}
    environment |= {"PYTHONPATH": str(MODULE_FOLDER), "OMP_DISPLAY_ENV": "verbose", **chosen}
    command = [sys.executable, *(part.format(**places) for part in ROADS[road])]
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=True)
    return re.findall(r"GOMP_SPINCOUNT = '(\d+)'", finished.stderr)
