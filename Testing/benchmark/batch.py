"""A cohort of phantoms, some broken on purpose: does the batch survive, go on, stay small and keep pace?

``make bench-batch`` has four parts: all cases in one run, with the memory that it takes from case to case; a run that
is killed at a random moment and started again; the batch's pace against that of the segmenter alone; two processes
against one. The last two are about time: they use few scans of real size and want an idle computer.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from pathlib import Path

import numpy as np

from LiverSegLib.batch import BatchOptions, Case, find_cases
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io import files, nifti
from LiverSegLib.phantom import Phantom, make_phantom

SURVIVAL, PACE = "survival", "pace"
BROKEN_SHARE = 0.05
# Noise alone tells cases apart: drawing 200 anatomies would take longer than segmenting them. In HU; a scan's own noise
# makes its file half as large as its voxels, and slow to unpack.
ANATOMIES, NOISE, NOISE_OF_REAL_SIZE = 4, 3.0, 12.0
# Two processes do two cases each before time is taken, and there has to be something left.
LEAST_TIMED_CASES = 6

Row = tuple[str, object, bool]


@dataclass(frozen=True)
class Cohort:
    """Folders of images and references, and the names of the cases that are broken, with what is wrong."""

    images: Path
    references: Path
    broken: dict[str, str]
    count: int


def _truncated(ct: Path, reference: Path, phantom: Phantom) -> None:
    content = ct.read_bytes()
    ct.write_bytes(content[: len(content) // 2])


def _zero_bytes(ct: Path, reference: Path, phantom: Phantom) -> None:
    ct.write_bytes(b"")


def _label_map(ct: Path, reference: Path, phantom: Phantom) -> None:
    nifti.write(ct, phantom.labels.astype(np.int16), phantom.ct.affine)


def _empty(ct: Path, reference: Path, phantom: Phantom) -> None:
    nifti.write(ct, np.zeros_like(phantom.ct.hu), phantom.ct.affine)


def _reference_elsewhere(ct: Path, reference: Path, phantom: Phantom) -> None:
    affine = phantom.ct.affine.copy()
    affine[:3, 3] += 2000.0
    files.write_labels(reference, phantom.labels, affine)


DAMAGES: dict[str, Callable[[Path, Path, Phantom], None]] = {
    "truncated": _truncated,
    "zero bytes": _zero_bytes,
    "label map": _label_map,
    "empty": _empty,
    "reference elsewhere": _reference_elsewhere,
}


def make_cohort(folder: Path, count: int, shape: tuple[int, int, int], damaged: int, noise: float = NOISE) -> Cohort:
    """Write a cohort, ``damaged`` cases of which are broken."""
    images, references = folder / "images", folder / "references"
    images.mkdir(parents=True)
    references.mkdir()
    spacing = (240.0 / shape[0], 370.0 / shape[1], 370.0 / shape[2])
    phantoms = [make_phantom(seed, shape, spacing) for seed in range(min(count, ANATOMIES))]
    numbers = sorted(random.Random(count).sample(range(count), damaged))
    broken = {f"case_{n:04d}": damage for n, damage in zip(numbers, cycle(DAMAGES), strict=False)}
    for n in range(count):
        name, phantom = f"case_{n:04d}", phantoms[n % len(phantoms)]
        ct, reference = images / f"{name}.nii.gz", references / f"{name}_liver.nii.gz"
        noisy = phantom.ct.hu + noise * np.random.default_rng(n).standard_normal(shape, np.float32)
        files.write_ct(ct, CTVolume.from_array(np.clip(noisy, -1024, 3071), phantom.ct.affine))
        files.write_labels(reference, phantom.labels, phantom.ct.affine)
        if name in broken:
            DAMAGES[broken[name]](ct, reference, phantom)
    return Cohort(images, references, broken, count)


def started(cohort: Cohort, output: Path, *more: str) -> subprocess.Popen[bytes]:
    """`liverseg batch` on the cohort; in a session of its own, so that a signal to it meets nobody else."""
    command = [sys.executable, "-m", "LiverSegLib.cli", "batch", str(cohort.images), "-o", str(output)]
    command += ["--references", str(cohort.references), "--device", "cpu", *more]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)


def records(output: Path) -> dict[str, dict[str, object]]:
    """All records on disk."""
    found = sorted(output.glob("cases/*/record.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


def survival(cohort: Cohort, output: Path) -> Iterator[Row]:
    """Every good case done, every bad one named, memory flat."""
    begun = time.perf_counter()
    process = started(cohort, output)
    memory: list[float] = []
    while process.poll() is None:
        memory += _resident_mb(process.pid)
        time.sleep(0.1)
    seconds = time.perf_counter() - begun
    found = records(output)
    done = {name for name, record in found.items() if record["status"] == "done"}
    reasons = {name: record["reason"] for name, record in found.items() if record["status"] == "failed"}
    yield "exit code", process.returncode, process.returncode == (1 if cohort.broken else 0)
    yield "good cases done", len(done), len(done) == cohort.count - len(cohort.broken)
    yield "broken cases named", len(reasons), set(reasons) == set(cohort.broken) and all(reasons.values())
    yield "seconds a case", round(seconds / cohort.count, 2), True
    if len(memory) >= 8:
        # The first quarter of the samples holds the loading of libraries and network.
        quarter = len(memory) // 4
        early, late = statistics.median(memory[quarter : 2 * quarter]), statistics.median(memory[-quarter:])
        yield "MB, second and last quarter of the run", f"{early:.0f}, {late:.0f}", True


def _resident_mb(process_id: int) -> list[float]:
    """Resident memory of a process; nothing where the system does not tell, or when it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return []
    return [int(kilobytes) / 1024 for kilobytes in re.findall(r"^VmRSS:\s+(\d+)", status, re.MULTILINE)]


