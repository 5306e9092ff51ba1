"""The goals for speed, and whether they are met."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from statistics import median
from typing import Any

from Testing.benchmark.inputs import BODY, NATIVE, TRUNK
from Testing.benchmark.places import BACK, CLEAN_UP, LOAD, NETWORK, PREPARE, WRITE

MOST_OF_LIMIT, MOST_REST, MOST_BODY, LEAST_DICE, MORE_GB, LATER_SECONDS = 1.25, 0.35, 1.6, 0.995, 1.0, 2.0
SEGMENTATION = (PREPARE, NETWORK, BACK, CLEAN_UP)


@dataclass(frozen=True)
class Goal:
    """A number that was measured, and what it must not exceed, or for ``at_least`` not fall short of."""

    what: str
    value: float
    bound: float
    unit: str = ""
    at_least: bool = False

    @property
    def met(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def goals(found: dict[str, Any]) -> list[Goal]:
    """All goals that the measured numbers say something about; ``found`` is what the benchmark writes as JSON."""
    return [*_network(found), *_rest(found), *_whole_body(found), *_first_click(found)]


def medians(case: dict[str, Any]) -> dict[str, float]:
    """Median seconds of each stage over the runs of a case."""
    stages = case["runs"][0]["seconds"]
    return {stage: median(run["seconds"][stage] for run in case["runs"]) for stage in stages}


def at_limit(flop: float, limit: dict[str, Any]) -> float:
    """Seconds that so many operations take at the machine's limit, at the precision that the network computes in."""
    return flop / 1e9 / limit["gflops"][limit["precision"]]


def following(clicks: dict[str, Any]) -> dict[str, float]:
    """The quickest of the clicks after the first one: seconds by stage."""
    return min(clicks["clicks"][1:], key=lambda click: click["seconds"])["stages"]


def input_gb(case: dict[str, Any]) -> float:
    """Memory of the input's voxels, int16."""
    return 2 * prod(case["shape"]) / 1e9


def _network(found: dict[str, Any]) -> Iterator[Goal]:
    for name, case in found["cases"].items():
        seconds = medians(case)[NETWORK] / at_limit(case["flop"], found["limit"])
        yield Goal(f"{name}: network / its operations at the machine's limit", seconds, MOST_OF_LIMIT)
    if "clicks" in found:
        warm = found["clicks"]["warmed up"]
        ratio = following(warm)[NETWORK] / at_limit(warm["flop"], found["limit"])
        yield Goal(f"{found['clicks']['case']}: the same, following click", ratio, MOST_OF_LIMIT)


def _rest(found: dict[str, Any]) -> Iterator[Goal]:
    """Everything but the network, understood in several ways, from the segmentation alone to the whole process."""
    if NATIVE in found["cases"]:
        case = found["cases"][NATIVE]
        seconds = medians(case)
        rest = sum(seconds[stage] for stage in SEGMENTATION if stage != NETWORK) + seconds[WRITE]
        ratios = {"prepare, back to the grid, clean-up, write": rest}
        if case["surface"]:
            rest += median(each["seconds"] for each in case["surface"])
            ratios["the same and the surface"] = rest
        ratios["all that and loading Python, network and scan"] = rest + seconds[LOAD]
        for what, value in ratios.items():
            yield Goal(f"{NATIVE}: {what} / network", value / seconds[NETWORK], MOST_REST)
    if found.get("clicks", {}).get("case") == NATIVE:
        warm = following(found["clicks"]["warmed up"])
        rest = sum(warm[stage] for stage in SEGMENTATION if stage != NETWORK)
        yield Goal(
            f"{NATIVE}: prepare, back to the grid, clean-up / network, following click", rest / warm[NETWORK], MOST_REST
        )


def _whole_body(found: dict[str, Any]) -> Iterator[Goal]:
    cases = found["cases"]
    if {TRUNK, BODY} <= set(cases):
        body, trunk = medians(cases[BODY]), medians(cases[TRUNK])
        yield Goal(f"{BODY} / {TRUNK}: whole command", sum(body.values()) / sum(trunk.values()), MOST_BODY)
        body_seconds, trunk_seconds = (sum(each[stage] for stage in SEGMENTATION) for each in (body, trunk))
        yield Goal(f"{BODY} / {TRUNK}: from voxels to labels", body_seconds / trunk_seconds, MOST_BODY)
    for name, case in cases.items():
        if "full pass" in case:
            yield Goal(f"{name}: Dice with the full pass", case["full pass"]["dice"], LEAST_DICE, at_least=True)
    if BODY in cases:
        bound = input_gb(cases[BODY]) + MORE_GB
        yield Goal(f"{BODY}: peak memory, at most the input + 1 GB", cases[BODY]["process_gb"], bound, " GB")


def _first_click(found: dict[str, Any]) -> Iterator[Goal]:
    if "clicks" not in found:
        return
    for how in ("warmed up", "not warmed up"):
        first, *later = (click["seconds"] for click in found["clicks"][how]["clicks"])
        yield Goal(
            f"{found['clicks']['case']}: first click slower than the next, {how}",
            first - min(later),
            LATER_SECONDS,
            " s",
        )
