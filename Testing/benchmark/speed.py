"""How fast a segmentation is, stage by stage, beside what the machine can do: ``make bench``.

Three CTs are segmented from the command line, each run in a process of its own. The table has the median of the runs;
memory is measured in a run more, since to look costs time. In the same session the machine's own limit is measured,
between all the rest: where it falls, something else ran. What each number means: docs/speed.md.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from time import perf_counter
from typing import Any

from Testing.benchmark import busy, clicks, command, fresh, inputs, limit, surface, tables
from Testing.benchmark.inputs import NAMES

YOURS = "yours"
# Processes that spin beside the command, in the stage "beside other work".
SPINNING = (1, 2)


def main() -> None:
    """Measure, print the tables, and leave all numbers as JSON."""
    options = _parsed()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(options, Path(folder))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    print(_machine(found))
    for text in (
        tables.stage_table(found),
        tables.limit_table(found["limit"]),
        tables.beside_table(found["beside"], found["cases"]),
        *([tables.click_table(found["clicks"])] if "clicks" in found else []),
    ):
        print(f"\n{text}")
    if warning := busy.warning(found["limit"]["lowest_share"]):
        print(f"\n{warning}")
    if options.divisor > 1:
        print(f"\nA trial with 1/{options.divisor} of the voxels along each axis: its times say nothing.")


def measure(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All numbers; ``folder`` is for the inputs and results."""
    found: dict[str, Any] = {"divisor": options.divisor, "cores": os.cpu_count(), "cases": {}}
    limits = [_limit(options)]
    for name in [YOURS] if options.ct else options.cases:
        found["cases"][name] = _case(name, options, folder)
        limits.append(_limit(options))
    first = next(iter(found["cases"]))
    if options.clicks > 1:
        found["clicks"] = {"case": first}
        for how, warmed_up in (("warmed up", True), ("not warmed up", False)):
            found["clicks"][how] = _step(
                f"{options.clicks} clicks, {how}",
                clicks.measure,
                ct=found["cases"][first]["path"],
                device=options.device,
                warmed_up=warmed_up,
                count=options.clicks,
            )
        limits.append(_limit(options))
    found["beside"] = _beside(first, found["cases"][first]["path"], options, folder)
    limits.append(_limit(options))
    found["limit"] = reduce(_better, limits) | {"lowest_share": busy.lowest_share(limits)}
    return found


def _limit(options: argparse.Namespace) -> dict[str, Any]:
    return _step("the machine's limit", limit.measure, device=options.device, seconds=options.limit_seconds)


def _beside(name: str, ct: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The command on one CT beside other work: ``seconds`` of each run, by how many processes spin."""
    seconds: dict[int, list[float]] = {}
    for count in SPINNING:
        with busy.spinning(count):
            titles = [f"{name} beside {count}, run {number}" for number in range(1, options.runs + 1)]
            runs = [_command(title, ct, folder / name, options) for title in titles]
        seconds[count] = [sum(run["seconds"].values()) for run in runs]
    return {"case": name, "seconds": seconds}


def _command(title: str, ct: str, folder: Path, options: argparse.Namespace, with_memory: bool = False) -> Any:
    arguments = {"ct": ct, "folder": folder, "device": options.device, "with_memory": with_memory}
    return _step(title, command.measure, **arguments, started=perf_counter())


def _case(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All about one CT."""
    case = _input(name, options, folder)
    results = folder / name
    results.mkdir()
    labels = str(results / "liver.nii.gz")
    titles = [f"{name}, run {number} of {options.runs}" for number in range(1, options.runs + 1)]
    case["runs"] = [{"seconds": _command(title, case["path"], results, options)["seconds"]} for title in titles]
    whole = _command(f"{name}, memory", case["path"], results, options, with_memory=True)
    case |= {key: value for key, value in whole.items() if key != "seconds"}
    case["surface"] = []
    # The last one is for the memory, here too.
    for with_memory in [False] * options.runs + [True] if importlib.util.find_spec("slicer") else []:
        case["surface"].append(_step(f"{name}, surface", surface.measure, labels=labels, with_memory=with_memory))
    return case


def _input(name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    if name == YOURS:
        return _step(f"{options.ct.name}", inputs.of_file, path=options.ct.absolute())
    return _step(f"{name}, the CT", inputs.make, name=name, folder=folder, divisor=options.divisor)


def _step(title: str, function: Callable[..., dict[str, Any]], **arguments: Any) -> dict[str, Any]:
    """Say what comes, and do it in a process of its own."""
    print(title, file=sys.stderr, flush=True)
    return fresh.run(function, **arguments)


def _better(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The higher rates of two measurements: others on the same computer only ever take time."""
    convolutions = [
        max(pair, key=lambda each: each["gflops"])
        for pair in zip(one["convolutions"], other["convolutions"], strict=True)
    ]
    best = {precision: max(one["gflops"][precision], other["gflops"][precision]) for precision in one["gflops"]}
    return {**one, "gflops": best, "convolutions": convolutions}


def _machine(found: dict[str, Any]) -> str:
    measured = found["limit"]
    parts = [
        f"{measured['processor']}, {found['cores']} cores, {measured['threads']} threads",
        f"{measured['device']} in {measured['precision']}, PyTorch {measured['torch']}",
        *(f"{name}: {tables.size(case['shape'])}, {case['source']}" for name, case in found["cases"].items()),
    ]
    return "\n".join(f"- {part}" for part in parts)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--cases", nargs="+", choices=NAMES, default=NAMES, help="which of the three CTs (all)")
    parser.add_argument("--ct", type=Path, help="a CT of your own in their place")
    parser.add_argument("--runs", type=int, default=3, help="of each command, besides the one for the memory (3)")
    parser.add_argument("--clicks", type=int, default=3, help="in one process; 0 leaves this part out (3)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (auto)")
    parser.add_argument("--divisor", type=int, default=1, help="voxels along each axis fewer by it, for a trial (1)")
    parser.add_argument("--limit-seconds", type=float, default=0.5, help="for each convolution (0.5)")
    parser.add_argument("--output", type=Path, default=Path("out/benchmark.json"))
    return parser.parse_args()


if __name__ == "__main__":
    main()
