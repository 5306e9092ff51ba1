"""Names of cases: unique in a run, the same in every run, and safe as names of folders on every system."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from ..io.files import READABLE_SUFFIXES

# Leaves room for endings within the 255 bytes that a name may have, also where a letter takes four.
LONGEST_BYTES = 120
# Windows keeps these for devices, with any ending.
RESERVED = {"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))}


def case_names(sources: Sequence[str]) -> list[str]:
    """One name for each path relative to the run's input, in the same order.

    A name is the path without its ending, with "__" between folders. Where that is not unique, whatever the case of
    its letters, or where characters had to go, a digest of the path tells the cases apart: the name of a case does
    not depend on the order in which the cases were found.
    """
    plain = [_plain(source) for source in sources]
    counts = Counter(name.casefold() for name, _ in plain)
    names = [
        name if is_faithful and counts[name.casefold()] == 1 else f"{name}-{_digest(source)}"
        for (name, is_faithful), source in zip(plain, sources, strict=True)
    ]
    return _numbered(names)


def series_name(uid: str) -> str:
    """What a DICOM series is called: its UID may lead to the patient, a digest of it does not."""
    return f"series_{_digest(uid, 12)}"


def damaged_name(folder: str) -> str:
    """What the unreadable DICOM files of a folder are called, which may be named after a patient."""
    return f"damaged_{_digest(folder, 12)}"


def without_image_suffix(name: str) -> str:
    """A file's name without the ending of its format; names of other files stay as they are."""
    for suffix in sorted(READABLE_SUFFIXES, key=len, reverse=True):
        if name.lower().endswith(suffix):
            return name[: -len(suffix)]
    return name


def _plain(source: str) -> tuple[str, bool]:
    """A readable and safe name, and whether it still says all that the path said."""
    path = without_image_suffix(unicodedata.normalize("NFC", PurePath(source).as_posix()))
    wanted = path.replace("/", "__")
    name = "".join(letter if letter.isalnum() or letter in "-_." else "_" for letter in wanted).strip(".")
    name = name.encode("utf-8", "replace")[:LONGEST_BYTES].decode("utf-8", "ignore") or "case"
    if name.partition(".")[0].casefold() in RESERVED:
        name = f"_{name}"
    return name, name == wanted


def _digest(text: str, length: int = 8) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:length]


def _numbered(names: Sequence[str]) -> list[str]:
    """The same input given twice has the same name: a number tells the second one."""
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name.casefold()] += 1
        count = seen[name.casefold()]
        numbered.append(name if count == 1 else f"{name}-{count}")
    return numbered
