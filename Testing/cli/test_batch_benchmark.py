"""The benchmark of the batch in small: broken scans, kill -9 at a random moment, and the same table after all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_a_cohort_with_broken_scans_survives_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    output = tmp_path / "benchmark.json"
    command = [sys.executable, "-m", "Testing.benchmark.batch", "--cases", "12", "--shape", "4", "32", "32"]
    command += ["--timed-cases", "0", "--seed", "7", "--output", str(output), "--folder", str(tmp_path / "work")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "LiverSeg"), str(ROOT)))}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    results = {row["what"]: row["value"] for row in json.loads(output.read_text(encoding="utf-8"))["results"]}
    assert (results["good cases done"], results["broken cases named"], results["exit code"]) == (7, 5, 1)
    assert results["the same table"] is True
