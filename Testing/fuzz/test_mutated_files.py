"""Damaged files of every format: the voxels that others read, or a clean error; `make fuzz` tries thousands."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from LiverSegLib.errors import DeviceError, InputError
from LiverSegLib.io import files
from Testing.fuzz.attempt import CRASH, HANG, MEMORY, READ, REFUSED, UNCLEAR, Road, _judged
from Testing.fuzz.campaign import Worker
from Testing.fuzz.compare import UNJUDGED, problem_of_ct, problem_of_labels
from Testing.fuzz.corpus import FORMATS, sample_of, write

COUNT = 300
SEEDS = -(-COUNT // len(FORMATS))

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="limits memory and measures it by means of Linux")


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with Worker() as worker:
        yield worker


@pytest.mark.slow
@on_linux
@pytest.mark.parametrize("name", FORMATS)
def test_damaged_files_give_the_voxels_that_others_read_or_a_clean_error(worker, name):
    failures = [tried for seed in range(SEEDS) if not (tried := worker.try_one(name, seed)).passed]
    assert not failures, f"see more with: make fuzz FUZZ_ARGS=\"--only '{name}/{failures[0].seed}'\""


@pytest.fixture(scope="module")
def road() -> Road:
    return Road()


@on_linux
@pytest.mark.parametrize("name", FORMATS)
def test_the_sound_files_are_read(road, name):
    attempt = road.attempt(sample_of(name))
    refused = name == "nrrd detached"
    assert attempt.outcome == (REFUSED if refused else READ), attempt.detail


# ---- what the other readers find, and whether the comparison notices -------------------------------------------------


@pytest.fixture
def sample_path(tmp_path):
    """Write the sound input of a format; the path to read."""

    def sample_path(name):
        write(sample := sample_of(name), tmp_path)
        return tmp_path / sample.target

    return sample_path


@pytest.mark.parametrize("name", [name for name in FORMATS if sample_of(name).kind == "ct" and name != "nrrd detached"])
def test_another_voxel_or_another_place_of_a_ct_is_noticed(sample_path, name):
    path = sample_path(name)
    ct = files.read_ct(path)
    assert problem_of_ct(ct, path) == ""
    (hu := ct.hu.copy())[2, 3, 4] += 2
    assert "other voxels" in problem_of_ct(replace(ct, hu=hu), path)
    (affine := ct.affine.copy())[:3, :3] *= 1.1
    assert problem_of_ct(replace(ct, affine=affine), path) not in ("", UNJUDGED)


@pytest.mark.parametrize("name", ["nii labels", "seg.nrrd"])
def test_another_label_or_another_place_of_a_label_map_is_noticed(sample_path, name):
    path = sample_path(name)
    labels, affine = files.read_labels(path)
    assert problem_of_labels(labels, affine, path) == ""
    assert problem_of_labels(labels, affine + np.eye(4, k=3), path)
    labels[2, 3, 4] = 0
    assert problem_of_labels(labels, affine, path) == "other labels"


# ---- the campaign ----------------------------------------------------------------------------------------------------


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
