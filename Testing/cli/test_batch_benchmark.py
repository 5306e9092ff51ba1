"""The benchmark of the batch in small: broken scans, kill -9 at a random moment, and the same table after all."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(folder: Path, part: str, *options: str) -> tuple[subprocess.CompletedProcess[str], dict[str, object]]:
    """The benchmark, and what it measured in one part."""
    output = folder / "benchmark.json"
    command = [sys.executable, "-m", "Testing.benchmark.batch", *options]
    command += ["--output", str(output), "--folder", str(folder / "work")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "LiverSeg"), str(ROOT)))}
    finished = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=1200, check=False
    )
    rows = json.loads(output.read_text(encoding="utf-8"))[part] if output.exists() else []
    return finished, {row["what"]: row["value"] for row in rows}


def test_the_part_about_time_measures_what_it_promises(tmp_path: Path) -> None:
    (tmp_path / "benchmark.json").write_text('{"survival": [{"what": "cases", "value": 200, "holds": true}]}')
    finished, results = run(tmp_path, "pace", "--only", "pace", "--timed-cases", "6", "--timed-shape", "4", "32", "32")
    # Whether the numbers are good is for an idle computer to say.
    assert finished.returncode in (0, 1) and not finished.stderr, finished.stderr
    assert {"batch's pace / segmenter's", "two processes / one"} <= results.keys()
    stages = [value for what, value in results.items() if what.startswith("processor seconds a case")]
    assert len(stages) == 3 and all(stages)
    assert json.loads((tmp_path / "benchmark.json").read_text())["survival"], "the other part's results are kept"


def test_a_cohort_with_broken_scans_survives_and_goes_on_after_a_kill(tmp_path: Path) -> None:
    options = ("--only", "survival", "--cases", "12", "--shape", "4", "32", "32", "--seed", "7")
    finished, results = run(tmp_path, "survival", *options)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert (results["good cases done"], results["broken cases named"], results["exit code"]) == (7, 5, 1)
    assert results["the same table"] is True
