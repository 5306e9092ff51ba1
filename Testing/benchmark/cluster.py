"""How a batch scales over the workers of a cluster: measured with one and two, modelled beyond.

``make bench-cluster`` starts a Dask scheduler and workers of one thread each on this computer, and runs the same
phantoms on one worker and on two. A small model, fed with what was measured, then tells what more workers would
bring: when the shared storage is the limit, what loading the network costs, how long workers wait for the last case.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from LiverSegLib.batch import BatchOptions, Case, CaseRecord
from LiverSegLib.batch.cluster import run_on_cluster
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom
from Testing.cluster.processes import Cluster

LEAST_SPEED_UP = 1.6
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(frozen=True)
class Measured:
    """A run: its seconds, those until a fresh worker begins and of each case, and what a case reads and writes."""

    workers: int
    seconds: float
    start_seconds: float
    case_seconds: list[float]
    megabytes_per_case: float

    @property
    def throughput(self) -> float:
        """Cases a minute."""
        return 60 * len(self.case_seconds) / self.seconds


@dataclass(frozen=True)
class Model:
    """What a run on many workers takes.

    Parameters
    ----------
    case_seconds
        Of one case on a worker that has the storage to itself; drawn from what was measured.
    gap_seconds
        Between two cases of a worker: the way of the record to the client, and of the next case to the worker.
    start_seconds
        Until a worker that joined begins its first case: PyTorch and the network are loaded.
    megabytes_per_case
        Read and written.
    storage_megabytes_per_second
        That the storage shares out among all workers.
    """

    case_seconds: Sequence[float]
    gap_seconds: float
    start_seconds: float
    megabytes_per_case: float
    storage_megabytes_per_second: float

    def predict(self, workers: int, cases: int, seed: int = 0) -> Prediction:
        """Each worker takes the next case when it is free, and no more flows than the storage gives."""
        seconds = np.random.default_rng(seed).choice(self.case_seconds, cases) + self.gap_seconds
        free = [self.start_seconds] * workers
        for case in seconds:
            heapq.heapreplace(free, free[0] + float(case))
        computing = max(free)
        storage = self.start_seconds + cases * self.megabytes_per_case / self.storage_megabytes_per_second
        total = max(computing, storage)
        ideal = float(seconds.sum()) / workers
        return Prediction(
            workers=workers,
            cases_per_minute=60 * cases / total,
            efficiency=ideal / total,
            limited_by="storage" if storage > computing else "network",
            start_share=self.start_seconds / total,
            idle_share=1 - sum(free) / workers / total,
        )


@dataclass(frozen=True)
class Prediction:
    """A modelled run.

    ``efficiency`` is the share of all workers' time that the cases need, ``start_share`` that of loading the network,
    ``idle_share`` that of waiting for the last case.
    """

    workers: int
    cases_per_minute: float
    efficiency: float
    limited_by: str
    start_share: float
    idle_share: float


def make_cases(folder: Path, count: int, shape: tuple[int, int, int]) -> list[Case]:
    """Write a cohort of phantoms; a few anatomies, over and over."""
    spacing = (240.0 / shape[0], 370.0 / shape[1], 370.0 / shape[2])
    phantoms = [make_phantom(seed, shape, spacing) for seed in range(min(4, count))]
    cases = []
    for number in range(count):
        path = folder / f"case_{number:03}.nii.gz"
        files.write_ct(path, phantoms[number % len(phantoms)].ct)
        cases.append(Case(f"case_{number:03}", path, source=path.name))
    return cases


def measure(folder: Path, workers: int, cases: list[Case]) -> Measured:
    """Run the cases on a cluster that has just been started; its workers load the network before the clock starts."""
    (logs := folder / "logs").mkdir(parents=True)
    (output := folder / "output").mkdir()
    cluster = Cluster(logs)
    try:
        for _ in range(workers):
            cluster.start_worker("--nthreads", "1")
        started = time.perf_counter()
        run(cluster, cases[:1], output)
        first = time.perf_counter() - started
        started = time.perf_counter()
        records = run(cluster, cases, output)
        seconds = time.perf_counter() - started
    finally:
        cluster.close()
    written = sum(path.stat().st_size for path in output.rglob("*") if path.is_file())
    read = sum(case.ct.stat().st_size for case in cases)
    case_seconds = [record.seconds for record in records]
    start_seconds = max(0.0, first - statistics.median(case_seconds))
    return Measured(workers, seconds, start_seconds, case_seconds, (read + written) / 1e6 / len(cases))


def run(cluster: Cluster, cases: list[Case], output: Path) -> list[CaseRecord]:
    """All must be done: a case that fails is too quick to be counted."""
    records: list[CaseRecord] = []
    run_on_cluster(cases, BatchOptions(device="cpu", threads=1), output, cluster.address, records.append)
    if failed := [f"{record.name}: {record.reason}" for record in records if record.status == "failed"]:
        raise SystemExit("\n".join(failed))
    return records


def model_of(alone: Measured, storage_megabytes_per_second: float) -> Model:
    """The model that explains a run on one worker."""
    gap = (alone.seconds - sum(alone.case_seconds)) / len(alone.case_seconds)
    return Model(
        alone.case_seconds,
        max(0.0, gap),
        alone.start_seconds,
        alone.megabytes_per_case,
        storage_megabytes_per_second,
    )


def main() -> int:
    """Measure, model, print both, leave them as JSON; 1 if two workers bring too little."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--shape", type=int, nargs=3, default=(30, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--modelled-cases", type=int, default=2000, help="of the modelled runs")
    parser.add_argument(
        "--storage", type=float, default=500.0, help="MB/s that all workers share, of the modelled runs"
    )
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-cluster.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"{options.cases} cases of {options.shape} voxels, {os.cpu_count()} cores, workers of one thread")
        cases = make_cases(folder, options.cases, tuple(options.shape))
        measured = [measure(folder / f"workers-{workers}", workers, cases) for workers in (1, 2)]
    for result in measured:
        print(
            f"measured, {result.workers} workers: {result.throughput:7.1f} cases a minute, "
            f"{statistics.median(result.case_seconds):.2f} s a case, first case after {result.start_seconds:.1f} s, "
            f"{result.megabytes_per_case:.1f} MB a case"
        )
    speed_up = measured[1].throughput / measured[0].throughput
    holds = speed_up >= LEAST_SPEED_UP
    print(f"speed-up of two workers: {speed_up:.2f} (at least {LEAST_SPEED_UP}){'' if holds else '  DOES NOT HOLD'}")

    model = model_of(measured[0], options.storage)
    predictions = [model.predict(workers, options.modelled_cases) for workers in WORKERS]
    print(f"modelled, {options.modelled_cases} cases, storage of {options.storage:g} MB/s:")
    print(f"{'workers':>8} {'cases/min':>10} {'efficiency':>11} {'start':>7} {'idle':>7}  limited by")
    for told in predictions:
        print(
            f"{told.workers:>8} {told.cases_per_minute:>10.1f} {told.efficiency:>11.0%} {told.start_share:>7.1%} "
            f"{told.idle_share:>7.1%}  {told.limited_by}"
        )
    content = {
        "cases": options.cases,
        "shape": list(options.shape),
        "measured": [asdict(result) | {"cases_per_minute": result.throughput} for result in measured],
        "speed_up": speed_up,
        "modelled_cases": options.modelled_cases,
        "storage_megabytes_per_second": options.storage,
        "modelled": [asdict(told) for told in predictions],
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
