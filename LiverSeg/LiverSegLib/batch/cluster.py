"""run_on_cluster: the cases of a run on the workers of a Dask cluster that is there already.

Every worker is given one case at a time, and no other worker may take that one: so the scheduler never holds more
tasks than there are workers, and when a worker is lost it is known which case it had.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, messages
from ..errors import Cancelled, ClusterError, InputError, InstallError, OutputError
from ..inference.worker import Worker
from .cases import Case
from .cluster_ledger import Ledger
from .cluster_worker import STAGING_PREFIX, ClusterRun
from .options import BatchOptions
from .record import CaseRecord

if TYPE_CHECKING:
    from distributed import Client

ANSWER_SECONDS = 0.1  # until a cancel is noticed, and a record passed on
STOP_SECONDS = 3.0  # that a stopped run is given to take its leave


def run_on_cluster(
    cases: Sequence[Case],
    options: BatchOptions,
    output: Path,
    scheduler: str,
    on_record: Callable[[CaseRecord], None],
    cancel: threading.Event | None = None,
    on_warning: Callable[[str], None] = lambda _: None,
) -> None:
    """Run the cases on the workers of a Dask cluster; they read and write the same paths, on storage shared by all.

    Workers that join later take part, and the case of a worker that is lost goes to another one. A scheduler that is
    lost is waited for as long as Dask waits for a connection.

    Parameters
    ----------
    scheduler
        Address of the Dask scheduler, ``tcp://host:port`` or ``tls://host:port``.
    on_record, on_warning
        Called in this thread with the record of each case, soon after it ended, and with what happens to the cluster:
        workers that are lost, unfit, or missing. Python's logging hears of the latter as well.
    cancel
        Set it to stop the run within a second or two; what is finished stays.

    Raises
    ------
    LiverSegLib.errors.LiverSegError
        InputError if no scheduler answers there or one of its first workers is not fit, and then no case has run;
        ClusterError if it is lost for good; OutputError if nothing can be written any more; InstallError without Dask;
        Cancelled if ``cancel`` was set.
    """
    _check_address(scheduler)
    if not cases:
        return
    run = _run_of(cases, options, output)
    ledger = Ledger([_with_absolute_paths(case) for case in cases], run.output)
    with _staging(run):
        _work_in_a_thread(ledger, run, scheduler, lambda: ledger.pass_on(on_record, on_warning), cancel)


def _work_in_a_thread(
    ledger: Ledger, run: ClusterRun, scheduler: str, pass_on: Callable[[], None], cancel: threading.Event | None
) -> None:
    """Wait for the work, and call ``pass_on`` in this thread all the while."""
    thread = Worker("LiverSeg cluster")
    task = thread.start(lambda _, stop: asyncio.run(_until_stopped(stop, _work(ledger, run, scheduler))))
    try:
        while not task.wait(ANSWER_SECONDS):
            pass_on()
            if cancel is not None and cancel.is_set():
                task.cancel.set()
        task.result()
    finally:
        thread.close(STOP_SECONDS)
        pass_on()


def _check_address(scheduler: str) -> None:
    try:
        from distributed.comm import get_address_host_port
    except ImportError as error:
        raise InstallError(messages.NO_DASK) from error
    try:
        _, port = get_address_host_port(scheduler)
    except ValueError as error:
        raise InputError(messages.BAD_SCHEDULER_ADDRESS.format(address=scheduler, reason=error)) from error
    if not 0 < port < 65536:
        raise InputError(messages.BAD_SCHEDULER_ADDRESS.format(address=scheduler, reason=port))


def _run_of(cases: Sequence[Case], options: BatchOptions, output: Path) -> ClusterRun:
    from ..model.liver_model import ModelCard, bundled_model_path

    if options.model is not None:
        options = replace(options, model=_absolute(options.model))
    card = ModelCard.read((options.model or bundled_model_path()).with_suffix(".json"))
    inputs = (_absolute(case.ct) for case in cases if not case.problem)
    return ClusterRun(secrets.token_hex(8), __version__, card.sha256, options, _absolute(output), next(inputs, None))


def _with_absolute_paths(case: Case) -> Case:
    reference = None if case.reference is None else _absolute(case.reference)
    return replace(case, ct=_absolute(case.ct), reference=reference)


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))


@contextmanager
def _staging(run: ClusterRun) -> Iterator[None]:
    """The folder that workers write into; its probe tells them that they see the same one. Nothing of it stays."""
    _clear_staging(run.output)  # of a run that was killed
    try:
        run.staging.mkdir()
        run.probe.write_text(run.token, encoding="utf-8")
    except OSError as error:
        raise OutputError(messages.FOLDER_NOT_WRITABLE.format(folder=run.output, reason=error.strerror)) from error
    try:
        yield
    finally:
        _clear_staging(run.output)


def _clear_staging(output: Path) -> None:
    for folder in output.glob(f"{STAGING_PREFIX}*"):
        shutil.rmtree(folder, ignore_errors=True)


async def _until_stopped(stop: threading.Event, work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(work)
    while not task.done():
        await asyncio.wait({task}, timeout=ANSWER_SECONDS)
        if stop.is_set():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            raise Cancelled()
    task.result()


async def _work(ledger: Ledger, run: ClusterRun, scheduler: str) -> None:
    """One connection after the other, until no case is left."""
    from .cluster_session import Session

    is_first = True
    while not ledger.finished.is_set():
        async with await _connected(scheduler, is_first) as client:
            await Session(client, run, ledger, is_first).work()
        is_first = False


async def _connected(scheduler: str, is_first: bool) -> Client:
    from distributed import Client

    from .cluster_session import answer_seconds

    client = Client(scheduler, asynchronous=True, set_as_default=False, name="liverseg")
    try:
        # Dask itself would wait without end for one that takes the connection and then is silent.
        return await asyncio.wait_for(client, answer_seconds() + 1)
    # TimeoutError is an OSError. A Dask of quite another time raises ImportError, TLS without certificates TypeError.
    except (OSError, ImportError, TypeError) as error:
        with suppress(TimeoutError):
            await asyncio.wait_for(client.close(), STOP_SECONDS)
        if is_first:
            raise InputError(
                messages.NO_SCHEDULER.format(address=scheduler, reason=str(error) or type(error).__name__)
            ) from error
        raise ClusterError(messages.SCHEDULER_LOST.format(address=scheduler)) from error
