"""What is lost on the way (a worker, the scheduler, memory) costs no case but the one that is to blame."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import dask
import numpy as np
import pytest

from LiverSegLib.batch import Case, CaseRecord
from LiverSegLib.batch.record import read_record
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import ClusterError
from LiverSegLib.io import files
from Testing.cluster.conftest import RunCases, Warnings
from Testing.cluster.processes import Cluster

pytestmark = pytest.mark.slow

TIMEOUT = "distributed.comm.timeouts.connect"


def once(action: Callable[[], object]) -> Callable[[CaseRecord], None]:
    """Do something when the first record comes: most cases are still to be done, and each worker has one."""
    left = [action]

    def on_record(_: CaseRecord) -> None:
        if left:
            left.pop()()

    return on_record


def names(records: list[CaseRecord]) -> list[str]:
    return sorted(record.name for record in records)


def test_the_case_of_a_worker_that_is_killed_is_done_by_another(
    a_cluster: Cluster, run_cases: RunCases, many_cases: list[Case], warnings: Warnings
) -> None:
    lost, _ = a_cluster.start_worker(), a_cluster.start_worker()
    told: list[str] = []
    kill = once(lambda: a_cluster.kill_worker(lost))
    records = run_cases(a_cluster, many_cases, on_record=kill, on_warning=told.append)
    assert names(records) == names(many_cases)
    assert {record.status for record in records} == {"done"}
    assert warnings.tell_of(lost, "was lost") and told == warnings.texts


def test_workers_that_join_during_the_run_take_part(
    a_cluster: Cluster, run_cases: RunCases, many_cases: list[Case], warnings: Warnings
) -> None:
    """The first when the run waits for one; the second does the rest while the first stands still."""
    count: list[CaseRecord] = []
    first: list[str] = []

    def start_when_missed() -> None:
        warnings.wait_for(a_cluster.address, "has no workers")
        first.append(a_cluster.start_worker())

    def on_record(record: CaseRecord) -> None:
        count.append(record)
        if len(count) == 1:
            helper.join()
            a_cluster.signal_worker(first[0], signal.SIGSTOP)
            a_cluster.start_worker()
        if len(count) == len(many_cases) - 1:  # all but the one that the first has
            a_cluster.signal_worker(first[0], signal.SIGCONT)

    helper = threading.Thread(target=start_when_missed)
    helper.start()
    records = run_cases(a_cluster, many_cases, on_record=on_record)
    assert names(records) == names(many_cases)
    assert {record.status for record in records} == {"done"}


def test_a_case_that_takes_too_much_memory_fails_and_the_others_are_done(
    a_cluster: Cluster, run_cases: RunCases, some_cases: list[Case], tmp_path: Path
) -> None:
    huge = tmp_path / "huge.nii"
    hu = np.tile(files.read_ct(some_cases[0].ct).hu, (100, 8, 8))  # 300 MB, and all of it once more on the way
    files.write_ct(huge, CTVolume(hu, np.diag((-0.75, -0.75, 1.0, 1.0))))
    a_cluster.start_worker("--nanny", "--memory-limit", "700MB")
    cases = [Case("huge", huge, source=huge.name), *some_cases]
    records = {record.name: record for record in run_cases(a_cluster, cases)}
    assert names(list(records.values())) == names(cases)
    assert {name for name, record in records.items() if record.status == "failed"} == {"huge"}
    assert "lost 3 times" in records["huge"].reason and "memory" in records["huge"].reason


def test_a_run_goes_on_when_the_scheduler_is_started_again(
    a_cluster: Cluster, run_cases: RunCases, many_cases: list[Case]
) -> None:
    a_cluster.start_worker()

    def restart() -> None:
        a_cluster.kill_scheduler()
        a_cluster.start_scheduler()
        a_cluster.start_worker()

    with dask.config.set({TIMEOUT: "300s"}):
        records = run_cases(a_cluster, many_cases, on_record=once(restart))
    assert names(records) == names(many_cases)
    assert {record.status for record in records} == {"done"}


def test_without_its_scheduler_a_run_ends_and_keeps_what_is_finished(
    a_cluster: Cluster, run_cases: RunCases, many_cases: list[Case], output: Path
) -> None:
    a_cluster.start_worker()

    def kill() -> None:
        dask.config.set({TIMEOUT: "1s"})
        a_cluster.kill_scheduler()

    with dask.config.set({TIMEOUT: "300s"}), pytest.raises(ClusterError) as caught:
        run_cases(a_cluster, many_cases, on_record=once(kill))
    assert a_cluster.address in str(caught.value) and "run the same command again" in str(caught.value)
    finished = [record for folder in (output / "cases").iterdir() if (record := read_record(folder))]
    assert 1 <= len(finished) < len(many_cases)
    assert all((output / path).is_file() for record in finished for path in record.files.values())