def killed_and_resumed(cohort: Cohort, output: Path, whole: Path, seed: int, *more: str) -> Iterator[Row]:
    """Kill -9 at a random moment of a random case, start again: the same table."""
    draw = random.Random(seed)
    at, delay = draw.randrange(1, cohort.count), draw.uniform(0, 1)
    process = started(cohort, output, *more)
    while process.poll() is None and len(records(output)) < at:
        time.sleep(0.05)
    time.sleep(delay)
    process.kill()
    process.wait()
    before = sum(record["status"] == "done" for record in records(output).values())
    code = started(cohort, output, *more).wait()
    skipped = (output / "batch.log").read_text(encoding="utf-8").count(": skipped")
    same = (output / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    left = [path.name for path in output.rglob(".*") if path.name != ".lock"]
    yield f"killed after {at} cases + {delay:.2f} s, exit code of the next run", code, code == 1
    # A worker whose parent was killed may have ended its case after they were counted.
    yield "cases that were whole and skipped", skipped, skipped >= before
    yield "the same table", same, same
    yield "temporary files left", len(left), not left


def pace(cohort: Cohort, folder: Path) -> Iterator[Row]:
    """Cases a second of the batch, against the segmenter on images that are in memory already."""
    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.model.devices import use_threads

    use_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    cases = find_cases(cohort.images, cohort.references)
    loaded = [files.read_ct(case.ct) for case in cases]
    segmenter = Segmenter(device="cpu")
    segmenter.segment(loaded[0])
    begun = time.perf_counter()
    for ct in loaded:
        segmenter.segment(ct)
    alone = (time.perf_counter() - begun) / len(loaded)
    yield "seconds a case: segmenter alone", round(alone, 3), True
    without = [replace(case, reference=None) for case in cases]
    for what, chosen in (("without references", without), ("with references", cases)):
        seconds = batch_seconds(chosen, folder / what)
        yield f"seconds a case: batch {what}", round(seconds, 3), True
        yield f"batch's pace / segmenter's, {what}", round(alone / seconds, 3), True


def batch_seconds(cases: Sequence[Case], folder: Path) -> float:
    """Seconds from case to case of a batch in this process, once it is in its stride.

    The times are those of the records on disk: the pipeline tells of a record only after the next case is segmented.
    """
    from LiverSegLib.batch.pipeline import run_pipeline

    folder.mkdir(parents=True)
    run_pipeline(cases, BatchOptions(device="cpu"), folder, lambda record: None)
    ends = sorted(path.stat().st_mtime_ns for path in folder.glob("cases/*/record.json"))
    return (ends[-1] - ends[0]) / 1e9 / (len(ends) - 1)


def speed_up(cohort: Cohort, folder: Path) -> Iterator[Row]:
    """Two processes against one, with one thread each, from when each has done two cases or so."""
    from LiverSegLib.batch.workers import run_processes

    cases = find_cases(cohort.images, cohort.references)
    rates = []
    for jobs in (1, 2):
        ends: list[float] = []
        (output := folder / str(jobs)).mkdir(parents=True)
        options = BatchOptions(device="cpu", threads=1)
        run_processes(cases, options, output, jobs, lambda _, ends=ends: ends.append(time.perf_counter()))
        begun = 2 * jobs
        rates.append((len(ends) - begun) / (ends[-1] - ends[begun - 1]))
        yield f"cases a second, {jobs} processes of one thread", round(rates[-1], 3), True
    yield "two processes / one", round(rates[1] / rates[0], 2), True


def main() -> int:
    """Run the parts, print a table, leave it as JSON; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(SURVIVAL, PACE), help="the first two parts, or the two about time")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--shape", type=int, nargs=3, default=(30, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--timed-cases", type=int, default=16, help="of the last two parts")
    parser.add_argument("--timed-shape", type=int, nargs=3, default=(124, 512, 512), metavar=("K", "J", "I"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000), help="of the moment to kill")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-batch.json"))
    options = parser.parse_args()
    if options.cases < 2 * len(DAMAGES):
        parser.error(f"--cases is at least {2 * len(DAMAGES)}")
    if options.timed_cases < LEAST_TIMED_CASES:
        parser.error(f"--timed-cases is at least {LEAST_TIMED_CASES}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, part in ((SURVIVAL, _survival), (PACE, _pace)):
            for what, value, holds in part(options, Path(folder)) if options.only in (None, name) else ():
                print(f"{what:<66} {value!s:>12} {'' if holds else '  DOES NOT HOLD'}", flush=True)
                rows.append({"part": name, "what": what, "value": value, "holds": holds})
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0 if all(row["holds"] for row in rows) else 1


def _survival(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    print(f"{options.cases} cases of {options.shape} voxels, {os.cpu_count()} cores, seed {options.seed}")
    damaged = max(len(DAMAGES), round(options.cases * BROKEN_SHARE))
    cohort, whole = make_cohort(folder / "cohort", options.cases, tuple(options.shape), damaged), folder / "whole"
    yield from survival(cohort, whole)
    yield from killed_and_resumed(cohort, folder / "killed", whole, options.seed)
    yield from killed_and_resumed(cohort, folder / "two", whole, options.seed + 1, "--jobs", "2", "--threads", "1")


def _pace(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    print(f"{options.timed_cases} cases of {options.timed_shape} voxels, {os.cpu_count()} cores")
    cohort = make_cohort(folder / "timed", options.timed_cases, tuple(options.timed_shape), 0, NOISE_OF_REAL_SIZE)
    yield from pace(cohort, folder / "pace")
    yield from speed_up(cohort, folder / "speed-up")


if __name__ == "__main__":
    sys.exit(main())
