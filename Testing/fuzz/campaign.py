"""Thousands of damaged files, each in a process that may die of it: ``make fuzz FUZZ_ARGS="--count 5000"``.

A file passes if it gives the voxels that another reader finds in it, in the same place, or a clean error. out/fuzz/
then holds table.txt, results.json, and in failures/ a folder for each file that did not pass, named by format and seed.
``--only "mha/17"`` tries one again.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Of the clock, for a process that waits; the worker itself counts the processor's time.
PATIENCE_SECONDS = 300


@dataclass(frozen=True)
class Tried:
    """One damaged input and what became of it."""

    format: str
    seed: int
    outcome: str
    detail: str
    megabytes: float

    @property
    def passed(self) -> bool:
        from Testing.fuzz.attempt import GOOD

        return self.outcome in GOOD


class Worker:
    """A process that tries inputs, started again when it died; ``command`` is what runs in it."""

    def __init__(
        self, command: tuple[str, ...] = (sys.executable, "-W", "ignore", "-m", "Testing.fuzz.worker")
    ) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def try_one(self, name: str, seed: int) -> Tried:
        process = self._process or self._start()
        assert process.stdin and process.stdout
        print(f"{name}\t{seed}", file=process.stdin, flush=True)
        if select.select([process.stdout], [], [], PATIENCE_SECONDS)[0] and (answer := process.stdout.readline()):
            return Tried(name, seed, **json.loads(answer))
        return self._dead(process, name, seed)

    def _dead(self, process: subprocess.Popen[str], name: str, seed: int) -> Tried:
        import signal

        from Testing.fuzz.attempt import CRASH, HANG

        waited = process.poll() is None and not _ends_soon(process)
        code = None if waited else process.wait()
        self._stop()
        if waited or code == -signal.SIGPROF:
            return Tried(name, seed, HANG, "no answer", 0.0)
        said = signal.Signals(-code).name if code is not None and code < 0 else f"exit code {code}"
        return Tried(name, seed, CRASH, said, 0.0)

    def _start(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(), cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout
        if self._process.stdout.readline() != "ready\n":
            raise RuntimeError("the worker did not start")
        return self._process

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def environment() -> dict[str, str]:
    """For a process that runs a module of this package, with one thread."""
    threads = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    path = f"{ROOT / 'LiverSeg'}{os.pathsep}{ROOT}"
    return {**os.environ, **threads, "PYTHONFAULTHANDLER": "1", "PYTHONPATH": path}


def _ends_soon(process: subprocess.Popen[str]) -> bool:
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        return False
    return True


def plan(count: int, first: int = 0) -> Iterator[tuple[str, int]]:
    """Formats in turn, with seeds from ``first`` on."""
    from Testing.fuzz.corpus import FORMATS

    for number in range(count):
        yield FORMATS[number % len(FORMATS)], first + number // len(FORMATS)


def run(wanted: Iterable[tuple[str, int]]) -> Iterator[Tried]:
    """Try inputs one after the other in a process of their own."""
    with Worker() as worker:
        for name, seed in wanted:
            yield worker.try_one(name, seed)


def table(tried: list[Tried]) -> str:
    """How often each outcome came, by format."""
    counts = {
        name: Counter(one.outcome for one in tried if one.format == name) for name in {one.format for one in tried}
    }
    return "\n".join(f"{name:<22}{dict(counts[name])}" for name in sorted(counts))


def keep(tried: Tried, folder: Path) -> None:
    """Leave the files of an input and what became of it."""
    from Testing.fuzz.mutate import mutated

    place = folder / re.sub(r"[^\w.-]+", "-", f"{tried.format}-{tried.seed}")
    place.mkdir(parents=True, exist_ok=True)
    for name, content in mutated(tried.format, tried.seed).files.items():
        (place / name).write_bytes(content)
    (place / "outcome.txt").write_text(f"{tried.outcome}\n{tried.detail}\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    from Testing.fuzz.compare import UNJUDGED

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=5000, help="damaged inputs (default: 5000)")
    parser.add_argument("--first-seed", type=int, default=0, help="start here; other seeds are other damage")
    parser.add_argument("--only", metavar="FORMAT/SEED", help="try a single one, and say all about it")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "fuzz")
    options = parser.parse_args(arguments)
    failures = options.output / "failures"
    if options.only:
        name, _, seed = options.only.rpartition("/")
        [one] = run([(name, int(seed))])
        keep(one, failures)
        print(f"{one.outcome} ({one.megabytes:g} MB)\n{one.detail}")
        return int(not one.passed)
    shutil.rmtree(failures, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    tried: list[Tried] = []
    with suppress(KeyboardInterrupt):  # what was tried until then counts
        for one in run(plan(options.count, options.first_seed)):
            tried.append(one)
            if not one.passed:
                keep(one, failures)
                print(
                    f"{one.format}/{one.seed}: {one.outcome}: {one.detail.strip().splitlines()[-1][:150]}", flush=True
                )
    (options.output / "table.txt").write_text(table(tried) + "\n", encoding="utf-8")
    result = {"seconds": round(time.perf_counter() - started, 1), "tried": [asdict(one) for one in tried]}
    (options.output / "results.json").write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(table(tried))
    print(f"{sum(one.detail == UNJUDGED for one in tried)} were {UNJUDGED}")
    print(f"{len(tried)} inputs in {result['seconds']:.0f} s; failures are kept in {failures}")
    return int(not all(one.passed for one in tried))


if __name__ == "__main__":
    sys.exit(main())
