"""Session: one connection to a Dask scheduler, and the workers that are kept busy through it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import dask
from dask.utils import parse_timedelta
from distributed import Client, KilledWorker

from .. import messages
from ..errors import Cancelled, InputError, LiverSegError, OutputError
from .cases import Case
from .cluster_ledger import Ledger
from .cluster_worker import ClusterRun, check_worker, run_case_on_worker, stop_run
from .record import CaseRecord

LOOK_SECONDS = 1.0  # between two looks at which workers there are
STOP_SECONDS = 1.0  # that workers are given to hear of a stop


def answer_seconds() -> float:
    """How long a scheduler is given to answer: what Dask's settings say of connections."""
    return float(parse_timedelta(dask.config.get("distributed.comm.timeouts.connect")))


class Session:
    """Gives each worker one case after the other, for as long as the connection holds.

    Parameters
    ----------
    client
        The connection, asynchronous.
    run, ledger
        What is to be done, and what of it is left.
    is_first
        Whether no case has begun yet, so that the run can still be refused because of a worker.
    """

    def __init__(self, client: Client, run: ClusterRun, ledger: Ledger, is_first: bool) -> None:
        self._client, self._run, self._ledger = client, run, ledger
        self._may_refuse = is_first
        self._scheduler_id = ""
        self._told_of_no_workers = False
        self._address = ""
        # By the worker's address: what the scheduler tells of it, who gives it cases, and which case it has.
        self._workers: Mapping[str, dict[str, Any]] = {}
        self._busy: dict[str, asyncio.Task[None]] = {}
        self._doing: dict[str, Case] = {}
        self._unfit: set[str] = set()

    async def work(self) -> None:
        """Keep the workers busy until no case is left, or the connection is lost.

        Raises
        ------
        InputError
            If no case has begun and a worker is not fit for the run.
        OutputError
            If nothing can be written any more.
        """
        try:
            while not self._ledger.finished.is_set() and await self._look():
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._ledger.finished.wait(), LOOK_SECONDS)
        except BaseException:
            await self._take_back()
            with suppress(OSError, TimeoutError):
                await asyncio.wait_for(self._client.run(stop_run, self._run.token, on_error="ignore"), STOP_SECONDS)
            raise
        await self._take_back()

    async def _look(self) -> bool:
        """Look which workers there are now; False if the scheduler is gone, or has been replaced by another."""
        scheduler = self._client.scheduler
        if scheduler is None or self._client.status != "running":
            return False
        try:
            identity = await asyncio.wait_for(scheduler.identity(n_workers=-1), answer_seconds())
        except OSError:
            return False
        self._address = identity["address"]
        self._scheduler_id = self._scheduler_id or identity["id"]
        if identity["id"] != self._scheduler_id:
            return False
        self._workers = identity["workers"]
        self._part_with_the_lost()
        await self._take_on_the_new()
        return True

    def _part_with_the_lost(self) -> None:
        self._unfit &= self._workers.keys()
        for worker, task in list(self._busy.items()):
            if task.done():
                del self._busy[worker]
                task.result()
            elif worker not in self._workers:
                del self._busy[worker]
                task.cancel()
                if case := self._doing.pop(worker, None):
                    self._ledger.lost(case, worker)

    async def _take_on_the_new(self) -> None:
        if not self._workers and not self._told_of_no_workers:
            self._ledger.warn(messages.NO_WORKERS.format(address=self._address))
        self._told_of_no_workers = not self._workers
        new = self._workers.keys() - self._busy.keys() - self._unfit
        if not new:
            return
        answers = await self._client.run(check_worker, self._run, workers=sorted(new), on_error="return")
        # A worker that cannot be reached is asked again at the next look, if it is still there.
        problems = {
            worker: self._problem(worker, error)
            for worker, error in answers.items()
            if error is not None and not isinstance(error, OSError)
        }
        for problem in problems.values():
            if self._may_refuse:
                raise InputError(problem)
            self._ledger.warn(messages.WORKER_LEFT_OUT.format(problem=problem))
        self._may_refuse = False
        self._unfit |= problems.keys()
        for worker in (worker for worker, error in answers.items() if error is None):
            self._busy[worker] = asyncio.create_task(self._keep_busy(worker))

    def _problem(self, worker: str, error: Exception) -> str:
        if isinstance(error, LiverSegError):
            return str(error)
        reason = f"{type(error).__name__}: {error}"
        return messages.WORKER_WITHOUT_LIBRARY.format(worker=worker, wanted=self._run.version, reason=reason)

    async def _keep_busy(self, worker: str) -> None:
        """Give a worker one case after the other, until it is cancelled or the connection is lost."""
        while True:
            # One that is short of memory, or about to end, begins nothing new.
            while self._workers[worker]["status"] != "running":
                await asyncio.sleep(LOOK_SECONDS)
            case = self._doing[worker] = await self._ledger.next()
            has_ended = await self._has_ended(case, worker)
            del self._doing[worker]
            if not has_ended:
                self._ledger.give_back(case)
                return

    async def _has_ended(self, case: Case, worker: str) -> bool:
        """Run a case and tell the ledger how it went; False if connection or worker is going."""
        announced = self._workers[worker]["resources"]
        attempt = self._ledger.next_attempt()
        future = self._client.submit(
            run_case_on_worker,
            case,
            self._run,
            attempt,
            workers=[worker],
            resources={"GPU": 1} if announced.get("GPU") else None,
            pure=False,
        )
        try:
            record = CaseRecord.from_dict(await future)
        except KilledWorker as error:  # by a case that it was given again and again under the same address
            self._ledger.lost(case, worker, error.allowed_failures + 1)
        except OutputError:
            raise
        except Cancelled:  # Dask is closing the worker
            return False
        except Exception as error:
            if future.status != "error":
                return False
            self._ledger.fail(case, error)
        else:
            self._ledger.accept(record, self._run.attempt_folder(attempt))
        return True

    async def _take_back(self) -> None:
        """Take the workers' cases back; the scheduler drops those that have not begun."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        for case in self._doing.values():
            self._ledger.give_back(case)
