"""One process: while the network works on a case, another thread reads the next and a third writes the last.

The network stays in the calling thread. Reading and writing spend their time in the disk and in compression, which
let go of Python's global lock. At most three cases are in memory, whichever of the three is slowest.
"""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, wait
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar

from ..errors import Cancelled
from .cases import Case
from .one_case import Found, LoadedCase, ResidentSegmenter, failed_record, load_case, segment_loaded, write_case
from .options import BatchOptions
from .record import CaseRecord

T = TypeVar("T")
OnRecord = Callable[[CaseRecord], None]

# How often the calling thread looks, while it waits, whether the run was stopped.
LOOK_SECONDS = 0.05
# How much nicer reading and writing are than the network; 19 is the most there is.
NICER, NICEST = 10, 19


def run_pipeline(
    cases: Iterable[Case],
    options: BatchOptions,
    output: Path,
    on_record: OnRecord,
    cancel: threading.Event | None = None,
) -> None:
    """Run the cases in order; ``on_record`` is called in this thread with each record that is on disk.

    Raises
    ------
    Cancelled
        If ``cancel`` was set; the records so far were reported.
    OutputError
        If nothing can be written any more.
    ModelError, DeviceError
        If the network cannot be loaded.
    """
    pipeline = _Pipeline(options, output, on_record, cancel or threading.Event())
    try:
        pipeline.run(cases)
    finally:
        pipeline.close()


class _Background:
    """A thread that does one piece of work after another.

    Unlike those of an executor it dies with the process: after a cancel, nobody waits until a large series is read.
    """

    def __init__(self, name: str) -> None:
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def start(self, work: Callable[[], T]) -> Future[T]:
        future: Future[T] = Future()
        self._waiting.put((future, work))
        return future

    def close(self) -> None:
        """End the thread after the work that it was given."""
        self._waiting.put(None)

    def _work(self) -> None:
        _step_behind()
        while self._do_next():
            pass

    def _do_next(self) -> bool:
        item = self._waiting.get()
        if item is None:
            return False
        future, work = item
        try:
            future.set_result(work())
        except BaseException as error:  # raised again by who asks for the result
            future.set_exception(error)
        return True


class _Pipeline:
    def __init__(self, options: BatchOptions, output: Path, on_record: OnRecord, cancel: threading.Event) -> None:
        self._options, self._output, self._on_record, self._cancel = options, output, on_record, cancel
        self._loader, self._writer = _Background("LiverSeg loader"), _Background("LiverSeg writer")
        self._writing: Future[CaseRecord] | None = None

    def run(self, cases: Iterable[Case]) -> None:
        segmenter = ResidentSegmenter(self._options)
        segmenter.get()  # a missing model or device is told before any file is read
        for case, loading in self._loading(cases):
            write = self._segmented(case, loading, segmenter)
            self._report_written()
            self._writing = self._writer.start(write)
        self._report_written()

    def close(self) -> None:
        """Reading leaves no trace, so nobody waits for it; what is being written is written whole."""
        self._loader.close()
        self._writer.close()
        if self._writing is not None:
            self._on_record(self._writing.result())

    def _loading(self, cases: Iterable[Case]) -> Iterator[tuple[Case, Future[LoadedCase]]]:
        """Each case when the next one, too, is to be read."""
        ahead: deque[tuple[Case, Future[LoadedCase]]] = deque()
        for case in cases:
            ahead.append((case, self._loader.start(partial(load_case, case, self._options))))
            if len(ahead) == 2:
                yield ahead.popleft()
        yield from ahead

    def _segmented(
        self, case: Case, loading: Future[LoadedCase], segmenter: ResidentSegmenter
    ) -> Callable[[], CaseRecord]:
        """What is left to the writer when the network has done its part."""
        network = segmenter.get()
        try:
            found = segment_loaded(self._result(loading), network, self._options, self._cancel)
        except Cancelled:
            raise
        except Exception as error:  # the boundary of a case: whatever it is, it becomes a record
            return partial(failed_record, case, error, self._output)
        return partial(self._write, found)

    def _write(self, found: Found) -> CaseRecord:
        try:
            return write_case(found, self._output, self._options)
        except Exception as error:  # as above
            return failed_record(found.loaded.case, error, self._output)

    def _report_written(self) -> None:
        if self._writing is not None:
            record, self._writing = self._result(self._writing), None
            self._on_record(record)

    def _result(self, future: Future[T]) -> T:
        while not self._cancel.is_set():
            if wait([future], LOOK_SECONDS).done:
                return future.result()
        raise Cancelled()


def _step_behind() -> None:
    """Let the network's threads go before this one: they wait for each other, so that who holds up one holds up all.

    Only Linux has a priority for each thread.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICER
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, NICEST))
