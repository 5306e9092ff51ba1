"""The run's own files and folders in its output: a link in their place would lead it to what is not its own."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from .. import messages
from ..errors import OutputError

# Windows has neither; there, making a link takes an administrator's right.
WITHOUT_LINKS = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)


def open_own(path: Path, flags: int) -> int:
    """Open a file for the run, made if missing; the file descriptor.

    Raises
    ------
    OutputError
        If a link or anything else that is no file stands in its place, or it cannot be opened.
    """
    try:
        if os.path.lexists(path) and not stat.S_ISREG(path.lstat().st_mode):
            raise OutputError(messages.NOT_OF_THE_RUN.format(path=path))
        return os.open(path, flags | os.O_CREAT | WITHOUT_LINKS, 0o666)
    except OSError as error:
        raise OutputError(messages.NOT_WRITTEN_BECAUSE.format(path=path, reason=error.strerror)) from error


def check_own_folders(folders: Iterable[Path]) -> None:
    """Raise OutputError if one of these is a link; they need not exist."""
    for folder in folders:
        if folder.is_symlink():
            raise OutputError(messages.NOT_OF_THE_RUN.format(path=folder))
