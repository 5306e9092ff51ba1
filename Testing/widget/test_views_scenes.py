"""Slicer's displayable managers use nodes that are freed where they go in the wrong order: nothing crashes them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from LiverSegLib.errors import OutputError
from Testing.demo.views import check_rendering
from Testing.widget.views_scenes import SCENES

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def played():
    """Of a process of its own: the scenes that were played to their ends, and what the log says."""
    try:
        check_rendering()
    except OutputError as error:
        pytest.skip(str(error))
    paths = os.pathsep.join([str(ROOT / "LiverSeg"), str(ROOT)])
    command = [sys.executable, "-m", "Testing.widget.views_scenes"]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths})


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_nothing_crashes_the_views(played, scene):
    assert scene.__name__ in played.stdout.split(), played.stderr[-2000:]


def test_nothing_logs_an_error(played):
    assert played.returncode == 0 and "ERR|" not in played.stderr, played.stderr[-2000:]
