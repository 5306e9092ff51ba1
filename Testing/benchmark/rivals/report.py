"""What was found, as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from Testing.benchmark.rivals.configurations import OURS, RIVALS
from Testing.benchmark.rivals.measurement import ASSEMBLE, BACK, NETWORK, PREPARE, READ

HEADINGS = ["", "Calls", "Read", "Prepare", "Network", "Assemble", "Back", "**Whole**", "Memory", "Network", "Whole"]


def markdown(found: dict[str, Any]) -> str:
    """The table of all rivals, and what they were measured on."""
    measured = found["rivals"]
    own = measured.get(OURS, {})
    lines = [_row(HEADINGS), _row(["---", *["---:"] * (len(HEADINGS) - 1)])]
    lines += [_row(_line(name, result, own)) for name, result in measured.items()]
    return "\n".join([*lines, "", *_notes(found)]) + "\n"


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
