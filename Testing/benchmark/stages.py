"""Time and memory of one segmentation from the command line, stage by stage: ``make bench``.

Each run is a process of its own, as a user's would be: Python and PyTorch are loaded, the file is read, the result is
written. The CT is the native test patient where the shared data are at hand, else a phantom of the same size.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
STAGES = ("load", "preprocess", "network", "postprocess", "write", "total")


@dataclass(frozen=True)
class Run:
    """Seconds of each stage as reported, and of the whole process; peak memory in GB."""

    seconds: dict[str, float]
    process_seconds: float
    peak_gb: float


def native_size_ct(folder: Path) -> Path:
    """The native test patient, or a phantom of 512×512×124 voxels written into ``folder``."""
    data = Path(os.environ.get("LIVERSEG_DATA", ROOT.parent / "shared" / "data"))
    native = data / "native" / "ircad_e19_ct.nii.gz"
    if native.exists():
        return native
    import nibabel

    from LiverSegLib.phantom import make_phantom

    phantom = make_phantom(shape=(124, 512, 512), spacing=(2.0, 0.75, 0.75))
    path = folder / "ct.nii.gz"
    nibabel.save(nibabel.Nifti1Image(phantom.ct.hu.T, phantom.ct.affine), path)
    return path


def run_once(ct: Path, folder: Path, device: str) -> Run:
    """Segment in a fresh process, whose peak memory the operating system tells."""
    report = folder / "report.json"
    command = [sys.executable, "-m", "LiverSegLib.cli", "segment", str(ct), "-o", str(folder / "liver.nii.gz")]
    command += ["--device", device, "--report", str(report)]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    elapsed = time.perf_counter() - started
    if status:
        raise SystemExit(f"{' '.join(command)} failed")
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return Run(json.loads(report.read_text())["seconds"], elapsed, peak_bytes / 1e9)


def table(runs: list[Run]) -> str:
    """Median and range of each stage over the runs."""
    rows = [(stage, [run.seconds[stage] for run in runs], "s") for stage in STAGES]
    rows.append(("whole process", [run.process_seconds for run in runs], "s"))
    rows.append(("peak memory", [run.peak_gb for run in runs], "GB"))
    lines = [f"{'':<14} {'median':>9} {'min':>7} {'max':>7}"]
    for name, values, unit in rows:
        lines.append(f"{name:<14} {statistics.median(values):7.2f} {unit:<2} {min(values):6.2f} {max(values):7.2f}")
    return "\n".join(lines)


def main() -> None:
    """Run, print the table, and leave it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--ct", type=Path, help="a CT of your own")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ct = options.ct or native_size_ct(folder)
        print(f"{ct.name}, {os.cpu_count()} cores, {options.runs} runs, each a process of its own")
        runs = [run_once(ct, folder, options.device) for _ in range(options.runs)]
    print(table(runs))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps({"ct": ct.name, "runs": [vars(run) for run in runs]}, indent=2) + "\n")


if __name__ == "__main__":
    main()
