"""Writing so that a crash leaves the old file whole: a temporary file beside the target, then one rename."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from .. import messages
from ..errors import OutputError
from .paths import objection_to

# In characters, of which one has up to four bytes; file systems take names of 255 bytes.
LONGEST_END = 60
# One for each time that a file is replaced: who is given a temporary path may write to it in the same way.
_BEFORE_NAME = re.compile(r"^(?:\.[0-9a-f]{8}-)+")


@contextmanager
def replacing(path: str | os.PathLike[str], through_links: bool = False) -> Iterator[Path]:
    """Give a temporary path in the target's folder; it takes the target's place when the block ends well.

    Parameters
    ----------
    path
        Target. The temporary name keeps its whole ending (``.seg.nrrd``), since writers choose the format by it.
    through_links
        Replace what a link at ``path`` leads to, as cp does; else the link.

    Raises
    ------
    OutputError
        If the target cannot be written (see :func:`check_writable`), or the block or the rename raises OSError.
        Whatever goes wrong, a Ctrl-C included, the temporary file is removed and the target stays as it was.
    """
    target = _place_of(path, through_links)
    check_writable(target)
    temporary = _temporary_name(target, Path(path).name)
    try:
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise OutputError(messages.NOT_WRITTEN_BECAUSE.format(path=target, reason=error.strerror or error)) from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(path: str | os.PathLike[str], through_links: bool = False) -> None:
    """Find out before the long work whether a file can be written at ``path``.

    Raises
    ------
    OutputError
        If the folder does not exist, no file can be made in it, or ``path`` is something other than a file or a name
        that cannot be used.
    """
    target = _place_of(path, through_links)
    objection = objection_to(target)
    if objection:
        raise OutputError(objection)
    if not os.path.isdir(target.parent):
        raise OutputError(messages.NO_FOLDER.format(folder=target.parent))
    try:
        target.lstat()
    except FileNotFoundError:
        pass
    except OSError as error:  # a name that is too long, say
        raise OutputError(messages.NOT_WRITTEN_BECAUSE.format(path=target, reason=error.strerror)) from error
    if (os.path.exists(target) and not os.path.isfile(target)) or (through_links and os.path.islink(target)):
        raise OutputError(messages.NOT_REPLACEABLE.format(path=target))
    # Only trying tells: permission bits say nothing of read-only disks, network shares or the superuser.
    probe = _temporary_name(target, target.name)
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        sentence = messages.FOLDER_NOT_WRITABLE.format(folder=target.parent, reason=error.strerror)
        raise OutputError(sentence) from error


def _place_of(path: str | os.PathLike[str], through_links: bool) -> Path:
    """Where a file is written; a link of a circle of links stays a link."""
    return Path(os.path.realpath(path)) if through_links and os.path.islink(path) else Path(path)


def remove_leftovers(folder: Path, names: Collection[str]) -> None:
    """Remove from a folder what a killed process left of files with these names, which nobody else writes meanwhile."""
    for path in folder.glob(".*-*"):
        if meant_for(path.name) in names:
            path.unlink(missing_ok=True)


def meant_for(name: str) -> str:
    """The name that a temporary file was to get, or that of its temporary file; any other name as it is."""
    return _BEFORE_NAME.sub("", name)


def _temporary_name(target: Path, name: str) -> Path:
    """Hidden, with the end of a name: the whole of it might be too long with what comes before."""
    return target.with_name(f".{secrets.token_hex(4)}-{name[-LONGEST_END:]}")
