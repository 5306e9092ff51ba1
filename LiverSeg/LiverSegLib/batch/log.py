"""The run's log: one line for each case, and for what happened to the run; nothing about patients."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from ..io.terminal import printable
from .own_places import open_own
from .record import CaseRecord

LOG_FILE = "batch.log"


class BatchLog:
    """Lines with the time before them, added to what earlier runs left.

    The logger is not known to the rest of the program, so that the lines of an application that this runs in stay
    apart from ours.
    """

    def __init__(self, handler: logging.Handler) -> None:
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
        self._logger = logging.Logger("LiverSeg batch")
        self._logger.addHandler(handler)

    def case(self, record: CaseRecord, skipped: bool = False) -> None:
        """What became of a case."""
        if record.status == "failed":
            self._logger.error("%s: failed: %s", record.name, record.reason)
        elif skipped:
            self._logger.info("%s: skipped, it was whole", record.name)
        else:
            self._logger.info("%s: done, %s", record.name, _numbers(record))

    def note(self, text: str) -> None:
        """Something about the run."""
        self._logger.info("%s", text)

    def warning(self, text: str) -> None:
        """Something about the run that the user should know."""
        self._logger.warning("%s", text)


class _OneLine(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


@contextmanager
def batch_log(output: Path, notes: Sequence[str] = ()) -> Iterator[BatchLog]:
    """The log of an output folder, begun with some notes; OutputError if it cannot be opened."""
    file = os.fdopen(open_own(output / LOG_FILE, os.O_WRONLY | os.O_APPEND), "a", encoding="utf-8")
    handler = logging.StreamHandler(file)
    # A full disk: the run itself tells, in a better sentence than logging's traceback.
    handler.handleError = lambda record: None  # type: ignore[method-assign]
    log = BatchLog(handler)
    try:
        for note in notes:
            log.note(note)
        yield log
    finally:
        with suppress(OSError):
            file.close()


def _numbers(record: CaseRecord) -> str:
    report = record.report or {}
    numbers = [f"{record.seconds:.1f} s", f"liver {report.get('liver_volume_ml', 0):.0f} ml"]
    if report.get("dice") is not None:
        numbers.append(f"Dice {report['dice']:.3f}")
    if report.get("warnings"):
        numbers.append(f"{len(report['warnings'])} warnings")
    return ", ".join(numbers)
