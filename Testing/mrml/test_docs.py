"""The Python page runs as it is printed: all its blocks, one after the other, with slicer-core."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_the_blocks_of_the_python_page_run_in_their_order(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "page.py").write_text("\n".join(blocks), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "LiverSeg"), "PYTHONUTF8": "1"}
    finished = subprocess.run(
        [sys.executable, "page.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=600,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "Cancelled: nothing was changed." in finished.stdout
    assert "choose the CT as the input" in finished.stdout
    assert re.search(r"Dice 0\.9\d\d, HD95 \d+\.\d mm", finished.stdout), finished.stdout
    written = {path.name for path in tmp_path.iterdir()}
    assert written >= {"liver.seg.nrrd", "liver.nii.gz", "report.json", "report.csv"}
