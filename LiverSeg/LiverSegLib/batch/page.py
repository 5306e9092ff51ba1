"""OUT/index.html: all cases of a run on one page, the worst first, to look through in a browser, also offline.

The page is a single file that loads nothing but the cases' pictures beside it. The order is settled here, in Python:
each case carries its place in every order, so the page's few lines of JavaScript only choose among them, and without
JavaScript it is sorted worst first.
"""

from __future__ import annotations

import math
import os
import string
from collections.abc import Callable, Iterator, Sequence
from html import escape
from statistics import median
from typing import TYPE_CHECKING, Any

from .. import messages
from ..io.atomic import replacing
from ..io.terminal import printable

if TYPE_CHECKING:
    from .record import CaseRecord

# The roles in CaseRecord.files that the page shows; the first as a picture.
PICTURE = "picture"
LINKED_FILES = ("segmentation", "report")

_UNRESERVED = frozenset(f"{string.ascii_letters}{string.digits}-._~/".encode())


def write_page(path: str | os.PathLike[str], records: Sequence[CaseRecord], title: str, skipped: int = 0) -> None:
    """Write the page, in the folder that the records' files are relative to.

    Parameters
    ----------
    path
        The page; an old one stays as it was until the new one is whole.
    records
        The cases, in any order.
    title
        The page's title and headline.
    skipped
        How many of them an earlier run had done already.

    Raises
    ------
    OutputError
        If the page cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(f"{line}\n" for line in _page(records, title, skipped))


def _page(records: Sequence[CaseRecord], title: str, skipped: int) -> Iterator[str]:
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>"
    yield f"<header>\n<h1>{_text(title)}</h1>\n<dl>"
    yield from (_fact(label, value) for label, value in _headline(records, skipped))
    yield f"</dl>\n<p>{_text(messages.RESEARCH_USE)}</p>"
    yield from _controls(records)
    yield '</header>\n<ol id="cases">'
    places = {order: _places(records, key) for order, key in _ORDERS.items()}
    for record in sorted(records, key=_worst_first):
        attributes = "".join(f' data-{order}="{place[record.name]}"' for order, place in places.items())
        yield from _case(record, attributes)
    yield f"</ol>\n<script>{_SCRIPT}</script>\n</body>\n</html>"


def _headline(records: Sequence[CaseRecord], skipped: int) -> Iterator[tuple[str, str]]:
    """What the run comes to, as labels and values."""
    failed = sum(_has_failed(record) for record in records)
    dice = [value for record in records if (value := _number(record, "dice")) is not None]
    yield messages.PAGE_CASES, str(len(records))
    yield messages.DONE, str(len(records) - failed)
    yield messages.PAGE_FAILED, str(failed)
    if skipped:
        yield messages.PAGE_SKIPPED, str(skipped)
    if dice:
        yield messages.PAGE_MEDIAN_DICE, f"{median(dice):.3f}"


def _controls(records: Sequence[CaseRecord]) -> Iterator[str]:
    """Hidden until the script has found that it runs."""
    orders = {"doubt": messages.PAGE_BY_DOUBT, "name": messages.PAGE_BY_NAME, "time": messages.PAGE_BY_TIME}
    if any(_number(record, "dice") is not None for record in records):
        orders = {"dice": messages.PAGE_BY_DICE, **orders}
    shown = {"": messages.PAGE_ALL, "done": messages.PAGE_DONE, "failed": messages.PAGE_ONLY_FAILED}
    shown["warned"] = messages.PAGE_WARNED
    yield '<form id="controls" autocomplete="off" hidden>'
    yield _choice("order", messages.PAGE_ORDER, orders)
    yield _choice("shown", messages.PAGE_SHOWN, shown)
    yield f'<label>{_text(messages.PAGE_FIND)} <input id="find" type="search"></label>'
    yield "</form>"


def _choice(identifier: str, label: str, options: dict[str, str]) -> str:
    entries = "".join(f'<option value="{value}">{_text(text)}</option>' for value, text in options.items())
    return f'<label>{_text(label)} <select id="{identifier}">{entries}</select></label>'


def _case(record: CaseRecord, attributes: str) -> Iterator[str]:
    warnings = _warnings(record)
    classes = f"{record.status} warned" if warnings else record.status
    yield f'<li class="{_text(classes)}"{attributes}>'
    if PICTURE in record.files:
        url, description = _url(record.files[PICTURE]), _text(messages.PAGE_PICTURE.format(name=record.name))
        yield f'<a href="{url}"><img src="{url}" alt="{description}" loading="lazy" decoding="async"></a>'
    yield f"<h2>{_text(record.name)}</h2>"
    if record.reason:
        yield f"<p>{_text(record.reason)}</p>"
    yield "<dl>"
    yield from (_fact(label, value) for label, value in _facts(record))
    yield "</dl>"
    if warnings:
        yield f"<ul>{''.join(f'<li>{_text(warning)}</li>' for warning in warnings)}</ul>"
    links = [f'<a href="{_url(record.files[role])}">{role}</a>' for role in LINKED_FILES if role in record.files]
    if links:
        yield f"<nav>{' '.join(links)}</nav>"
    yield "</li>"


def _facts(record: CaseRecord) -> Iterator[tuple[str, str]]:
    """The numbers of one case, as labels and values; what is not known is left out."""
    dice, quality = _number(record, "dice"), _number(record, "quality")
    liver, tumour = _number(record, "liver_volume_ml"), _number(record, "tumour_volume_ml")
    if dice is not None:
        yield messages.MEASURE_DICE, f"{dice:.3f}"
    if quality is not None:
        yield messages.MEASURE_QUALITY, f"{quality:.2f}"
    if liver is not None:
        yield messages.MEASURE_LIVER_VOLUME, messages.LIVER_VOLUME.format(volume=liver)
    if tumour is not None:
        yield messages.MEASURE_TUMOUR_VOLUME, messages.TUMOUR_VOLUME.format(volume=tumour)
    yield messages.MEASURE_TIME, messages.PAGE_SECONDS.format(seconds=record.seconds)


def _fact(label: str, value: str) -> str:
    return f"<div><dt>{_text(label)}</dt><dd>{_text(value)}</dd></div>"


# ---- the orders ------------------------------------------------------------------------------------------------------


def _worst_first(record: CaseRecord) -> tuple[Any, ...]:
    """Failed cases, then the lowest Dice; those without a reference come last, the most doubtful of them first."""
    dice = _number(record, "dice")
    return not _has_failed(record), math.inf if dice is None else dice, *_most_doubtful_first(record)


def _most_doubtful_first(record: CaseRecord) -> tuple[Any, ...]:
    """Failed cases, those without an estimate (no liver was found), the lowest Dice expected; then by warnings."""
    quality = _number(record, "quality")
    warnings = -len(_warnings(record))
    return not _has_failed(record), -math.inf if quality is None else quality, warnings, record.name


def _by_name(record: CaseRecord) -> tuple[Any, ...]:
    return (record.name,)


def _slowest_first(record: CaseRecord) -> tuple[Any, ...]:
    return -record.seconds, record.name


_ORDERS: dict[str, Callable[[CaseRecord], tuple[Any, ...]]] = {
    "dice": _worst_first,
    "doubt": _most_doubtful_first,
    "name": _by_name,
    "time": _slowest_first,
}


def _places(records: Sequence[CaseRecord], key: Callable[[CaseRecord], tuple[Any, ...]]) -> dict[str, int]:
    """The place of each case in one order, by its name."""
    return {record.name: place for place, record in enumerate(sorted(records, key=key))}


# ---- what a record says ----------------------------------------------------------------------------------------------


def _has_failed(record: CaseRecord) -> bool:
    return record.status != "done"


def _number(record: CaseRecord, key: str) -> float | None:
    """A finite number of the report; None where the report lacks it."""
    value = (record.report or {}).get(key)
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _warnings(record: CaseRecord) -> list[str]:
    return list((record.report or {}).get("warnings", ()))


# ---- HTML ------------------------------------------------------------------------------------------------------------


def _text(value: str) -> str:
    """Safe inside an element and inside quotes."""
    return escape(printable(" ".join(value.split())))


def _url(relative: str) -> str:
    """A relative path as a relative URL: all but the unreserved characters of RFC 3986 as %XX."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in os.fsencode(relative))


