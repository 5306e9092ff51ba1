"""A whole run that is killed between its files, or is not the only one with its output."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from LiverSegLib.io import files
from Testing.faults.processes import OLD, python
from Testing.faults.whole_runs import FAULTS, OUTPUTS, TOGETHER

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks processes that have loaded PyTorch")

Endings = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def endings(folder: Path, a_ct_file: Path) -> Endings:
    finished = python("-m", "Testing.faults.whole_runs", a_ct_file, folder)
    assert finished.returncode == 0, finished.stderr
    return json.loads(finished.stdout.splitlines()[-1])


def assert_old_or_whole(folder: Path) -> int:
    """How many of the files are new."""
    new = {name for name in OUTPUTS if (folder / name).read_bytes() != OLD}
    if "liver.nii.gz" in new:
        assert files.read_labels(folder / "liver.nii.gz")[0].any()
    if "report.json" in new:
        assert json.loads((folder / "report.json").read_text(encoding="utf-8"))["liver_volume_ml"] > 0
    if "overlay.png" in new:
        with Image.open(folder / "overlay.png") as drawn:
            drawn.load()  # complains of a truncated file
    return len(new)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_that_is_killed_leaves_each_file_old_or_whole(endings: Endings, folder: Path, fault: str) -> None:
    assert endings[fault]["signal"] == signal.SIGKILL
    new = assert_old_or_whole(folder / fault)
    assert new == max(0, list(FAULTS).index(fault) - len(OUTPUTS))
    leftovers = set(os.listdir(folder / fault)) - set(OUTPUTS)
    assert all(re.fullmatch(r"\.[0-9a-f]{8}-.+", name) for name in leftovers)


def test_several_runs_with_one_output_leave_the_whole_result_of_one_of_them(endings: Endings, folder: Path) -> None:
    assert [endings[f"together {number}"]["code"] for number in range(TOGETHER)] == [0] * TOGETHER
    assert assert_old_or_whole(folder / "together") == len(OUTPUTS)
    assert set(os.listdir(folder / "together")) == set(OUTPUTS)
