"""Short soaks: nothing grows and nothing changes; and what grows or changes is noticed."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.inference.segmenter import Segmenter
from Testing.soak import segmentations
from Testing.soak.process import growth, holdings
from Testing.soak.segmentations import Road, found_in, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux tells what a process holds")


@pytest.fixture
def failures(tmp_path):
    """What a short soak with some work has to complain of."""
    (tmp_path / "scans").mkdir()
    scans = segmentations.make_scans(tmp_path / "scans")
    return lambda work: "; ".join(found_in(soak(20, work, scans, tmp_path))["failures"])


@pytest.mark.slow
def test_segmentations_in_one_process_hold_no_more_and_find_the_same_each_time(failures):
    assert failures(Road(Segmenter(device="cpu"))) == ""


def test_what_leaks_changes_or_finds_nothing_is_noticed(failures):
    kept: list[np.ndarray] = []
    calls: list[Path] = []

    def changing(scan, folder):
        calls.append(scan)
        return b"another liver" if len(calls) == 12 else b"liver"

    assert failures(lambda scan, folder: b"liver") == ""
    assert "no liver" in failures(lambda scan, folder: bytes(100))
    # 200 MB after the warm-up, far more than the process of all the tests may give back meanwhile.
    assert "memory grew" in failures(lambda scan, folder: kept.append(np.ones(2_500_000)) or b"liver")
    assert "2 different results" in failures(changing)


def test_whatever_else_is_left_behind_is_noticed():
    before, end = holdings(), threading.Event()
    thread, tensor = threading.Thread(target=end.wait), torch.zeros(1)
    thread.start()
    with Path(os.devnull).open("rb"):
        told = [sentence.partition(" ")[0] for sentence in growth(before, holdings())]
    end.set()
    thread.join()
    assert told == ["threads", "files", "tensors"] and tensor is not None
