"""Names of files that everything in use can take."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

from .. import messages
from ..errors import InputError


def objection_to(path: str | os.PathLike[str]) -> str | None:
    """The sentence to show if a name is no text in UTF-8, as in archives that are older than it; else None.

    No report could hold such a name.
    """
    try:
        os.fspath(path).encode("utf-8")
    except UnicodeEncodeError:
        return messages.NAME_IS_NO_TEXT.format(path=as_text(path))
    return None


def check_there(path: str | os.PathLike[str]) -> Path:
    """The path of an input, file or folder; InputError if none is there or its name is no text."""
    objection = objection_to(path)
    if objection:
        raise InputError(objection)
    # Unlike pathlib's, this is False as well where the user may not look, or the name is too long.
    if not os.path.exists(path):
        raise InputError(messages.NO_FILE.format(path=path))
    return Path(path)


def as_text(path: str | os.PathLike[str]) -> str:
    """A path as reports can hold it: what is no text in it as ``\\xfc``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def as_on_disk(path: Path) -> Path:
    """The path; where only one exists that writes its accents otherwise (NFC, NFD), as on macOS, that one."""
    if os.path.lexists(path) or not path.name:
        return path
    folder, wanted = as_on_disk(path.parent), unicodedata.normalize("NFC", path.name)
    try:
        names = os.listdir(folder)
    except OSError:
        return path
    return next((folder / name for name in sorted(names) if unicodedata.normalize("NFC", name) == wanted), path)


def below(path: Path, root: Path) -> str:
    """A path relative to a folder, with "/", as records and logs can hold it."""
    try:
        relative = path.relative_to(root)
    except ValueError:
        relative = Path(os.path.relpath(path.absolute(), root.absolute()))
    return as_text(relative.as_posix())
