"""What runs in a worker process of a Dask cluster: is it fit for the run, and one case after the other."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__, messages
from ..errors import InputError, LiverSegError, OutputError
from ..io.atomic import check_writable
from .cases import Case
from .options import BatchOptions

if TYPE_CHECKING:
    from ..inference.segmenter import Segmenter
    from .one_case import ResidentSegmenter

STAGING_PREFIX = ".cluster-"

# A worker with several threads does not run several cases: one takes them all, or the whole GPU.
_one_at_a_time = threading.Lock()
# What stops the cases of a run, by the run's token: one entry for each run that this process worked for.
_stops: dict[str, _Stop] = {}


@dataclass(frozen=True)
class ClusterRun:
    """What is the same for all cases of a run.

    Parameters
    ----------
    token
        Tells the run from others on the same cluster.
    version, model_sha256
        The library and the weights that all results have to come from.
    options
        As for one case; the path of a model is absolute.
    output
        Absolute path of the run's output.
    an_input
        Absolute path of one of the inputs; None if there is none.
    """

    token: str
    version: str
    model_sha256: str
    options: BatchOptions
    output: Path
    an_input: Path | None

    @property
    def staging(self) -> Path:
        """Folder in the output for what is not yet accepted."""
        return self.output / f"{STAGING_PREFIX}{self.token}"

    @property
    def probe(self) -> Path:
        """A file that holds the token: whoever can read it sees the run's output, not a folder of the same name."""
        return self.staging / "probe"

    def attempt_folder(self, attempt: int) -> Path:
        """What one attempt at one case writes into as if it were the output.

        A worker that was thought lost may finish all the same, while another does its case: they never meet.
        """
        return self.staging / f"attempt-{attempt}"


async def check_worker(run: ClusterRun, dask_worker: Any) -> None:
    """Find out whether this worker can do what a run needs; on the way it loads the network, for its first case.

    Dask gives ``dask_worker``, the worker itself. Loading takes seconds, so it happens in a thread: the worker must
    answer its scheduler meanwhile.

    Raises
    ------
    LiverSegError
        A sentence that names the worker.
    """
    await asyncio.to_thread(_check, run, dask_worker.address)


def run_case_on_worker(case: Case, run: ClusterRun, attempt: int) -> dict[str, Any]:
    """Run one case with the network that this process keeps, and return its record as a dictionary.

    All is written into the attempt's folder.

    Raises
    ------
    Cancelled
        If the run was stopped, or Dask closes the worker: then another one does the case.
    LiverSegError
        If the network cannot be loaded any more, or nothing can be written.
    """
    from distributed import get_worker

    from ..model.devices import use_threads
    from .one_case import run_case

    with _one_at_a_time:
        # In the thread that computes: PyTorch counts for each of them.
        use_threads(run.options.threads or get_worker().state.nthreads)
        output = run.attempt_folder(attempt)
        output.mkdir(parents=True, exist_ok=True)
        try:
            return run_case(case, run.options, output, _network(run), _stop_of(run.token)).to_dict()
        except OutputError as error:  # the user knows the output, not the attempts
            raise OutputError(str(error).replace(str(output), str(run.output))) from error


def stop_run(token: str) -> None:
    """Stop the case of this run that the process works on; it leaves no trace."""
    _stop_of(token).set()


class _Stop(threading.Event):
    """Set by :func:`stop_run`, and as good as set when Dask closes the worker in whose thread it is asked."""

    def is_set(self) -> bool:
        from distributed import Status, get_worker

        return super().is_set() or get_worker().status in (Status.closing, Status.closed, Status.failed)


def _network(run: ClusterRun) -> Segmenter:
    """The network of this process, in the weights of the run."""
    segmenter = resident_network(run.options, run.model_sha256).get()
    found = segmenter.model.card.sha256
    if found != run.model_sha256:
        raise InputError(messages.OTHER_WEIGHTS.format(found=found[:12], wanted=run.model_sha256[:12]))
    return segmenter


@lru_cache(maxsize=1)
def resident_network(options: BatchOptions, model_sha256: str) -> ResidentSegmenter:
    """One for all cases of a run, and for the next run if it wants the same."""
    from .one_case import ResidentSegmenter

    return ResidentSegmenter(options)


def _check(run: ClusterRun, worker: str) -> None:
    if __version__ != run.version:
        raise InputError(messages.WORKER_OF_OTHER_VERSION.format(worker=worker, found=__version__, wanted=run.version))
    if _content(run.probe) != run.token:
        raise InputError(messages.WORKER_SEES_NO_OUTPUT.format(worker=worker, folder=run.output))
    if run.an_input is not None and not os.path.exists(run.an_input):
        raise InputError(messages.WORKER_SEES_NO_INPUT.format(worker=worker, path=run.an_input))
    try:
        check_writable(run.probe)
        _network(run)
    except LiverSegError as error:
        raise InputError(messages.WORKER_NOT_READY.format(worker=worker, problem=str(error).rstrip("."))) from error


def _content(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return None


def _stop_of(token: str) -> _Stop:
    return _stops.setdefault(token, _Stop())
