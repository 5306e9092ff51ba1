"""Writes each kind of file over an old one, in processes that are stopped or run out of space at given moments.

``python -m Testing.faults.stopped FOLDER`` leaves FOLDER/KIND/MOMENT/KIND, and prints one line of JSON: how each
process ended. One process loads the libraries once and forks one for each write.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from LiverSegLib.errors import LiverSegError
from Testing.faults.processes import OLD
from Testing.faults.writers import ALL_WRITERS

HALF = 200


def killed_by_the_first_byte() -> None:
    """The kernel kills the process, with no word to it, when a file of it grows beyond the limit."""
    _limit_files(0, signal.SIG_DFL)


def killed_in_the_middle() -> None:
    _limit_files(HALF, signal.SIG_DFL)


def killed_before_the_rename() -> None:
    sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.rename" else None)


def out_of_space() -> None:
    """As a quota does it: writing fails."""
    _limit_files(HALF, signal.SIG_IGN)


MOMENTS: dict[str, Callable[[], None]] = {
    prepare.__name__: prepare
    for prepare in (killed_by_the_first_byte, killed_in_the_middle, killed_before_the_rename, out_of_space)
}


def _limit_files(size: int, action: signal.Handlers) -> None:
    signal.signal(signal.SIGXFSZ, action)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def stop(kind: str, moment: str, folder: Path) -> dict[str, int | str]:
    """Let a process write a file of a kind over the old one; how it ended: its signal, or what it said."""
    target = folder / kind / moment / kind
    target.parent.mkdir(parents=True)
    target.write_bytes(OLD)
    heard, said = os.pipe()
    process = os.fork()
    if process == 0:
        MOMENTS[moment]()
        try:
            ALL_WRITERS[kind](target)
            os.write(said, b"written")
        except LiverSegError as error:
            os.write(said, str(error).encode())
        os._exit(0)
    os.close(said)
    with os.fdopen(heard, encoding="utf-8") as pipe:
        words = pipe.read()
    return {"signal": os.WTERMSIG(os.waitpid(process, 0)[1]), "said": words}


def main(folder: Path) -> None:
    """Every kind at every moment."""
    for kind, write in ALL_WRITERS.items():  # whole ones as well: what a first write needs is loaded then
        (folder / "whole" / kind).parent.mkdir(parents=True, exist_ok=True)
        write(folder / "whole" / kind)
    print(json.dumps({f"{kind} {moment}": stop(kind, moment, folder) for kind in ALL_WRITERS for moment in MOMENTS}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
