"""The worker thread: reports in order, cancel, errors with their traceback, and an end that blocks nobody."""

from __future__ import annotations

import errno
import gc
import os
import sys
import threading
import traceback
import weakref
from collections.abc import Iterator

import pytest

from LiverSegLib.inference.worker import NICE_VARIABLE, Progress, Task, Worker

LONG = 30.0  # seconds after which a test that hangs has failed


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


def until_cancelled(progress: Progress, cancel: threading.Event) -> str:
    assert cancel.wait(LONG)
    return "cancelled"


def finished(task: Task) -> Task:
    assert task.wait(LONG)
    return task


def test_a_task_gives_its_value(worker: Worker) -> None:
    assert finished(worker.start(lambda progress, cancel: 42)).result() == 42


def test_a_task_runs_in_another_thread_and_always_in_the_same(worker: Worker) -> None:
    first = finished(worker.start(lambda progress, cancel: threading.get_ident())).result()
    second = finished(worker.start(lambda progress, cancel: threading.get_ident())).result()
    assert first == second != threading.get_ident()


def test_reports_come_in_order_and_once(worker: Worker) -> None:
    half_way, go_on = threading.Event(), threading.Event()

    def work(progress: Progress, cancel: threading.Event) -> None:
        progress(0.0, "Preparing")
        progress(0.5, "Finding")
        half_way.set()
        assert go_on.wait(LONG)
        progress(1.0, "Done")

    task = worker.start(work)
    assert half_way.wait(LONG)
    assert task.take_progress() == [(0.0, "Preparing"), (0.5, "Finding")]
    assert task.take_progress() == []
    go_on.set()
    assert finished(task).take_progress() == [(1.0, "Done")]


def test_no_report_is_lost_while_it_is_being_taken(worker: Worker) -> None:
    def work(progress: Progress, cancel: threading.Event) -> None:
        for step in range(20_000):
            progress(step, "")

    task = worker.start(work)
    taken: list[float] = []
    while not task.wait(0):
        taken += [share for share, _ in task.take_progress()]
    taken += [share for share, _ in task.take_progress()]
    assert taken == list(range(20_000))


def test_a_running_task_ends_by_its_cancel_event(worker: Worker) -> None:
    task = worker.start(until_cancelled)
    assert not task.wait(0)
    task.cancel.set()
    assert finished(task).result() == "cancelled"


def test_an_error_is_raised_again_with_the_traceback_of_its_thread(worker: Worker) -> None:
    def break_down(progress: Progress, cancel: threading.Event) -> None:
        raise ValueError("broken") from KeyError("cause")

    task = finished(worker.start(break_down))
    with pytest.raises(ValueError, match="broken") as caught:
        task.result()
    assert isinstance(caught.value.__cause__, KeyError)
    assert "break_down" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_the_thread_outlives_any_error_of_a_task(worker: Worker, error: type[BaseException]) -> None:
    def break_down(progress: Progress, cancel: threading.Event) -> None:
        raise error

    with pytest.raises(error):
        finished(worker.start(break_down)).result()
    assert finished(worker.start(lambda progress, cancel: "alive")).result() == "alive"


def test_the_result_of_a_running_task_is_refused_instead_of_blocking(worker: Worker) -> None:
    task = worker.start(until_cancelled)
    with pytest.raises(RuntimeError, match="still running"):
        task.result()
    task.cancel.set()


def test_a_second_task_is_refused_while_one_runs(worker: Worker) -> None:
    task = worker.start(until_cancelled)
    with pytest.raises(RuntimeError, match="still running"):
        worker.start(until_cancelled)
    task.cancel.set()


def test_a_task_may_start_while_a_cancelled_one_is_still_ending(worker: Worker) -> None:
    may_end = threading.Event()

    def slow_to_end(progress: Progress, cancel: threading.Event) -> None:
        assert cancel.wait(LONG) and may_end.wait(LONG)

    first = worker.start(slow_to_end)
    first.cancel.set()
    second = worker.start(lambda progress, cancel: first.wait(0))
    may_end.set()
    assert finished(second).result() is True


def test_closing_cancels_what_runs_and_ends_the_thread() -> None:
    worker = Worker("closing")
    task = worker.start(until_cancelled)
    worker.close(LONG)
    assert task.wait(0) and task.result() == "cancelled"
    assert "closing" not in [thread.name for thread in threading.enumerate()]


def test_closing_does_not_wait_for_a_task_that_will_not_stop() -> None:
    worker, may_end = Worker(), threading.Event()
    task = worker.start(lambda progress, cancel: may_end.wait(LONG))
    worker.close(0.01)
    assert not task.wait(0)
    may_end.set()
    finished(task)


def test_a_worker_closes_twice_and_before_its_first_task() -> None:
    worker = Worker()
    worker.close()
    worker.close()
    with pytest.raises(RuntimeError, match="closed"):
        worker.start(until_cancelled)


def test_a_finished_task_that_nobody_holds_leaves_the_memory(worker: Worker) -> None:
    class Volume:
        pass

    def work(progress: Progress, cancel: threading.Event, volume: Volume) -> Volume:
        return volume

    volume = Volume()
    gone = weakref.ref(volume)
    task = finished(worker.start(lambda progress, cancel, volume=volume: work(progress, cancel, volume)))
    finished(worker.start(lambda progress, cancel: None))  # the thread has turned to something else
    del task, volume
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(sys.platform != "linux", reason="Slicer lowers its priority on Linux only")
@pytest.mark.parametrize(
    "lowered, wanted, allowed, expected",
    [(19, "", True, 0), (19, "", False, 19), (5, "", True, 5), (19, "19", True, 19)],
)
def test_the_worker_has_a_normal_priority_where_slicers_own_is_the_lowest(
    monkeypatch, lowered: int, wanted: str, allowed: bool, expected: int
) -> None:
    nice = {}  # of the threads that were given another
    monkeypatch.setattr(os, "getpriority", lambda which, thread: nice.get(thread, lowered))

    def set_priority(which: int, thread: int, value: int) -> None:
        if not allowed:
            raise PermissionError(errno.EACCES, "Permission denied")
        nice[thread] = value

    monkeypatch.setattr(os, "setpriority", set_priority)
    monkeypatch.delenv(NICE_VARIABLE, raising=False)
    if wanted:
        monkeypatch.setenv(NICE_VARIABLE, wanted)
    worker = Worker()
    task = finished(worker.start(lambda progress, cancel: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    worker.close()
    assert task.result() == expected
