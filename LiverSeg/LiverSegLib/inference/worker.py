"""A worker thread for long computations: no Qt, no MRML; the main thread looks in on it from a timer.

In Slicer the main thread holds Python's global lock while Qt's event loop idles, and a worker then stands still.
So whoever watches a task calls :meth:`Task.wait` with a few milliseconds each time: waiting releases the lock.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")
Progress = Callable[[float, str], None]
Function = Callable[[Progress, threading.Event], T]

# Slicer on Linux gives its main thread this nice value unless the variable says another; threads inherit it.
SLICERS_NICE, NICE_VARIABLE = 19, "SLICER_BACKGROUND_THREAD_PRIORITY"


class Task(Generic[T]):
    """A computation that a :class:`Worker` runs: what it reports, its way to be stopped, and its result.

    ``cancel``, once set, asks the computation to stop; it then ends by raising what it raises when cancelled.
    """

    def __init__(self, function: Function[T]) -> None:
        self.cancel = threading.Event()
        self._function: Function[T] | None = function
        self._finished = threading.Event()
        self._lock = threading.Lock()
        self._reports: list[tuple[float, str]] = []
        self._value: T | None = None
        self._error: BaseException | None = None

    def wait(self, seconds: float) -> bool:
        """Wait at most so long; True when the task has finished. The worker computes meanwhile."""
        return self._finished.wait(seconds)

    def take_progress(self) -> list[tuple[float, str]]:
        """All reports (share done from 0 to 1, stage in words) since the last call, in order."""
        with self._lock:
            reports, self._reports = self._reports, []
        return reports

    def result(self) -> T:
        """What the function returned, or raises what it raised, with the traceback of its own thread.

        Raises
        ------
        RuntimeError
            If the task has not finished: this never blocks the main thread.
        """
        if not self._finished.is_set():
            raise RuntimeError("The task is still running; wait for it before taking its result.")
        if self._error is not None:
            raise self._error
        return cast(T, self._value)

    def _report(self, share: float, stage: str) -> None:
        with self._lock:
            self._reports.append((share, stage))

    def _run(self) -> None:
        assert self._function is not None  # nosec B101 # for mypy
        try:
            self._value = self._function(self._report, self.cancel)
        except BaseException as error:  # also SystemExit: the thread lives on, and result() tells
            self._error = error
        finally:
            self._function = None  # lets go of the volume that it holds
            self._finished.set()


class Worker:
    """One thread that runs one task after the other, and stays, as cuDNN keeps its plans per thread.

    The thread starts with the first task. It is a daemon: it never keeps Slicer from ending.
    """

    def __init__(self, name: str = "LiverSeg") -> None:
        self._name = name
        self._queue: SimpleQueue[Task[Any] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        # Weak, so that a finished task's result belongs to the caller alone.
        self._latest: weakref.ref[Task[Any]] | None = None
        self._closed = False

    def start(self, function: Function[T]) -> Task[T]:
        """Run ``function(progress, cancel)`` in the thread; a task that is being cancelled ends first.

        Raises
        ------
        RuntimeError
            If a task runs that nobody has cancelled, or the worker is closed: mistakes of the caller.
        """
        if self._closed:
            raise RuntimeError("The worker is closed; make a new one.")
        running = self._running()
        if running is not None and not running.cancel.is_set():
            raise RuntimeError("A task is still running; wait for it or cancel it before starting the next.")
        task = Task(function)
        self._latest = weakref.ref(task)
        self._queue.put(task)
        if self._thread is None:
            self._thread = threading.Thread(target=_run_all, args=(self._queue,), name=self._name, daemon=True)
            self._thread.start()
        return task

    def close(self, seconds: float = 1.0) -> None:
        """Cancel what runs and end the thread; waits at most so long, as a batch ends, and never raises.

        A thread that is inside PyTorch while Python shuts down could crash the process: hence the short wait.
        """
        self._closed = True
        running = self._running()
        if running is not None:
            running.cancel.set()
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join(seconds)

    def _running(self) -> Task[Any] | None:
        task = self._latest() if self._latest else None
        return task if task is not None and not task.wait(0) else None


def _run_all(queue: SimpleQueue[Task[Any] | None]) -> None:
    _take_normal_priority()
    while (task := queue.get()) is not None:
        task._run()
        del task  # a finished task and its result belong to whoever started it


def _take_normal_priority() -> None:
    """Let this thread, and those that PyTorch starts from it, not wait for all else on the computer, where it may."""
    if sys.platform != "linux" or NICE_VARIABLE in os.environ:
        return
    thread = threading.get_native_id()
    if os.getpriority(os.PRIO_PROCESS, thread) == SLICERS_NICE:
        # Linux allows it to root and where RLIMIT_NICE does; else the work takes longer, as the manual says.
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, 0)
