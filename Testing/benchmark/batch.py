"""A cohort of phantoms, some broken on purpose: does the batch survive, go on, stay small and keep pace?

``make bench-batch`` has four parts: all cases in one run, with the memory that it takes from case to case; a run that
is killed at a random moment and started again; the batch's pace against that of the network alone; two processes
against one. The last two are about time: they use few scans of real size, want an idle computer, and run alone with
``make bench-batch BATCH_ARGS="--only pace"``.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io import files
from LiverSegLib.phantom import Phantom, make_phantom

if TYPE_CHECKING:
    from LiverSegLib.batch import Case
    from LiverSegLib.inference.segmenter import Segmenter

BROKEN_SHARE = 0.05
LEAST_PACE, LEAST_SPEED_UP, LARGEST_GROWTH = 0.85, 1.6, 1.10
# Noise alone tells these cases apart: drawing 200 anatomies would take longer than segmenting them.
ANATOMIES = 8
ANATOMIES_OF_REAL_SIZE = 2
# In HU. A scan's own noise makes its file half as large as its voxels, and slow to unpack.
NOISE, NOISE_OF_REAL_SIZE = 3.0, 12.0
SURVIVAL, PACE = "survival", "pace"
# Two processes do two cases each before time is taken, and there has to be something left.
LEAST_TIMED_CASES = 6

T = TypeVar("T")


@dataclass(frozen=True)
class Cohort:
    """Folders of images and references, and the names of the cases that are broken, with what is wrong."""

    images: Path
    references: Path
    broken: dict[str, str]
    count: int


# ---- the cohort ------------------------------------------------------------------------------------------------------


def make_cohort(
    folder: Path,
    count: int,
    shape: tuple[int, int, int],
    broken_share: float = BROKEN_SHARE,
    anatomies: int = ANATOMIES,
    noise: float = NOISE,
) -> Cohort:
    """Write a cohort; unless none shall be broken, every kind of damage comes at least once."""
    images, references = folder / "images", folder / "references"
    images.mkdir(parents=True)
    references.mkdir()
    spacing = (240.0 / shape[0], 370.0 / shape[1], 370.0 / shape[2])
    phantoms = [make_phantom(seed, shape, spacing) for seed in range(min(count, anatomies))]
    draw = random.Random(count)
    wanted = max(len(DAMAGES), round(count * broken_share)) if broken_share else 0
    damages = dict(zip(sorted(draw.sample(range(count), wanted)), cycle(DAMAGES), strict=False))
    broken = {}
    for n in range(count):
        name = f"case_{n:04d}"
        ct, reference = images / f"{name}.nii.gz", references / f"{name}_liver.nii.gz"
        phantom = phantoms[n % len(phantoms)]
        files.write_ct(ct, _with_noise(phantom.ct, noise, n))
        files.write_labels(reference, phantom.labels, phantom.ct.affine)
        if n in damages:
            broken[name] = damages[n]
            DAMAGES[damages[n]](ct, reference, phantom)
    return Cohort(images, references, broken, count)


def _with_noise(ct: CTVolume, noise: float, seed: int) -> CTVolume:
    added = noise * np.random.default_rng(seed).standard_normal(ct.hu.shape, np.float32)
    return CTVolume.from_array(np.clip(ct.hu + added, -1024, 3071), ct.affine)


def _truncated(ct: Path, reference: Path, phantom: Phantom) -> None:
    content = ct.read_bytes()
    ct.write_bytes(content[: len(content) // 2])


def _zero_bytes(ct: Path, reference: Path, phantom: Phantom) -> None:
    ct.write_bytes(b"")


def _like_mr(ct: Path, reference: Path, phantom: Phantom) -> None:
    positive = np.clip(phantom.ct.hu.astype(np.int32) + 1000, 0, 3000) * 4
    _write(ct, positive.astype(np.int16), phantom.ct.affine)


def _empty(ct: Path, reference: Path, phantom: Phantom) -> None:
    _write(ct, np.zeros_like(phantom.ct.hu), phantom.ct.affine)


def _reference_elsewhere(ct: Path, reference: Path, phantom: Phantom) -> None:
    affine = phantom.ct.affine.copy()
    affine[:3, 3] += 2000.0
    files.write_labels(reference, phantom.labels, affine)


def _write(path: Path, hu: np.ndarray, affine: np.ndarray) -> None:
    from LiverSegLib.io import nifti

    nifti.write(path, hu, affine)


DAMAGES: dict[str, Callable[[Path, Path, Phantom], None]] = {
    "truncated": _truncated,
    "zero bytes": _zero_bytes,
    "MR-like": _like_mr,
    "empty": _empty,
    "reference elsewhere": _reference_elsewhere,
}


# ---- the command in a process of its own -----------------------------------------------------------------------------


def command(cohort: Cohort, output: Path, *more: str) -> list[str]:
    """`liverseg batch` on the cohort."""
    start = [sys.executable, "-m", "LiverSegLib.cli", "batch", str(cohort.images), "-o", str(output)]
    return [*start, "--references", str(cohort.references), "--device", "cpu", *more]


def started(cohort: Cohort, output: Path, *more: str) -> subprocess.Popen[bytes]:
    """The command, running; in a session of its own, so that a signal to it meets nobody else."""
    return subprocess.Popen(
        command(cohort, output, *more), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )


def records(output: Path) -> dict[str, dict[str, object]]:
    """All records on disk."""
    found = sorted(output.glob("cases/*/record.json"))
    return {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in found}


def leftovers(output: Path) -> list[str]:
    """Temporary files that should be gone."""
    return [path.name for path in output.rglob(".*") if path.name not in (".lock",)]


def run_to_the_end(cohort: Cohort, output: Path, *more: str) -> tuple[int, list[tuple[int, float]]]:
    """Exit code, and samples of (cases in the log, resident memory in MB) while it ran."""
    process = started(cohort, output, *more)
    samples = []
    while process.poll() is None:
        memory = resident_mb(process.pid)
        if memory:
            samples.append((finished_cases(output), memory))
        time.sleep(0.1)
    return process.returncode, samples


def finished_cases(output: Path) -> int:
    """Lines of the log."""
    log = output / "batch.log"
    return log.read_bytes().count(b"\n") if log.exists() else 0


def resident_mb(process_id: int) -> float:
    """Resident memory of a process; 0 where the system does not tell, or when it has ended."""
    try:
        status = Path(f"/proc/{process_id}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


# ---- the four parts --------------------------------------------------------------------------------------------------


def survival(cohort: Cohort, output: Path) -> Iterator[tuple[str, object, bool]]:
    """Every good case done, every bad one named, memory flat."""
    begun = time.perf_counter()
    code, samples = run_to_the_end(cohort, output)
    seconds = time.perf_counter() - begun
    found = records(output)
    done = {name for name, record in found.items() if record["status"] == "done"}
    failed = {name: record["reason"] for name, record in found.items() if record["status"] == "failed"}
    for name, reason in failed.items():
        print(f"  {name} ({cohort.broken.get(name, 'NOT BROKEN')}): {reason}")
    yield "cases", cohort.count, len(found) == cohort.count
    yield "exit code", code, code == 1
    yield "good cases done", len(done), len(done) == cohort.count - len(cohort.broken)
    yield "broken cases named", len(failed), set(failed) == set(cohort.broken) and all(failed.values())
    yield "seconds a case", round(seconds / cohort.count, 2), True
    window = max(1, min(50, cohort.count // 4))
    first = [memory for cases, memory in samples if 1 <= cases <= window]
    last = [memory for cases, memory in samples if cohort.count - window <= cases]
    if first and last:
        yield "MB, first cases (median, most)", _median_and_most(first), True
        yield "MB, last cases (median, most)", _median_and_most(last), True
        growth = max(statistics.median(last) / statistics.median(first), max(last) / max(first))
        yield "memory grows by", round(growth, 3), growth <= LARGEST_GROWTH or cohort.count < 100


def _median_and_most(values: list[float]) -> str:
    return f"{statistics.median(values):.0f}, {max(values):.0f}"


def killed_and_resumed(
    cohort: Cohort, output: Path, whole: Path, seed: int, *more: str
) -> Iterator[tuple[str, object, bool]]:
    """Kill -9 at a random moment of a random case, start again: the same table."""
    draw = random.Random(seed)
    at, delay = draw.randrange(1, cohort.count), draw.uniform(0, 1)
    process = started(cohort, output, *more)
    while process.poll() is None and len(list(output.glob("cases/*/record.json"))) < at:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = sum(record["status"] == "done" for record in records(output).values())
    code, _ = run_to_the_end(cohort, output, *more)
    log = (output / "batch.log").read_text(encoding="utf-8")
    same = (output / "results.csv").read_bytes() == (whole / "results.csv").read_bytes()
    yield f"killed after {at} cases + {delay:.2f} s, exit code of the next run", code, code == 1
    # A worker whose parent was killed may have ended its case after they were counted.
    yield "cases that were whole and skipped", log.count(": skipped"), log.count(": skipped") >= before
    yield "the same table", same, same
    yield "temporary files left", len(leftovers(output)), not leftovers(output)


def processor_seconds(cohort: Cohort, folder: Path) -> Iterator[tuple[str, object, bool]]:
    """What one case costs by stage, one stage after the other: this holds on a busy computer, too."""
    from LiverSegLib.batch import BatchOptions, find_cases
    from LiverSegLib.batch.one_case import load_case, make_segmenter, segment_loaded, write_case

    options = BatchOptions(device="cpu", threads=1)
    segmenter = make_segmenter(options)
    seconds: dict[str, list[float]] = {"load": [], "segment": [], "write": []}
    for case in find_cases(cohort.images, cohort.references):
        loaded = _timed(seconds["load"], partial(load_case, case, options))
        found = _timed(seconds["segment"], partial(segment_loaded, loaded, segmenter, options))
        _timed(seconds["write"], partial(write_case, found, folder, options))
    for stage, measured in seconds.items():
        yield f"processor seconds a case: {stage} (one thread)", round(statistics.median(measured), 3), True


def _timed(seconds: list[float], work: Callable[[], T]) -> T:
    """Do it, and add the time that this process's threads have computed."""
    begun = time.process_time()
    result = work()
    seconds.append(time.process_time() - begun)
    return result


