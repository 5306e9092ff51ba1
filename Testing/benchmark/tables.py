"""What was measured, as Markdown for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from Testing.benchmark.memory import COMPUTER, GPU
from Testing.benchmark.places import NETWORK, STAGES, SURFACE


def stage_table(found: dict[str, Any]) -> str:
    """Median seconds and peak memory by stage, a column for each CT, and the network beside the machine's limit."""
    cases = found["cases"]
    rows = [[stage, *(_stage(case, stage) for case in cases.values())] for stage in STAGES]
    rows.append(["**whole command**", *(_whole(case) for case in cases.values())])
    rows.append([f"{SURFACE}, in the panel", *(_surface(case) for case in cases.values())])
    rows.append(["operations of the network", *(f"{case['flop'] / 1e9:.0f} GFLOP" for case in cases.values())])
    rows.append(
        ["they take at the limit", *(f"{at_limit(case['flop'], found['limit']):.2f} s" for case in cases.values())]
    )
    ratios = (medians(case)[NETWORK] / at_limit(case["flop"], found["limit"]) for case in cases.values())
    rows.append(["**network / limit**", *(f"**{ratio:.2f}**" for ratio in ratios)])
    titles = [f"{name}, {size(case['shape'])}" for name, case in cases.items()]
    return _markdown(["Stage", *titles], rows)


def medians(case: dict[str, Any]) -> dict[str, float]:
    """Median seconds of each stage over the runs of a case."""
    return {stage: median(run["seconds"][stage] for run in case["runs"]) for stage in STAGES}


def at_limit(flop: float, limit: dict[str, Any]) -> float:
    """Seconds that so many operations take at the machine's limit, at the precision that the network computes in."""
    return flop / 1e9 / limit["gflops"][limit["precision"]]


def click_table(clicks: dict[str, Any]) -> str:
    """Seconds from each click to the labels."""
    rows = [
        [how, *(f"{click['seconds']:.2f} s" for click in clicks[how]["clicks"])]
        for how in ("warmed up", "not warmed up")
    ]
    titles = [f"click {number}" for number in range(1, len(rows[0]))]
    return _markdown([f"From click to labels, {clicks['case']}", *titles], rows)


def beside_table(beside: dict[str, Any], cases: dict[str, Any]) -> str:
    """Median seconds of the whole command alone and beside so many processes that spin."""
    alone = median(sum(run["seconds"].values()) for run in cases[beside["case"]]["runs"])
    rows = [["alone", f"{alone:.2f} s", "1.00"]]
    for count, seconds in beside["seconds"].items():
        rows.append([f"{count} spinning", f"{median(seconds):.2f} s", f"{median(seconds) / alone:.2f}"])
    return _markdown([f"Whole command beside other work, {beside['case']}", "time", "times alone"], rows)


def limit_table(limit: dict[str, Any]) -> str:
    """GFLOP/s of each convolution."""
    convolutions, precisions = limit["convolutions"], list(limit["gflops"])
    sizes = dict.fromkeys((each["channels"], each["pixels"]) for each in convolutions)
    rate = {(each["precision"], each["channels"], each["pixels"]): each["gflops"] for each in convolutions}
    rows = [
        [f"{channels} channels, {pixels}×{pixels}", *(f"{rate[each, channels, pixels]:.0f}" for each in precisions)]
        for channels, pixels in sizes
    ]
    rows.append(["**best**", *(f"**{limit['gflops'][each]:.0f}**" for each in precisions)])
    return _markdown(["3×3 convolution, GFLOP/s", *precisions], rows)


def size(shape: Sequence[int]) -> str:
    """Columns × rows × slices."""
    return "×".join(str(n) for n in reversed(shape))


def _stage(case: dict[str, Any], stage: str) -> str:
    return f"{medians(case)[stage]:.2f} s{_memory(case['peak_gb'].get(stage, {}))}"


def _whole(case: dict[str, Any]) -> str:
    seconds = median(sum(run["seconds"].values()) for run in case["runs"])
    on_gpu = [peak[GPU] for peak in case["peak_gb"].values() if GPU in peak]
    peaks = {COMPUTER: case["process_gb"], **({GPU: max(on_gpu)} if on_gpu else {})}
    return f"**{seconds:.2f} s**{_memory(peaks)}"


def _surface(case: dict[str, Any]) -> str:
    if not case["surface"]:
        return "not measured, without slicer-core"
    *timed, last = case["surface"]
    peak = last["peak_gb"]
    seconds = median(each["seconds"] for each in timed)
    return f"{seconds:.2f} s{_memory({} if peak is None else {COMPUTER: peak})}"


def _memory(peaks: dict[str, float]) -> str:
    texts = [f"{peaks[COMPUTER]:.2f} GB"] if COMPUTER in peaks else []
    texts += [f"{peaks[GPU]:.2f} GB on the GPU"] if GPU in peaks else []
    return "".join(f", {text}" for text in texts)


def _markdown(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
