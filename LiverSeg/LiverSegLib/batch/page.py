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
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from .. import messages
from ..data.places import Place
from ..io.atomic import replacing
from ..io.terminal import printable

if TYPE_CHECKING:
    from jinja2 import Template

    from .record import CaseRecord

TEMPLATE = Path(__file__).with_name("page.html")
# The roles in CaseRecord.files that the page links to, beside the picture.
LINKED_FILES = ("segmentation", "anatomy", "report")

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
    dice = [value for record in records if (value := _number(record, "dice")) is not None]
    page = _template().generate(
        messages=messages,
        title=title,
        records=sorted(records, key=_worst_first),
        failed=sum(_has_failed(record) for record in records),
        skipped=skipped,
        dice=dice,
        places={order: _places(records, key) for order, key in _ORDERS.items()},
        links=LINKED_FILES,
        median=median,
        facts_of=_facts,
        warnings_of=_warnings,
        doubts_of=_doubts,
    )
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(page)


def _template() -> Template:
    from jinja2 import Environment

    environment = Environment(autoescape=True, trim_blocks=True, finalize=_one_line)
    environment.filters["url"] = _url
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8"))


def _one_line(value: object) -> object:
    """Before it is escaped, no text breaks a line or turns the reading order."""
    return printable(" ".join(value.split())) if type(value) is str else value


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


_ORDERS: dict[str, Callable[[CaseRecord], tuple[Any, ...]]] = {
    "dice": _worst_first,
    "doubt": _most_doubtful_first,
    "name": lambda record: (record.name,),
    "time": lambda record: (-record.seconds, record.name),
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


def _doubts(record: CaseRecord) -> list[str]:
    """Where to look."""
    return [str(Place(**place)) for place in (record.report or {}).get("places", ())]


def _url(relative: str) -> str:
    """A relative path as a relative URL: all but the unreserved characters of RFC 3986 as %XX."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in os.fsencode(relative))
