"""A cohort of phantoms, some broken on purpose: does the batch survive, go on, stay small and keep pace?

``make bench-batch`` has four parts: all cases in one run, with the memory that it takes from case to case; a run that
is killed at a random moment and started again; the batch's pace against that of the network alone; two processes
against one.
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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np

from LiverSegLib import files
from LiverSegLib.phantom import Phantom, make_phantom

BROKEN_SHARE = 0.05
LEAST_PACE, LEAST_SPEED_UP, LARGEST_GROWTH = 0.85, 1.6, 1.10
# Noise alone tells these cases apart: drawing 200 anatomies would take longer than segmenting them.
ANATOMIES = 8


@dataclass(frozen=True)
class Cohort:
    """Folders of images and references, and the names of the cases that are broken, with what is wrong."""

    images: Path
    references: Path
    broken: dict[str, str]
    count: int


# ---- the cohort ------------------------------------------------------------------------------------------------------


def make_cohort(folder: Path, count: int, shape: tuple[int, int, int]) -> Cohort:
    """Write a cohort; every kind of damage comes at least once when there are enough cases for it."""
    images, references = folder / "images", folder / "references"
    images.mkdir(parents=True)
    references.mkdir()
    spacing = (240.0 / shape[0], 370.0 / shape[1], 370.0 / shape[2])
    phantoms = [make_phantom(seed, shape, spacing) for seed in range(min(count, ANATOMIES))]
    draw = random.Random(count)
    wanted = max(len(DAMAGES), round(count * BROKEN_SHARE))
    damages = dict(zip(sorted(draw.sample(range(count), wanted)), cycle(DAMAGES), strict=False))
    broken = {}
    for n in range(count):
        name = f"case_{n:04d}"
        ct, reference = images / f"{name}.nii.gz", references / f"{name}_liver.nii.gz"
        phantom = phantoms[n % len(phantoms)]
        files.write_ct(ct, _with_noise(phantom, n))
        files.write_labels(reference, phantom.labels, phantom.ct.affine)
        if n in damages:
            broken[name] = damages[n]
            DAMAGES[damages[n]](ct, reference, phantom)
    return Cohort(images, references, broken, count)


def _with_noise(phantom: Phantom, seed: int) -> object:
    noise = np.random.default_rng(seed).normal(0, 3, phantom.ct.hu.shape)
    return type(phantom.ct).from_array(np.clip(phantom.ct.hu + noise, -1024, 3071), phantom.ct.affine)


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
    from LiverSegLib import nifti

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


def pace(cohort: Cohort, folder: Path, count: int) -> Iterator[tuple[str, object, bool]]:
    """Cases a second of the batch, against the network on images that are in memory already."""
    from LiverSegLib.batch import BatchOptions, find_cases
    from LiverSegLib.batch.pipeline import run_pipeline
    from LiverSegLib.segmenter import Segmenter

    cases = [case for case in find_cases(cohort.images, cohort.references) if case.name not in cohort.broken][:count]
    cts = [files.read_ct(case.ct) for case in cases]
    segmenter = Segmenter(device="cpu")
    segmenter.segment(cts[0])
    seconds = {"whole": 0.0, "network": 0.0}
    for ct in cts:
        begun = time.perf_counter()
        found = segmenter.segment(ct)
        seconds["whole"] += time.perf_counter() - begun
        seconds["network"] += found.seconds["network"]
    ends: list[float] = []
    run_pipeline(cases, BatchOptions(device="cpu"), folder, lambda _: ends.append(time.perf_counter()))
    batch = (ends[-1] - ends[0]) / (len(ends) - 1) * len(cts)
    yield "seconds a case: segmenter alone", round(seconds["whole"] / len(cts), 3), True
    yield "seconds a case: its network stage alone", round(seconds["network"] / len(cts), 3), True
    yield "seconds a case: batch", round(batch / len(cts), 3), True
    share = seconds["whole"] / batch
    yield "batch's pace / segmenter's", round(share, 3), share >= LEAST_PACE
    yield "batch's pace / network stage's", round(seconds["network"] / batch, 3), True


def speed_up(cohort: Cohort, folder: Path, count: int) -> Iterator[tuple[str, object, bool]]:
    """Two processes against one, with one thread each, from the first case that each has done."""
    from LiverSegLib.batch import BatchOptions, find_cases
    from LiverSegLib.batch.workers import run_processes

    cases = [case for case in find_cases(cohort.images, cohort.references) if case.name not in cohort.broken][:count]
    options = BatchOptions(device="cpu", threads=1)
    rates = []
    for jobs in (1, 2):
        ends: list[float] = []
        run_processes(cases, options, folder / str(jobs), jobs, lambda _, ends=ends: ends.append(time.perf_counter()))
        rates.append((len(ends) - jobs) / (ends[-1] - ends[jobs - 1]))
        yield f"cases a second, {jobs} processes of one thread", round(rates[-1], 3), True
    yield "two processes / one", round(rates[1] / rates[0], 2), rates[1] / rates[0] >= LEAST_SPEED_UP


def main() -> int:
    """Run the parts, print a table, leave it as JSON; 1 if something does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--shape", type=int, nargs=3, default=(30, 128, 128), metavar=("K", "J", "I"))
    parser.add_argument("--timed-cases", type=int, default=24, help="cases of the last two parts; 0 leaves them out")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1000), help="of the moment to kill")
    parser.add_argument("--folder", type=Path, help="work here and leave all results; else in a temporary folder")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-batch.json"))
    options = parser.parse_args()
    if options.cases < 2 * len(DAMAGES):
        parser.error(f"--cases is at least {2 * len(DAMAGES)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        print(f"{options.cases} cases of {options.shape} voxels, {os.cpu_count()} cores, seed {options.seed}")
        cohort = make_cohort(folder / "cohort", options.cases, tuple(options.shape))
        rows: list[tuple[str, object, bool]] = []
        rows += _told(survival(cohort, folder / "whole"))
        rows += _told(killed_and_resumed(cohort, folder / "killed", folder / "whole", options.seed))
        rows += _told(
            killed_and_resumed(
                cohort, folder / "killed-2", folder / "whole", options.seed + 1, "--jobs", "2", "--threads", "1"
            )
        )
        if options.timed_cases:
            rows += _told(pace(cohort, _made(folder / "pace"), options.timed_cases))
            rows += _told(speed_up(cohort, _made(folder / "speed-up"), options.timed_cases))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    content = {"cases": options.cases, "shape": list(options.shape), "seed": options.seed}
    content["results"] = [{"what": what, "value": value, "holds": holds} for what, value, holds in rows]
    options.output.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0 if all(holds for _, _, holds in rows) else 1


def _told(rows: Iterator[tuple[str, object, bool]]) -> Iterator[tuple[str, object, bool]]:
    for what, value, holds in rows:
        print(f"{what:<66} {value!s:>12} {'' if holds else '  DOES NOT HOLD'}", flush=True)
        yield what, value, holds


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


if __name__ == "__main__":
    sys.exit(main())
