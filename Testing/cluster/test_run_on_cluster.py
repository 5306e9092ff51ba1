"""Cases on the workers of a cluster give what one process gives, and leave cluster and client as they were."""

from __future__ import annotations

import copy
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import torch
from distributed import SchedulerPlugin

from LiverSegLib.batch import BatchOptions, Case, CaseRecord
from LiverSegLib.batch.pipeline import run_pipeline
from LiverSegLib.batch.record import read_record
from LiverSegLib.errors import Cancelled
from LiverSegLib.io import files
from Testing.cluster.conftest import RunCases
from Testing.cluster.processes import Cluster


def labels_of(output: Path, record: CaseRecord) -> np.ndarray:
    return files.read_labels(output / record.files["segmentation"])[0]


def without_times(record: CaseRecord) -> CaseRecord:
    assert record.report is not None
    return replace(record, seconds=0.0, report={**record.report, "seconds": {}})


def test_a_cluster_gives_what_one_process_gives(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], output: Path, tmp_path: Path
) -> None:
    with_the_real_network = BatchOptions(device="cpu", threads=torch.get_num_threads())
    alone = tmp_path / "alone"
    alone.mkdir()
    expected: list[CaseRecord] = []
    run_pipeline(some_cases[:2], with_the_real_network, alone, expected.append)
    found = run_cases(two_workers, some_cases[:2], options=with_the_real_network)
    found.sort(key=lambda record: record.name)
    assert [without_times(record) for record in found] == [without_times(record) for record in expected]
    for one, other in zip(found, expected, strict=True):
        assert labels_of(alone, other).any()
        np.testing.assert_array_equal(labels_of(output, one), labels_of(alone, other))
        assert (output / one.files["picture"]).read_bytes() == (alone / other.files["picture"]).read_bytes()


def test_a_bad_case_fails_alone_and_by_name(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], tmp_path: Path
) -> None:
    empty = tmp_path / "empty.nii.gz"
    empty.touch()
    bad = [Case("empty", empty, source=empty.name), Case("unclear", empty, problem="Two references fit; name one.")]
    records = {record.name: record for record in run_cases(two_workers, [*bad, *some_cases])}
    failed = {name: record.reason for name, record in records.items() if record.status == "failed"}
    assert set(failed) == {"empty", "unclear"}
    assert failed["empty"].startswith("empty.nii.gz is empty (0 bytes)")
    assert len(records) == len(some_cases) + 2


def test_relative_paths_mean_the_same_to_the_workers(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = some_cases[0]
    monkeypatch.chdir(case.ct.parent)
    (record,) = run_cases(two_workers, [replace(case, ct=Path(case.ct.name))])
    assert record.status == "done"


def test_the_network_stays_in_a_worker_from_run_to_run(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case]
) -> None:
    def times_loaded() -> int:
        from LiverSegLib.batch.cluster_worker import resident_network

        return resident_network.cache_info().misses

    run_cases(two_workers, some_cases)
    once = two_workers.client.run(times_loaded)
    run_cases(two_workers, some_cases)
    assert two_workers.client.run(times_loaded) == once


def test_each_worker_has_one_case_at_a_time_which_asks_for_its_gpu(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case]
) -> None:
    # Local, so that it travels to the scheduler whole: the scheduler's process cannot import the tests.
    class Watch(SchedulerPlugin):
        """Keeps what each case asked for, and the most cases a worker had, at every moment a case was given to one."""

        name = "watch"

        def __init__(self) -> None:
            self.asked_for: list[dict[str, float]] = []
            self.most_at_once = 0

        async def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, *args: Any, **kwargs: Any) -> None:
            if finish == "processing":
                self.asked_for.append(dict(self.scheduler.tasks[key].resource_restrictions or {}))
                cases_of = [len(worker.processing) for worker in self.scheduler.workers.values()]
                self.most_at_once = max(self.most_at_once, *cases_of)

    def seen(dask_scheduler: Any) -> tuple[list[dict[str, float]], int]:
        watch = dask_scheduler.plugins["watch"]
        return watch.asked_for, watch.most_at_once

    two_workers.client.register_plugin(Watch())
    try:
        run_cases(two_workers, some_cases)
        asked_for, most_at_once = two_workers.client.run_on_scheduler(seen)
    finally:
        two_workers.client.unregister_scheduler_plugin("watch")
    assert asked_for == [{"GPU": 1}] * len(some_cases)
    assert most_at_once == 1


def test_a_case_that_is_done_twice_at_once_is_whole(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], output: Path
) -> None:
    """As happens when a worker that was thought lost finishes its case all the same."""
    same = [replace(some_cases[0], name="twice")] * 6
    run_cases(two_workers, same)
    record = read_record(output / "cases" / "twice")
    assert record is not None and record.status == "done"
    files_of_case = {path.name for path in (output / "cases" / "twice").iterdir()}
    assert files_of_case == {"record.json", *(Path(path).name for path in record.files.values())}


def test_after_a_run_nothing_is_left_but_its_cases(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], output: Path
) -> None:
    (output / ".cluster-0123" / "attempt-1").mkdir(parents=True)  # of a run that was killed
    run_cases(two_workers, some_cases[:1])
    assert two_workers.tasks() == 0
    assert [path.name for path in output.iterdir()] == ["cases"]


def test_the_settings_of_dask_stay_as_they_are(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case]
) -> None:
    from distributed import Client, default_client

    before = copy.deepcopy(dask.config.config)
    with Client(two_workers.address) as client:
        run_cases(two_workers, some_cases[:1])
        assert default_client() is client
    assert dask.config.config == before


def test_a_cancel_stops_the_run_and_keeps_what_is_finished(
    two_workers: Cluster, run_cases: RunCases, some_cases: list[Case], output: Path
) -> None:
    cancel = threading.Event()
    finished: list[CaseRecord] = []

    def stop(record: CaseRecord) -> None:
        finished.append(record)
        cancel.set()

    with pytest.raises(Cancelled):
        run_cases(two_workers, some_cases * 50, on_record=stop, cancel=cancel)
    assert 1 <= len(finished) < 50 * len(some_cases)
    assert all((output / path).is_file() for record in finished for path in record.files.values())
    # The workers are free again, and take the next run.
    assert len(run_cases(two_workers, some_cases)) == len(some_cases)
