"""Ledger: which cases of a run wait for a worker of the cluster, and how the others ended."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from .. import messages
from ..errors import ClusterError, OutputError
from ..io.terminal import printable
from .cases import Case
from .one_case import emptied_folder, failed_record
from .record import RECORD_FILE, CaseRecord, case_folder

T = TypeVar("T")

MOST_LOSSES = 3  # workers that one case may cost

_log = logging.getLogger(__name__)


class Ledger:
    """Kept in the thread of the event loop; only :meth:`pass_on` is for another.

    ``finished`` is set when every case has ended.
    """

    def __init__(self, cases: Sequence[Case], output: Path) -> None:
        self.finished = asyncio.Event()
        self._unfinished = len(cases)
        self._attempts = 0
        self._output = output
        self._losses: Counter[str] = Counter()
        self._records: SimpleQueue[CaseRecord] = SimpleQueue()
        self._warnings: SimpleQueue[str] = SimpleQueue()
        self._waiting: asyncio.Queue[Case] = asyncio.Queue()
        for case in cases:
            self._waiting.put_nowait(case)

    async def next(self) -> Case:
        """A case that no worker has; if there is none now, one may be given back."""
        return await self._waiting.get()

    def give_back(self, case: Case) -> None:
        """Let another worker have it."""
        self._waiting.put_nowait(case)

    def lost(self, case: Case, worker: str, losses: int = 1) -> None:
        """Give back a case whose worker died, once or several times; the third time the case is to blame."""
        self._losses[case.name] += losses
        count = self._losses[case.name]
        self.warn(messages.WORKER_LOST.format(worker=worker, case=case.name, count=count, most=MOST_LOSSES))
        if count < MOST_LOSSES:
            self.give_back(case)
        else:
            self.fail(case, ClusterError(messages.CASE_LOST_ITS_WORKERS.format(count=count, worker=worker)))

    def fail(self, case: Case, error: BaseException) -> None:
        """Record that a case failed; OutputError if not even that can be written."""
        self._finish(failed_record(case, error, self._output))

    def accept(self, record: CaseRecord, written: Path) -> None:
        """Put what an attempt has written into its place in the output; OutputError if that cannot be done."""
        folder = emptied_folder(self._output, record.name)
        names = [Path(path).name for path in record.files.values()]
        try:
            for name in (*names, RECORD_FILE):  # which makes the others whole
                os.replace(case_folder(written, record.name) / name, folder / name)
        except OSError as error:
            raise OutputError(messages.NOT_WRITTEN_BECAUSE.format(path=folder, reason=error)) from error
        shutil.rmtree(written, ignore_errors=True)
        self._finish(record)

    def next_attempt(self) -> int:
        """A number for each time that a case is given to a worker."""
        self._attempts += 1
        return self._attempts

    def _finish(self, record: CaseRecord) -> None:
        self._records.put(record)
        self._unfinished -= 1
        if not self._unfinished:
            self.finished.set()

    def warn(self, text: str) -> None:
        """Tell what happens to the cluster, now and not only at the end of the run."""
        _log.warning("%s", printable(text))
        self._warnings.put(text)

    def pass_on(self, on_record: Callable[[CaseRecord], None], on_warning: Callable[[str], None]) -> None:
        """Hand over all records and warnings since the last time, in this thread."""
        _hand_over(self._warnings, on_warning)
        _hand_over(self._records, on_record)


def _hand_over(queue: SimpleQueue[T], to: Callable[[T], None]) -> None:
    with suppress(Empty):
        while True:
            to(queue.get_nowait())
