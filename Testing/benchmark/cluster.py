"""The throughput of a batch on a cluster with one worker and with two: ``make bench-cluster``.

Starts a Dask scheduler and workers of one thread each on this computer, and runs the same phantoms on both.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from LiverSegLib.batch import BatchOptions, Case, CaseRecord, find_cases
from LiverSegLib.batch.cluster import run_on_cluster
from Testing.benchmark.batch import make_cohort
from Testing.cluster.processes import Cluster


def measure(folder: Path, workers: int, cases: list[Case]) -> dict[str, float]:
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
    return {
        "workers": workers,
        "cases a minute": 60 * len(cases) / seconds,
        "seconds a case": statistics.median(record.seconds for record in records),
        "seconds of the first case": first,
    }


def run(cluster: Cluster, cases: list[Case], output: Path) -> list[CaseRecord]:
    """All must be done: a case that fails is too quick to be counted."""
    records: list[CaseRecord] = []
    run_on_cluster(cases, BatchOptions(device="cpu", threads=1), output, cluster.address, records.append)
    if failed := [f"{record.name}: {record.reason}" for record in records if record.status == "failed"]:
        raise SystemExit("\n".join(failed))
    return records


def main() -> None:
    """Measure, print, and leave the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=24)
    parser.add_argument("--shape", type=int, nargs=3, default=(30, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-cluster.json"))
    options = parser.parse_args()
    print(f"{options.cases} cases of {options.shape} voxels, {os.cpu_count()} cores, workers of one thread")
    with tempfile.TemporaryDirectory() as name:
        cohort = make_cohort(Path(name) / "cohort", options.cases, tuple(options.shape), damaged=0)
        measured = [measure(Path(name) / str(workers), workers, find_cases(cohort.images)) for workers in (1, 2)]
    for result in measured:
        print(", ".join(f"{what}: {value:.1f}" for what, value in result.items()))
    print(f"two workers / one: {measured[1]['cases a minute'] / measured[0]['cases a minute']:.2f}")
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
