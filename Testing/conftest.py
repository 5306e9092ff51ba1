"""What all tests share: the real CT data where it is at hand, a small phantom, and settings for repeatable runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from LiverSegLib.phantom import Phantom

# Read by torch when it loads, so it comes before any test. Threads that spin while they wait make the tests many times
# slower on a machine that is busy with something else, such as other processes of the same tests.
os.environ.setdefault("OMP_NUM_THREADS", "1" if "PYTEST_XDIST_WORKER" in os.environ else "2")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# The same examples in every run, and no time limit for one: a busy machine must not fail a test.
settings.register_profile("liverseg", deadline=None, derandomize=True)
settings.load_profile("liverseg")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder with the real CT volumes: LIVERSEG_DATA, else ../shared/data."""
    folder = Path(os.environ.get("LIVERSEG_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"needs the real CT volumes: {folder} is not there; set LIVERSEG_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def a_phantom() -> Phantom:
    """A synthetic abdomen on a coarse grid with its exact liver, made once; tests leave it as it is."""
    from LiverSegLib.phantom import make_phantom

    return make_phantom(seed=0, shape=(32, 128, 128), spacing=(7.5, 2.85, 2.85))
