"""What was found, as Markdown: the table, the goals, and where in a page of the documentation they stand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from Testing.benchmark.rivals.configurations import FAST, FULL, OURS, RIVALS
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ

BEGIN, END = "<!-- written by make bench-rivals -->", "<!-- end of what make bench-rivals wrote -->"
HEADINGS = ["", "Calls", "Read", "Prepare", "Network", "Assemble", "Back", "**Whole**", "Memory", "Network", "Whole"]
# Of each rival, how many times as long it has to take as ours, and how many times it should.
LEAST_AND_AIM = {FAST: (10.0, 20.0), FULL: (60.0, 100.0)}


@dataclass(frozen=True)
class Goal:
    """How many times as long a rival takes as we do, and what we want that to be."""

    what: str
    times: float
    least: float
    aim: float
    is_estimated: bool

    @property
    def verdict(self) -> str:
        """In words."""
        if self.times < self.least:
            return "missed"
        return "met, and the aim" if self.times >= self.aim else "met, the aim not"


def goals(found: dict[str, Any]) -> Iterator[Goal]:
    """Goals about the rivals that were measured; none without ours. ``found`` is what the command writes as JSON."""
    measured = found["rivals"]
    if "whole" not in measured.get(OURS, {}):
        return
    own = measured[OURS]
    for name, (least, aim) in LEAST_AND_AIM.items():
        rival = measured.get(name, {})
        if "whole" in rival:
            title, estimated = RIVALS[name].title, rival["estimated"]
            network = rival["seconds"][NETWORK] / own["seconds"][NETWORK]
            yield Goal(f"{title}: network", network, least, aim, estimated)
            yield Goal(f"{title}: whole", rival["whole"] / own["whole"], least, aim, estimated)


def markdown(found: dict[str, Any]) -> str:
    """The table of all rivals, what its columns mean, the goals, and the machine."""
    measured = found["rivals"]
    own = measured.get(OURS, {})
    lines = [_row(HEADINGS), _row(["---", *["---:"] * (len(HEADINGS) - 1)])]
    lines += [_row(_line(name, result, own)) for name, result in measured.items()]
    lines += ["", *_notes(found), ""]
    lines += [
        f"- {goal.what} {_times(goal.times, goal.is_estimated)} as long as ours; at least {goal.least:.0f}, aim "
        f"{goal.aim:.0f}: {goal.verdict}."
        for goal in goals(found)
    ]
    return "\n".join(lines).rstrip() + "\n"


def put_into(page: str, text: str) -> str:
    """A page with the text between the two marks, in the place of what stood there.

    Raises
    ------
    ValueError
        If the page has not exactly one of each mark, in their order.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in before or END in after:
        raise ValueError(f"the page needs one line {BEGIN} and one line {END} after it")
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{after}"


def _line(name: str, result: dict[str, Any], own: dict[str, Any]) -> list[str]:
    title = RIVALS[name].title
    if "whole" not in result:
        return [title, result["not measured"], *[""] * (len(HEADINGS) - 2)]
    estimated, seconds = result["estimated"], result["seconds"]
    cells = [title, f"{result['patches']}"]
    cells += [_seconds(seconds[READ]), _seconds(seconds[PREPARE]), _seconds(seconds[NETWORK], estimated)]
    cells += [_seconds(seconds[ASSEMBLE]), _seconds(seconds[BACK]), f"**{_seconds(result['whole'], estimated)}**"]
    cells.append(f"{result['peak memory in GB']:.1f} GB")
    if "whole" not in own:
        return [*cells, "", ""]
    cells.append(_times(seconds[NETWORK] / own["seconds"][NETWORK], estimated))
    return [*cells, _times(result["whole"] / own["whole"], estimated)]


def _notes(found: dict[str, Any]) -> Iterator[str]:
    machine = found["machine"]
    yield (
        f"{found['ct']}; {machine['threads']} threads, {machine['processor']}, {machine['memory in GB']:.0f} GB, "
        f"{machine['system']}. The last two columns: how many times as long as ours."
    )
    sampled = [
        f"{RIVALS[name].title}: {result['patches timed']} of {result['patches']}"
        for name, result in found["rivals"].items()
        if result.get("estimated")
    ]
    if sampled:
        yield f"≈ is estimated from the patches that were run ({'; '.join(sampled)})."
    for name, result in found["rivals"].items():
        details = result.get("details", {})
        if "agreement" in details:
            agreement = details["agreement"]
            same = "the same batches as ours" if result["same batches as ours"] else "other batches than ours"
            yield (
                f"{RIVALS[name].title}: {details['precision']}, {same}; of the pixels "
                f"{agreement['same class']:.3%} get the class that PyTorch gives them in float32 "
                f"(ours: {agreement['same class, ours']:.3%})."
            )
        elif name == OURS and "precision" in details:
            yield f"{RIVALS[name].title}: {details['precision']}, median of {len(details['runs'])} runs."


def _seconds(seconds: float, is_estimated: bool = False) -> str:
    digits = 2 if seconds < 10 else 0
    return f"{'≈ ' if is_estimated else ''}{seconds:.{digits}f} s"


def _times(times: float, is_estimated: bool) -> str:
    digits = 1 if times < 10 else 0
    return f"{'≈ ' if is_estimated else ''}{times:.{digits}f} ×"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"
