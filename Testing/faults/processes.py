"""Processes that tests start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
OLD = b"the old file"


def python(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python in this repository, which finds the library and the tests' own helpers."""
    paths = os.pathsep.join([str(ROOT / "LiverSeg"), str(ROOT)])
    command = [sys.executable, "-B", *map(str, arguments)]
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