def pace(cohort: Cohort, folder: Path) -> Iterator[tuple[str, object, bool]]:
    """Cases a second of the batch, against the segmenter on images that are in memory already, before and after it."""
    from LiverSegLib.batch import find_cases
    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.model.devices import use_threads

    use_threads(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    cases = find_cases(cohort.images, cohort.references)
    alone = [(files.read_ct(case.ct)) for case in cases]
    segmenter = Segmenter(device="cpu")
    segmenter.segment(alone[0])
    before = alone_seconds(segmenter, alone)
    plain = batch_seconds([replace(case, reference=None) for case in cases], folder / "without-references")
    compared = batch_seconds(cases, folder / "with-references")
    after = alone_seconds(segmenter, alone)
    whole, network = ((one + other) / 2 for one, other in zip(before, after, strict=True))
    yield "seconds a case: segmenter alone, before and after", f"{before[0]:.3f}, {after[0]:.3f}", True
    yield "seconds a case: its network stage alone", round(network, 3), True
    yield "seconds a case: batch without references", round(plain, 3), True
    yield "seconds a case: batch with references", round(compared, 3), True
    yield "batch's pace / segmenter's", round(whole / plain, 3), whole / plain >= LEAST_PACE
    yield "batch's pace / segmenter's, with references", round(whole / compared, 3), whole / compared >= LEAST_PACE
    yield "batch's pace / network stage's", round(network / plain, 3), True


def alone_seconds(segmenter: Segmenter, images: Sequence[CTVolume]) -> tuple[float, float]:
    """Seconds a case of the segmenter on images in memory: all of it, and its network stage."""
    begun = time.perf_counter()
    network = sum(segmenter.segment(ct).seconds["network"] for ct in images)
    return (time.perf_counter() - begun) / len(images), network / len(images)


def batch_seconds(cases: Sequence[Case], folder: Path) -> float:
    """Seconds from case to case of a batch in this process, once it is in its stride.

    The times are those of the records on disk: the pipeline tells of a record only after the next case is segmented.
    """
    from LiverSegLib.batch import BatchOptions
    from LiverSegLib.batch.pipeline import run_pipeline

    names: list[str] = []
    run_pipeline(cases, BatchOptions(device="cpu"), _made(folder), lambda record: names.append(record.name))
    ends = sorted((folder / "cases" / name / "record.json").stat().st_mtime_ns for name in names)
    return (ends[-1] - ends[0]) / 1e9 / (len(ends) - 1)


def speed_up(cohort: Cohort, folder: Path) -> Iterator[tuple[str, object, bool]]:
    """Two processes against one, with one thread each, from when each has done two cases or so."""
    from LiverSegLib.batch import BatchOptions, find_cases
    from LiverSegLib.batch.workers import run_processes

    cases = find_cases(cohort.images, cohort.references)
    options = BatchOptions(device="cpu", threads=1)
    rates = []
    for jobs in (1, 2):
        ends: list[float] = []
        run_processes(cases, options, folder / str(jobs), jobs, lambda _, ends=ends: ends.append(time.perf_counter()))
        begun = 2 * jobs
        rates.append((len(ends) - begun) / (ends[-1] - ends[begun - 1]))
        yield f"cases a second, {jobs} processes of one thread", round(rates[-1], 3), True
    yield "two processes / one", round(rates[1] / rates[0], 2), rates[1] / rates[0] >= LEAST_SPEED_UP


# ---- the command -----------------------------------------------------------------------------------------------------


def main() -> int:
    """Run the parts, print a table, leave it as JSON; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=(SURVIVAL, PACE), help="the first two parts, or the two about time")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--shape", type=int, nargs=3, default=(30, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--timed-cases", type=int, default=16, help="of the last two parts")
    parser.add_argument("--timed-shape", type=int, nargs=3, default=(124, 512, 512), metavar=("K", "J", "I"))
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000), help="of the moment to kill")
    parser.add_argument("--folder", type=Path, help="work here and leave all results; else in a temporary folder")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-batch.json"))
    options = parser.parse_args()
    if options.cases < 2 * len(DAMAGES):
        parser.error(f"--cases is at least {2 * len(DAMAGES)}")
    if options.timed_cases < LEAST_TIMED_CASES:
        parser.error(f"--timed-cases is at least {LEAST_TIMED_CASES}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        parts = {SURVIVAL: partial(_survival, options, folder), PACE: partial(_pace, options, folder)}
        results = {name: list(_told(part())) for name, part in parts.items() if options.only in (None, name)}
    _save(results, options.output)
    return 0 if all(holds for rows in results.values() for _, _, holds in rows) else 1


def _survival(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, object, bool]]:
    print(f"{options.cases} cases of {options.shape} voxels, {os.cpu_count()} cores, seed {options.seed}")
    cohort = make_cohort(folder / "cohort", options.cases, tuple(options.shape))
    whole = folder / "whole"
    yield from survival(cohort, whole)
    yield from killed_and_resumed(cohort, folder / "killed", whole, options.seed)
    two = ("--jobs", "2", "--threads", "1")
    yield from killed_and_resumed(cohort, folder / "killed-2", whole, options.seed + 1, *two)


def _pace(options: argparse.Namespace, folder: Path) -> Iterator[tuple[str, object, bool]]:
    print(f"{options.timed_cases} cases of {options.timed_shape} voxels, {os.cpu_count()} cores")
    shape = tuple(options.timed_shape)
    cohort = make_cohort(folder / "timed", options.timed_cases, shape, 0.0, ANATOMIES_OF_REAL_SIZE, NOISE_OF_REAL_SIZE)
    sizes = [path.stat().st_size / 1e6 for path in cohort.images.iterdir()]
    yield "cases of real size", options.timed_cases, True
    yield "MB of an image's file", round(statistics.mean(sizes), 1), True
    yield from processor_seconds(cohort, _made(folder / "stages"))
    yield from pace(cohort, folder / "pace")
    yield from speed_up(cohort, _made(folder / "speed-up"))


def _save(results: dict[str, list[tuple[str, object, bool]]], path: Path) -> None:
    """Into the table of results; a part that was not run now stays as it was there."""
    content: dict[str, object] = {}
    if path.exists():
        content = {name: rows for name, rows in json.loads(path.read_text("utf-8")).items() if name in (SURVIVAL, PACE)}
    for name, rows in results.items():
        content[name] = [{"what": what, "value": value, "holds": holds} for what, value, holds in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _told(rows: Iterator[tuple[str, object, bool]]) -> Iterator[tuple[str, object, bool]]:
    for what, value, holds in rows:
        print(f"{what:<66} {value!s:>12} {'' if holds else '  DOES NOT HOLD'}", flush=True)
        yield what, value, holds


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
