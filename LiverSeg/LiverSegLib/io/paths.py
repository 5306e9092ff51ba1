"""Names of files that everything in use can take."""

from __future__ import annotations

import os

from .. import messages


def objection_to(path: str | os.PathLike[str]) -> str | None:
    """The sentence to show if a name is no text in UTF-8, as in archives that are older than it; else None.

    No report could hold such a name.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return messages.NAME_IS_NO_TEXT.format(path=as_text(path))
    return None


def as_text(path: str | os.PathLike[str]) -> str:
    """A path as reports can hold it: what is no text in it as ``\\xfc``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
