"""Our segmenter beside what a user would pick instead, on one CT and one machine: ``make bench-rivals``.

Each rival is measured in a process of its own, with random weights where ours are not needed; what it is, and what is
fair about it, docs/side-by-side.md tells. Prints the table as Markdown and leaves it beside a JSON with everything.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from Testing.benchmark import fresh
from Testing.benchmark.rivals import machine, one, report
from Testing.benchmark.rivals.configurations import OURS, RIVALS

ROOT = Path(__file__).parents[3]
DATA = Path(os.environ.get("LIVERSEG_DATA", ROOT.parent / "shared" / "data"))
NO_CT = "There is no CT at {ct}; name one with --ct, or set LIVERSEG_DATA to the folder with native/."


def measured(name: str, options: argparse.Namespace, liver_box: Any, onnx: Path) -> dict[str, Any]:
    """One rival in a fresh process; where it cannot run, why."""
    missing = [package for package in RIVALS[name].packages if importlib.util.find_spec(package) is None]
    if missing:
        return {"not measured": f"not installed: {', '.join(missing)}"}
    try:
        if "onnx" in RIVALS[name].packages and not onnx.exists():
            fresh.run(one.export, path=str(onnx))
        return fresh.run(
            one.measure,
            name=name,
            ct=str(options.ct),
            threads=options.threads,
            runs=options.runs,
            sample=options.sample_patches,
            liver_box=liver_box,
            onnx=str(onnx),
        )
    except SystemExit as failure:
        # The others are worth their time even so; the process itself has said more on stderr.
        print(failure, file=sys.stderr)
        return {"not measured": "failed"}


def all_measured(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Each wanted rival, ours first: the others are compared with it, and one is cropped to the liver that it finds."""
    results: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for name in RIVALS:
        if name not in options.rivals:
            continue
        print(f"measuring {RIVALS[name].title}", file=sys.stderr, flush=True)
        results[name] = measured(name, options, own.get("liver box"), folder / "network.onnx")
        details = results[name].get("details", {})
        own = details if name == OURS else own
        if "agreement" in details:
            results[name]["same batches as ours"] = details["batches"] == own.get("batches")
        results[name]["configuration"] = asdict(RIVALS[name]).get("configuration")
    return results


def main() -> int:
    """Measure, print, write; 1 if something could not be measured."""
    options = parsed()
    # Read when numerical libraries are loaded, which happens in the processes to come.
    os.environ["OMP_NUM_THREADS"] = str(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        results = all_measured(options, Path(folder))
    found = {
        "command": shlex.join(["python", "-m", "Testing.benchmark.rivals", *sys.argv[1:]]),
        "ct": options.ct.name,
        "machine": machine.described(options.threads),
        "versions": machine.versions(),
        "rivals": results,
    }
    text = report.markdown(found)
    print(text)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    return 0 if all("whole" in result for result in results.values()) else 1


def parsed() -> argparse.Namespace:
    """Options of the command, checked before hours are spent."""
    parser = argparse.ArgumentParser(prog="python -m Testing.benchmark.rivals", description=__doc__)
    parser.add_argument("--ct", type=Path, default=DATA / "native" / "ircad_e19_ct.nii.gz")
    parser.add_argument("--rivals", nargs="+", choices=list(RIVALS), default=list(RIVALS), metavar="NAME")
    parser.add_argument("--threads", type=int, default=machine.usable_cores())
    parser.add_argument("--runs", type=int, default=3, help="of our segmenter and of the other engines")
    parser.add_argument("--sample-patches", type=int, help="time so many patches of each rival and estimate the rest")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark-rivals.json"))
    options = parser.parse_args()
    if OURS not in options.rivals:
        options.rivals = [OURS, *options.rivals]
    if not options.ct.exists():
        parser.error(NO_CT.format(ct=options.ct))
    for name in ("threads", "runs", "sample_patches"):
        value = getattr(options, name)
        if value is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} has to be 1 or more")
    return options


if __name__ == "__main__":
    sys.exit(main())
