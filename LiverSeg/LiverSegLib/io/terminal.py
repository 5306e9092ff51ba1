"""Text on its way to a terminal, a log or a page: names and headers that others wrote cannot steer what shows them."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TextIO

from .. import messages
from ..errors import OutputError


def printable(text: str) -> str:
    """The text on one line: what a terminal would obey, and what turns the reading order, as ``\\u001b``.

    The escapes are those of JSON, so that JSON stays JSON.
    """
    return "".join(character if character.isprintable() else json.dumps(character)[1:-1] for character in text)


def tell(*lines: str) -> None:
    """Print lines on standard output; where its reader has gone, as of ``| head``, the work goes on without it.

    Raises
    ------
    OutputError
        If it cannot be written, to a full disk say.
    """
    try:
        _print(lines, sys.stdout)
    except BrokenPipeError:
        _drop_output()
    except OSError as error:
        _drop_output()
        raise OutputError(messages.STDOUT_NOT_WRITTEN.format(reason=error.strerror)) from error


def tell_error(*lines: str) -> None:
    """Print lines on standard error; if that cannot be written there is nowhere left to say so."""
    with suppress(OSError):
        _print(lines, sys.stderr)


def _print(lines: tuple[str, ...], stream: TextIO) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    for line in lines:
        print(printable(line).encode(encoding, "backslashreplace").decode(encoding), file=stream, flush=True)


def _drop_output() -> None:
    """Python writes what it still holds when it ends, and would complain then."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
