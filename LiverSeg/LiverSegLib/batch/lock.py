"""One run at a time in an output folder: a lock that the system takes back when its process dies, however it dies."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import messages
from ..errors import OutputError
from .own_places import open_own

LOCK_FILE = ".lock"
# Windows lets nobody read a locked byte, so it lies behind the text that tells whose the lock is.
LOCKED_BYTE = 1_000_000


@contextmanager
def only_run(output: Path) -> Iterator[None]:
    """Hold the lock of an output folder.

    The file stays when the run has ended; only the system's lock on it counts.

    Raises
    ------
    OutputError
        If another run holds it, or the file cannot be made.
    """
    file = open_own(output / LOCK_FILE, os.O_RDWR)
    try:
        try:
            _lock(file)
        except (BlockingIOError, PermissionError) as error:
            owner = os.read(file, 200).decode(errors="replace").strip() or messages.UNKNOWN
            raise OutputError(messages.OUTPUT_IN_USE.format(owner=owner, folder=output)) from error
        except OSError:
            pass  # some network file systems know no locks: there, two runs are the user's own affair
        os.truncate(file, 0)
        os.write(file, f"process {os.getpid()} on {platform.node()}\n".encode())
        yield
    finally:
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        os.lseek(file, LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        finally:
            os.lseek(file, 0, os.SEEK_SET)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
