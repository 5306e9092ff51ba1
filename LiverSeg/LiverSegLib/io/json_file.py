"""JSON as this library writes it: for people as well, and harmless to a terminal that shows it."""

from __future__ import annotations

import json
import os

from .atomic import replacing
from .terminal import printable


def as_json(content: object) -> str:
    """JSON on several lines, in which only what a terminal would obey is escaped; ValueError for NaN and infinity."""
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
    return "\n".join(map(printable, text.split("\n")))


def write_json(path: str | os.PathLike[str], content: object) -> None:
    """Write :func:`as_json`; OutputError if the file cannot be written, and an old one stays as it was."""
    with replacing(path) as temporary:
        temporary.write_text(as_json(content) + "\n", encoding="utf-8")
