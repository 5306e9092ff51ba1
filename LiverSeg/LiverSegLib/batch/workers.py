"""Several processes on this computer: each runs one case at a time, and its death costs that case alone.

The processes are started anew (spawned), so that they share nothing but a pipe each. Through it the parent sends
cases, or None when no more are wanted, and the worker sends records back. When the parent is gone, however it went, the
pipe breaks, and the worker stops as if it was told to.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from pathlib import Path
from queue import SimpleQueue
from time import monotonic

from .. import messages
from ..errors import Cancelled, LiverSegError
from .cases import Case
from .one_case import ResidentSegmenter, failed_record, run_case
from .options import BatchOptions
from .record import CaseRecord

OnRecord = Callable[[CaseRecord], None]

LOOK_SECONDS = 0.1
# A process may be killed while it loads the network, for want of memory, say; so many in a row are no accident.
MOST_FALSE_STARTS = 3
# A cancelled case ends within one batch of the network, or when its files are written.
LAST_SECONDS = 5.0


class WorkerError(LiverSegError):
    """A process of the run died, or could not begin to work."""


@dataclass(frozen=True)
class _Ready:
    """A worker has loaded the network."""


@dataclass(frozen=True)
class _Broken:
    """A worker cannot go on: neither with this case nor with another."""

    error: LiverSegError


def run_processes(
    cases: Sequence[Case],
    options: BatchOptions,
    output: Path,
    jobs: int,
    on_record: OnRecord,
    cancel: threading.Event | None = None,
) -> None:
    """Run the cases in ``jobs`` processes; ``on_record`` is called in this thread with each record that is on disk.

    Without ``options.threads``, the processes share out the processors between them.

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    OutputError
        If nothing can be written any more.
    ModelError, DeviceError, WorkerError
        If the network cannot be loaded, or a process ends before it has begun.
    """
    if options.threads is None:
        options = replace(options, threads=max(1, _processors() // jobs))
    crew = _Crew(deque(cases), options, output, on_record)
    try:
        for _ in range(min(jobs, len(cases))):
            crew.hire()
        while crew.workers:
            if cancel is not None and cancel.is_set():
                raise Cancelled()
            crew.hear()
    finally:
        crew.dismiss()


class _Worker:
    """One process, this end of its pipe, and the case that it has."""

    def __init__(self, options: BatchOptions, output: Path) -> None:
        context = multiprocessing.get_context("spawn")
        context.set_executable(_python())
        self.connection, its_end = context.Pipe()
        self.process = context.Process(target=_work, args=(its_end, options, output), daemon=True)
        self.process.start()
        its_end.close()  # only the worker holds it now, so its death breaks the pipe
        self.case: Case | None = None
        self.is_ready = False


class _Crew:
    """All workers, and the cases that are left to them."""

    def __init__(self, cases: deque[Case], options: BatchOptions, output: Path, on_record: OnRecord) -> None:
        self._cases, self._options, self._output, self._on_record = cases, options, output, on_record
        self.workers: dict[Connection, _Worker] = {}
        self._false_starts = 0

    def hire(self) -> None:
        worker = _Worker(self._options, self._output)
        self.workers[worker.connection] = worker

    def hear(self) -> None:
        """Wait a little for what workers have to say, and give them the next cases."""
        for connection in wait(list(self.workers), LOOK_SECONDS):
            assert isinstance(connection, Connection)  # nosec B101 # for mypy
            worker = self.workers[connection]
            try:
                message = connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
                continue
            if isinstance(message, _Broken):
                raise message.error
            if isinstance(message, CaseRecord):
                worker.case = None
                self._on_record(message)
            worker.is_ready = True
            self._false_starts = 0
            self._give_next(worker)

    def dismiss(self) -> None:
        """End all workers: they stop within a batch, since they are told, and are killed if they do not.

        What they finish meanwhile counts: its record is on disk.
        """
        for worker in self.workers.values():
            with suppress(OSError):
                worker.connection.send(None)
        deadline = monotonic() + LAST_SECONDS
        while self.workers and (left := deadline - monotonic()) > 0:
            self._hear_the_last(left)
        for worker in self.workers.values():
            worker.process.kill()
            worker.process.join()
            worker.connection.close()
        self.workers.clear()

    def _hear_the_last(self, seconds: float) -> None:
        """Wait for records of workers that were told to stop, and for their ends."""
        for connection in wait(list(self.workers), seconds):
            assert isinstance(connection, Connection)  # nosec B101 # for mypy
            try:
                message = connection.recv()
            except (EOFError, OSError):
                worker = self.workers.pop(connection)
                connection.close()
                worker.process.join(LAST_SECONDS)
                continue
            if isinstance(message, CaseRecord):
                self._on_record(message)

    def _give_next(self, worker: _Worker) -> None:
        if self._cases:
            case = self._cases.popleft()
            try:
                worker.connection.send(case)
                worker.case = case
            except OSError:  # it died while it had nothing to do: that is no case's fault
                self._cases.appendleft(case)
                self._bury(worker)
        else:
            del self.workers[worker.connection]
            worker.connection.close()
            worker.process.join(LAST_SECONDS)

    def _bury(self, worker: _Worker) -> None:
        """A worker has died: its case has failed, and another takes its place."""
        del self.workers[worker.connection]
        worker.connection.close()
        worker.process.join()
        code = worker.process.exitcode or 0
        if not worker.is_ready:
            self._false_starts += 1
            if self._false_starts >= MOST_FALSE_STARTS:
                raise WorkerError(messages.WORKER_NOT_STARTED.format(code=code))
        if worker.case is not None:
            self._on_record(failed_record(worker.case, _death(code), self._output))
        if self._cases:
            self.hire()


def _death(code: int) -> WorkerError:
    # The OS's out-of-memory killer sends SIGKILL, which nothing else here does.
    if code == -getattr(signal, "SIGKILL", 9):
        return WorkerError(messages.CASE_PROCESS_KILLED)
    return WorkerError(messages.CASE_PROCESS_ENDED.format(code=code))


def _processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _python() -> str:
    """What starts Python: in Slicer, sys.executable may be the application itself."""
    slicers = shutil.which("PythonSlicer") if "slicer" in sys.modules else None
    return slicers or sys.executable


# ---- in the worker ---------------------------------------------------------------------------------------------------


def _work(connection: Connection, options: BatchOptions, output: Path) -> None:
    """What a worker does: the cases that come through the pipe, until it breaks."""
    # Ctrl-C reaches every process of the terminal. The parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cancel = threading.Event()
    cases: SimpleQueue[Case | None] = SimpleQueue()
    threading.Thread(target=_listen, args=(connection, cases, cancel), daemon=True).start()
    try:
        segmenter = ResidentSegmenter(options)
        segmenter.get()
        connection.send(_Ready())
        while (case := cases.get()) is not None:
            connection.send(run_case(case, options, output, segmenter.get(), cancel))
    except (Cancelled, BrokenPipeError):
        pass  # the parent no longer wants anything
    except LiverSegError as error:
        connection.send(_Broken(error))


def _listen(connection: Connection, cases: SimpleQueue[Case | None], cancel: threading.Event) -> None:
    """Take cases from the pipe as they come; after the last, or when it breaks, stop what is being worked on."""
    with suppress(EOFError, OSError):
        while (case := connection.recv()) is not None:
            cases.put(case)
    cancel.set()
    cases.put(None)