# Pictures have their shape before they are loaded, which happens when they come near the window: thousands stay quick.
# (content-visibility, meant for long pages, made choosing another order of 1200 cases many times slower in Chromium.)
_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #59636e; --paper: #f4f5f7; --card: #fff; --line: #d8dce1;
  --bad: #b42318; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e8eb; --dim: #9aa4af; --paper: #14171a; --card: #1e2226; --line: #33393f; --bad: #ff8a7a;
    --warn: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 1.5rem; background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
h1 { margin: 0 0 .75rem; font-size: 1.4rem; overflow-wrap: anywhere; }
header p { margin: .75rem 0; color: var(--dim); }
dl, ol, ul { margin: 0; padding: 0; list-style: none; }
dl { display: flex; flex-wrap: wrap; gap: .35rem 1.25rem; }
dt { color: var(--dim); font-size: .8rem; }
dd { margin: 0; font-variant-numeric: tabular-nums; font-weight: 600; }
header dd { font-size: 1.5rem; }
form { display: flex; flex-wrap: wrap; gap: .5rem 1.25rem; }
form label { color: var(--dim); }
select, input { font: inherit; padding: .2rem .4rem; }
#cases { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(24rem, 100%), 1fr)); gap: 1rem;
  align-items: start; margin-top: 1.25rem; }
#cases > li { padding: .75rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
#cases > .failed { grid-column: 1 / -1; border-color: var(--bad); }
.failed p { margin: .25rem 0 .5rem; color: var(--bad); overflow-wrap: anywhere; }
h2 { margin: 0 0 .25rem; font-size: 1rem; overflow-wrap: anywhere; }
img { display: block; width: 100%; margin-bottom: .5rem; aspect-ratio: 7 / 4; object-fit: contain; background: #000;
  border-radius: 4px; }
#cases ul { margin-top: .5rem; color: var(--warn); font-size: .9rem; overflow-wrap: anywhere; }
#cases ul li + li { margin-top: .25rem; }
nav { margin-top: .5rem; font-size: .85rem; }
nav a { margin-right: .75rem; color: var(--dim); }
[hidden] { display: none !important; }
"""

_SCRIPT = """
const list = document.getElementById("cases"), cases = Array.from(list.children);
const controls = document.getElementById("controls");
const [order, shown, find] = ["order", "shown", "find"].map((id) => document.getElementById(id));
function sort() {
  cases.sort((one, other) => one.dataset[order.value] - other.dataset[order.value]);
  list.replaceChildren(...cases);
}
function filter() {
  const wanted = find.value.toLowerCase();
  for (const item of cases)
    item.hidden = (shown.value && !item.classList.contains(shown.value)) ||
      !item.querySelector("h2").textContent.toLowerCase().includes(wanted);
}
order.addEventListener("change", sort);
shown.addEventListener("change", filter);
find.addEventListener("input", filter);
controls.addEventListener("submit", (event) => event.preventDefault());
controls.hidden = false;
"""
