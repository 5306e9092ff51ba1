"""What `liverseg batch` does, in a shell and in Slicer: find the cases, run them, and tell how it went."""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import TextIO

from .. import messages
from ..errors import LiverSegError, OutputError
from ..io.terminal import tell, tell_error
from .find import search_cases
from .options import BatchOptions
from .run import PAGE_FILE, BatchResult, BatchStatus, run_batch
from .table import CSV_FILE, JSON_FILE

# So many failed cases, or things left out, are listed; the rest is in the files.
LISTED = 10
# How often a line is written where no terminal shows one that changes: the log of a cluster's job, say.
SECONDS_BETWEEN_LINES = 60.0


class CasesFailed(LiverSegError):
    """The run went to its end, and some cases failed."""


def run_command(options: argparse.Namespace, cancel: threading.Event) -> None:
    """Run a batch with the options of the command line and print its summary.

    Raises
    ------
    CasesFailed
        If a case failed.
    LiverSegError
        What :func:`search_cases` and :func:`run_batch` raise.
    """
    wanted = BatchOptions(
        device=options.device,
        tumour=options.tumour,
        segments=options.segments,
        vessels=options.vessels,
        spleen=options.spleen,
        modality=options.modality,
        force=options.force,
        model=options.model,
        suffix=options.format,
        pictures=options.pictures,
        patient_data=options.patient_data,
        threads=options.threads,
    )
    _check_places(options.input, options.output)
    search = search_cases(options.input, options.references, options.output, options.patient_data, options.modality)
    with ProgressLine(sys.stderr) as progress:
        result = run_batch(
            search.cases,
            wanted,
            options.output,
            jobs=options.jobs,
            scheduler=options.scheduler,
            resume=options.resume,
            progress=progress,
            cancel=cancel,
            notes=[messages.BATCH_LEFT_OUT.format(what=what) for what in search.left_out],
        )
    tell(*summary(result, search.left_out, options.output, bool(options.references)))
    if result.failed:
        table = options.output / CSV_FILE
        raise CasesFailed(messages.CASES_FAILED.format(failed=result.failed, total=len(result.records), table=table))


def summary(result: BatchResult, left_out: Sequence[str], output: Path, with_references: bool) -> list[str]:
    """The lines that tell how a run went."""
    counts = {"total": len(result.records), "done": result.done, "failed": result.failed, "skipped": result.skipped}
    lines = [messages.BATCH_SUMMARY.format(**counts)]
    done = [record.report for record in result.records if record.report is not None]
    dice = [report["dice"] for report in done if report.get("dice") is not None]
    if dice:
        lines.append(messages.BATCH_MEDIAN_DICE.format(dice=statistics.median(dice), count=len(dice)))
    if with_references and len(dice) < len(done):
        lines.append(messages.BATCH_WITHOUT_REFERENCE.format(count=len(done) - len(dice), total=len(done)))
    failed = [record for record in result.records if record.status == "failed"]
    lines += _at_most(
        [messages.BATCH_FAILED_CASE.format(name=record.name, reason=record.reason) for record in failed],
        output / CSV_FILE,
    )
    lines += _at_most([messages.BATCH_LEFT_OUT.format(what=what) for what in left_out], output / "batch.log")
    lines += [messages.SUMMARY_WARNING.format(warning=warning) for warning in result.warnings]
    written = ", ".join(str(output / name) for name in (PAGE_FILE, CSV_FILE, JSON_FILE))
    return [*lines, messages.WRITTEN.format(files=written), messages.RESEARCH_USE]


class ProgressLine:
    """How far the run is, and how long it still takes: one line that changes on a terminal, elsewhere one a minute."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._is_terminal = stream.isatty()
        self._started = self._last_line = monotonic()
        self._width = 0

    def __enter__(self) -> ProgressLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_terminal:
            self._rewrite("")
            print(end="\r", file=self._stream, flush=True)

    def __call__(self, status: BatchStatus) -> None:
        now = monotonic()
        line = _progress_text(status, now - self._started)
        if self._is_terminal:
            self._rewrite(line)
        elif now - self._last_line >= SECONDS_BETWEEN_LINES:
            self._last_line = now
            tell_error(line)

    def _rewrite(self, line: str) -> None:
        print("\r" + line.ljust(self._width), end="", file=self._stream, flush=True)
        self._width = len(line)


def _progress_text(status: BatchStatus, elapsed: float) -> str:
    parts = [messages.BATCH_PROGRESS.format(finished=status.finished, total=status.total)]
    if status.failed:
        parts.append(messages.BATCH_PROGRESS_FAILED.format(failed=status.failed))
    # What was skipped took no time, and tells nothing of how long the others take.
    worked, left = status.finished - status.skipped, status.total - status.finished
    if worked and left:
        parts.append(_time_left(elapsed / worked * left))
    return f"{status.finished / status.total:4.0%}  " + ", ".join(parts)


def _time_left(seconds: float) -> str:
    if seconds < 90:
        return messages.REMAINING_SECONDS.format(seconds=round(seconds))
    if seconds < 90 * 60:
        return messages.REMAINING_MINUTES.format(minutes=round(seconds / 60))
    return messages.REMAINING_HOURS.format(hours=seconds / 3600)


def _at_most(lines: Sequence[str], path: Path) -> list[str]:
    more = len(lines) - LISTED
    return [*lines[:LISTED], *([messages.BATCH_MORE.format(count=more, path=path)] if more > 0 else [])]


def _check_places(source: Path, output: Path) -> None:
    if os.path.realpath(source) == os.path.realpath(output):
        raise OutputError(messages.OUTPUT_HOLDS_INPUT.format(output=output))
