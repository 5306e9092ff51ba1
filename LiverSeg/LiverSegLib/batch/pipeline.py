"""One process: while the network works on a case, another thread reads the next and a third writes the last.

The network stays in the calling thread. Reading and writing spend their time in the disk and in compression, which
let go of Python's global lock. At most three cases are in memory, whichever of the three is slowest.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from ..errors import Cancelled
from .cases import Case
from .one_case import Found, LoadedCase, ResidentSegmenter, failed_record, load_case, segment_loaded, write_case
from .options import BatchOptions
from .record import CaseRecord

T = TypeVar("T")
OnRecord = Callable[[CaseRecord], None]

CASES_IN_MEMORY = 3
# How often a thread that waits looks whether the run was stopped.
LOOK_SECONDS = 0.05
# Reading leaves no trace, so nobody waits long for it to end; writing ends in its own time.
LOADER_SECONDS = 0.5
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
    pipeline.run(cases)


class _Stopped(Exception):
    """The run ended while a thread was waiting."""


@dataclass(frozen=True)
class _Failure:
    case: Case
    error: Exception


@dataclass
class _Pipeline:
    options: BatchOptions
    output: Path
    on_record: OnRecord
    cancel: threading.Event
    places: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(CASES_IN_MEMORY))
    loaded: SimpleQueue[LoadedCase | _Failure | None] = field(default_factory=SimpleQueue)
    found: SimpleQueue[Found | _Failure | None] = field(default_factory=SimpleQueue)
    records: SimpleQueue[CaseRecord] = field(default_factory=SimpleQueue)
    stop: threading.Event = field(default_factory=threading.Event)
    errors: list[BaseException] = field(default_factory=list)

    def run(self, cases: Iterable[Case]) -> None:
        segmenter = ResidentSegmenter(self.options)
        segmenter.get()  # a missing model or device is told before any file is read
        loader = self._start(lambda: self._load_all(cases), "LiverSeg loader")
        writer = self._start(self._write_all, "LiverSeg writer")
        try:
            while self._segment_next(segmenter):
                self._report()
            self.found.put(None)
            while writer.is_alive():
                writer.join(LOOK_SECONDS)
                self._stop_if_cancelled()
                self._report()
        except _Stopped:
            pass
        finally:
            self.stop.set()
            writer.join()
            loader.join(LOADER_SECONDS)
            self._report()
        if self.errors:
            raise self.errors[0]

    # ---- the three threads -------------------------------------------------------------------------------------------

    def _load_all(self, cases: Iterable[Case]) -> None:
        for case in cases:
            while not self.places.acquire(timeout=LOOK_SECONDS):
                self._stop_if_stopped()
            self._stop_if_stopped()
            self.loaded.put(self._attempt(case, lambda case=case: load_case(case, self.options)))  # type: ignore[misc]
        self.loaded.put(None)

    def _segment_next(self, segmenter: ResidentSegmenter) -> bool:
        """Hand the next case on to be written; False after the last."""
        item = self._next(self.loaded)
        if item is None:
            return False
        if isinstance(item, LoadedCase):
            self._stop_if_cancelled()
            network = segmenter.get()
            self.found.put(self._attempt(item.case, lambda: segment_loaded(item, network, self.options, self.cancel)))
        else:
            self.found.put(item)
        return True

    def _write_all(self) -> None:
        while self._write_next():
            self.places.release()

    def _write_next(self) -> bool:
        item = self._next(self.found)
        if item is None:
            return False
        if isinstance(item, Found):
            found = item
            item_or_record = self._attempt(found.loaded.case, lambda: write_case(found, self.output, self.options))
        else:
            item_or_record = item
        if isinstance(item_or_record, _Failure):
            item_or_record = failed_record(item_or_record.case, item_or_record.error, self.output)
        self.records.put(item_or_record)
        return True

    # ---- what they share ---------------------------------------------------------------------------------------------

    def _start(self, work: Callable[[], None], name: str) -> threading.Thread:
        def guarded() -> None:
            _step_behind()
            try:
                work()
            except _Stopped:
                pass
            except BaseException as error:  # raised again by the calling thread
                self.errors.append(error)
                self.stop.set()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    @staticmethod
    def _attempt(case: Case, stage: Callable[[], T]) -> T | _Failure:
        try:
            return stage()
        except Cancelled:
            raise
        except Exception as error:  # the boundary of a case: whatever it is, it becomes a record
            return _Failure(case, error)

    def _next(self, queue: SimpleQueue[T]) -> T:
        while True:
            self._stop_if_stopped()
            self._stop_if_cancelled()
            try:
                return queue.get(timeout=LOOK_SECONDS)
            except Empty:
                continue

    def _report(self) -> None:
        while not self.records.empty():
            self.on_record(self.records.get())

    def _stop_if_stopped(self) -> None:
        if self.stop.is_set():
            raise _Stopped

    def _stop_if_cancelled(self) -> None:
        if self.cancel.is_set():
            raise Cancelled()


def _step_behind() -> None:
    """Let the network's threads go before this one: they wait for each other, so that who holds up one holds up all.

    Only Linux has a priority for each thread.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        niceness = os.getpriority(os.PRIO_PROCESS, thread) + NICER
        os.setpriority(os.PRIO_PROCESS, thread, min(niceness, NICEST))
