"""Damaged files of every format: a result on the right grid or a clean error; `make fuzz` tries thousands."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from LiverSegLib.errors import DeviceError, InputError
from LiverSegLib.io import files
from Testing.fuzz.attempt import CRASH, GOOD, HANG, MEMORY, READ, REFUSED, UNCLEAR, Road, _judged
from Testing.fuzz.campaign import Tried, Worker, keep, plan, table
from Testing.fuzz.corpus import FORMATS, sample_of
from Testing.fuzz.expected import expected_grid, same
from Testing.fuzz.mutate import mutated

COUNT = 300
SEEDS = -(-COUNT // len(FORMATS))

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory and measures it by means of Linux")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@on_linux
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_a_result_on_the_right_grid_or_a_clean_error(worker, name):
    failures = [tried for seed in range(SEEDS) if not (tried := worker.try_one(name, seed)).passed]
    assert not failures, f"see more with: make fuzz FUZZ_ARGS=\"--only '{name}/{failures[0].seed}'\""


@on_linux
@pytest.mark.parametrize("name", FORMATS)
def test_the_sound_files_are_read(name):
    attempt = Road().attempt(sample_of(name))
    refused = name == "nrrd detached"
    assert attempt.outcome == (REFUSED if refused else READ), attempt.detail


@pytest.mark.parametrize("name", [name for name in FORMATS if "dicom" not in name and "model" not in name])
def test_the_right_grid_is_known_for_the_sound_files(tmp_path, name):
    sample = sample_of(name)
    for file, content in sample.files.items():
        (tmp_path / file).write_bytes(content)
    shape, affine = expected_grid(tmp_path / sample.target)
    assert shape == (4, 9, 11)
    moved = affine.copy()
    moved[0, 3] += 1
    assert same((shape, affine), (shape, affine)) and not same((shape, moved), (shape, affine))
    assert not same((shape[::-1], affine), (shape, affine))
    if name != "nrrd detached":
        read = files.read_labels if sample.kind == "labels" else files.read_ct
        found = read(tmp_path / sample.target)
        assert np.allclose(found[1] if isinstance(found, tuple) else found.affine, affine, atol=1e-4)


@pytest.mark.parametrize("name", FORMATS)
def test_a_seed_gives_the_same_damage_each_time_and_another_one_other_damage(name):
    assert mutated(name, 7).files == mutated(name, 7).files
    assert len({str(mutated(name, seed).files) for seed in range(5)}) > 1


@pytest.mark.parametrize(
    ("program", "outcome"),
    [
        ("import os; os.kill(os.getpid(), 11)", CRASH),
        ("import signal; signal.setitimer(signal.ITIMER_PROF, 0.1)\nwhile True: pass", HANG),
        ("raise SystemExit(3)", CRASH),
    ],
)
@on_linux
def test_a_process_that_dies_is_told_of_with_its_seed(program, outcome):
    command = (sys.executable, "-c", f"print('ready', flush=True); input()\n{program}")
    with Worker(command) as worker:
        for seed in (3, 4):
            tried = worker.try_one("mha", seed)
            assert (tried.format, tried.seed, tried.outcome) == ("mha", seed, outcome)
            assert not tried.passed


def test_an_error_is_clean_only_with_one_sentence_the_exit_code_of_bad_input_and_no_memory_behind_it():
    def outcome(error: Exception, cause: Exception | None = None) -> str:
        try:
            raise error from cause
        except type(error) as raised:
            return _judged(raised)[0]

    assert outcome(InputError("It is short; copy it again.")) == REFUSED
    assert outcome(InputError("It is short; copy it again."), ValueError("Bits Allocated")) == REFUSED
    assert outcome(InputError("It is short; copy it again."), MemoryError()) == MEMORY
    assert outcome(InputError("It is short; copy it again."), RuntimeError("std::bad_alloc")) == MEMORY
    assert outcome(InputError("two\nlines")) == UNCLEAR
    failed = DeviceError("No.")
    failed.exit_code = 1
    assert outcome(failed) == UNCLEAR


def test_the_plan_has_every_format_and_no_input_twice():
    inputs = list(plan(100, first=5))
    assert len(set(inputs)) == 100
    assert {name for name, _ in inputs} == set(FORMATS)
    assert min(seed for _, seed in inputs) == 5


def test_a_failure_is_kept_with_its_files_and_counted(tmp_path):
    tried = Tried("mha zlib", 3, CRASH, "SIGSEGV", 0.0)
    keep(tried, tmp_path)
    assert (tmp_path / "mha-zlib-3" / "ct.mha").read_bytes() == mutated("mha zlib", 3).files["ct.mha"]
    assert "SIGSEGV" in (tmp_path / "mha-zlib-3" / "outcome.txt").read_text()
    lines = table([tried, Tried("mha zlib", 4, GOOD[0], "", 2.0)]).splitlines()
    assert lines[1].split() == ["mha", "zlib", "1", "·", "·", "·", "·", "·", "1", "·", "2"]
