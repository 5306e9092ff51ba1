"""run_batch: all cases of a run, whichever way they are worked off; then the tables and the page."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from .. import messages
from ..data.modality import MR
from ..errors import Cancelled, InputError, LiverSegError, OutputError
from ..io.atomic import check_writable, remove_leftovers
from .cases import Case
from .lock import LOCK_FILE, only_run
from .log import BatchLog, batch_log
from .options import BatchOptions
from .own_places import check_own_folders
from .page import write_page
from .pipeline import run_pipeline
from .record import CASES_FOLDER, CaseRecord, case_folder, is_current, read_record
from .table import CSV_FILE, JSON_FILE, write_tables
from .workers import run_processes

PAGE_FILE = "index.html"

# Whoever looks at the page during the night sees what is done; writing it takes no more than a small share of the time.
SECONDS_BETWEEN_TABLES = 60.0
TABLES_SHARE = 0.02


@dataclass(frozen=True)
class BatchStatus:
    """How far a run is: of ``total`` cases some are finished, of these some failed or were skipped as whole."""

    total: int
    finished: int
    failed: int
    skipped: int
    latest: CaseRecord


Progress = Callable[[BatchStatus], None]


@dataclass(frozen=True)
class BatchResult:
    """Records of all cases, sorted by name; how many were done and failed in this run, or skipped as whole."""

    records: tuple[CaseRecord, ...]
    done: int
    failed: int
    skipped: int
    warnings: tuple[str, ...] = ()


def run_batch(
    cases: Sequence[Case],
    options: BatchOptions,
    output: Path,
    jobs: int = 1,
    scheduler: str | None = None,
    resume: bool = True,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
    notes: Sequence[str] = (),
) -> BatchResult:
    """Segment all cases; leave files and a record for each, and tables, a page and a log for all.

    Parameters
    ----------
    cases, output
        Cases with unique names, as :func:`LiverSegLib.batch.find.find_cases` gives them; a folder, made if missing.
    jobs, scheduler
        Processes on this computer, 1 for this process alone; or the address of a Dask scheduler, whose workers do it.
    resume
        Skip the cases that an earlier run left whole, of the same input, weights and options.
    progress, cancel
        Called in this thread after each case; set to stop within a second or two, and what is finished stays.
    notes
        Sentences for the log, such as what was left out of the cases.

    Raises
    ------
    LiverSegLib.errors.LiverSegError
        Cancelled; OutputError if the output cannot be written or another run writes to it; InputError if ``jobs`` is
        not positive; ModelError, DeviceError or ClusterError if the network cannot run.
    """
    if jobs < 1:
        raise InputError(messages.BAD_JOBS.format(jobs=jobs))
    digests = _model_digests(options)
    _make_folder(output, cases)
    with only_run(output), batch_log(output, notes) as log:
        remove_leftovers(output, (CSV_FILE, JSON_FILE, PAGE_FILE))
        run = _Run(cases, options, output, log, progress, cancel or threading.Event())
        run.work(run.without_whole_ones(digests) if resume else cases, jobs, scheduler)
        return run.result()


@dataclass
class _Run:
    """What is known of a run while it goes on."""

    cases: Sequence[Case]
    options: BatchOptions
    output: Path
    log: BatchLog
    progress: Progress | None
    cancel: threading.Event
    records: dict[str, CaseRecord] = field(default_factory=dict)
    skipped: int = 0
    warnings: list[str] = field(default_factory=list)
    _next_tables: float = field(default_factory=lambda: monotonic() + SECONDS_BETWEEN_TABLES)

    def without_whole_ones(self, model_digests: Sequence[str]) -> Iterator[Case]:
        """The cases that have to be done; the others, by one of these weights, are finished by being skipped."""
        weights = {self.options.digest(sha256): sha256 for sha256 in model_digests}
        for case in self.cases:
            if self.cancel.is_set():
                raise Cancelled(self.told_as_cancelled())
            record = read_record(case_folder(self.output, case.name))
            # Reading a whole input takes time, so it is left out where the record says enough.
            if (
                record is not None
                and record.status == "done"
                and (sha256 := weights.get(record.options))
                and is_current(record, _input_digest(case), sha256, record.options, self.output)
            ):
                self.skipped += 1
                self.finish(record, skipped=True)
            else:
                yield case

    def work(self, cases: Iterable[Case], jobs: int, scheduler: str | None) -> None:
        """Do the cases in one of three ways; the tables are written however it ends."""
        todo = list(cases)
        try:
            if scheduler is not None:
                from .cluster import run_on_cluster

                run_on_cluster(todo, self.options, self.output, scheduler, self.finish, self.cancel, self.log.warning)
            elif jobs > 1 and len(todo) > 1:
                run_processes(todo, self.options, self.output, jobs, self.finish, self.cancel)
            else:
                run_pipeline(todo, self.options, self.output, self.finish, self.cancel)
        except Cancelled as error:
            raise Cancelled(self.told_as_cancelled()) from error
        except LiverSegError as error:
            self.log.warning(str(error))
            raise
        finally:
            self.write_tables()

    def finish(self, record: CaseRecord, skipped: bool = False) -> None:
        """A case has its record."""
        self.records[record.name] = record
        self.log.case(record, skipped)
        if self.progress is not None:
            self.progress(BatchStatus(len(self.cases), len(self.records), self._failed(), self.skipped, record))
        if monotonic() >= self._next_tables:
            started = monotonic()
            self.write_tables()
            took = monotonic() - started
            self._next_tables = monotonic() + max(SECONDS_BETWEEN_TABLES, took / TABLES_SHARE)

    def write_tables(self) -> None:
        """Write tables and page of what is finished; if that fails it is a warning, since all records are there."""
        records = sorted(self.records.values(), key=lambda record: record.name)
        self.warnings.clear()
        try:
            self.warnings += write_tables(self.output, records)
            title = messages.BATCH_TITLE.format(count=len(self.cases))
            write_page(self.output / PAGE_FILE, records, title, self.skipped)
        except OutputError as error:
            self.warnings.append(str(error))
        for warning in self.warnings:
            self.log.warning(warning)

    def result(self) -> BatchResult:
        failed = self._failed()
        done = len(self.records) - failed - self.skipped
        records = tuple(sorted(self.records.values(), key=lambda record: record.name))
        return BatchResult(records, done, failed, self.skipped, tuple(self.warnings))

    def told_as_cancelled(self) -> str:
        return messages.BATCH_CANCELLED.format(finished=len(self.records), total=len(self.cases))

    def _failed(self) -> int:
        return sum(record.status == "failed" for record in self.records.values())


def _model_digests(options: BatchOptions) -> list[str]:
    """Of the weights that there are for CT and for MR; raises ModelError where the former cannot be used."""
    from ..model.liver_model import BUNDLED, LiverModel, bundled_model_path, verified_card

    model = LiverModel.load(options.model).card
    others = [bundled_model_path(BUNDLED[MR])] if model.modality != MR else []
    return [model.sha256, *(verified_card(path).sha256 for path in others if path.exists())]


def _input_digest(case: Case) -> str:
    try:
        return case.input_digest()
    except OSError:
        return ""  # no record has this: the case is run, and tells what is wrong


def _make_folder(output: Path, cases: Sequence[Case]) -> None:
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(messages.FOLDER_NOT_MADE.format(folder=output, reason=error.strerror)) from error
    check_writable(output / LOCK_FILE)
    check_own_folders((output / CASES_FOLDER, *(case_folder(output, case.name) for case in cases)))
