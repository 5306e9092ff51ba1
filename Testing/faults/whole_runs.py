"""Lets ``liverseg segment`` meet a fault: it is killed between its files, runs short of memory, or is not alone.

``python -m Testing.faults.whole_runs CT FOLDER`` leaves FOLDER/FAULT with what the command wrote there, over old files,
and prints one line of JSON: how each process ended. One process loads the libraries, runs the command once without a
fault, into FOLDER/whole, and forks one process for each fault. What a first run takes in memory is taken by then, so
that a limit is met in the middle of the work.
"""

from __future__ import annotations

import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from itertools import count
from pathlib import Path

from LiverSegLib.cli import main
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io import files
from Testing.faults.processes import OLD

OUTPUTS = ("liver.nii.gz", "report.json", "overlay.png")
# Three files are written, each to a temporary name in two steps, and then take their places.
RENAMES = 2 * len(OUTPUTS)
# From nothing to more than enough: what a run needs lies in between, in other places on other computers.
MEGABYTES = (0, 2, 8, 32, 256)
TOGETHER = 3


def killed_before_rename(number: int) -> None:
    """Nothing can be said or cleaned up."""
    renames = count(1)

    def hook(event: str, _: object) -> None:
        if event == "os.rename" and next(renames) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def with_memory(megabytes: int) -> None:
    """As much more as this than the process has already."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + megabytes * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


FAULTS: dict[str, Callable[[], None]] = {
    **{f"killed before rename {n}": lambda n=n: killed_before_rename(n) for n in range(1, RENAMES + 1)},
    **{f"{megabytes} MB": lambda megabytes=megabytes: with_memory(megabytes) for megabytes in MEGABYTES},
}


def start(ct: Path, folder: Path, fault: Callable[[], None]) -> Callable[[], dict[str, int | str]]:
    """Begin with the command in a process of its own; call the answer to wait for its end and learn how it ended."""
    heard, said = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(heard)
        errors = io.StringIO()
        with redirect_stdout(io.StringIO()), redirect_stderr(errors):
            fault()
            code = main(arguments(ct, folder))
        os.write(said, errors.getvalue().encode())
        os._exit(code)
    os.close(said)

    def ended() -> dict[str, int | str]:
        with os.fdopen(heard, encoding="utf-8") as pipe:
            words = pipe.read()
        status = os.waitpid(process, 0)[1]
        killed = os.WIFSIGNALED(status)
        return {
            "signal": os.WTERMSIG(status) if killed else 0,
            "code": -1 if killed else os.WEXITSTATUS(status),
            "said": words.splitlines()[-1] if words else "",
        }

    return ended


def arguments(ct: Path, folder: Path) -> list[str]:
    """Of the command line."""
    labels, report, picture = (str(folder / name) for name in OUTPUTS)
    return ["segment", str(ct), "-o", labels, "--report", report, "--picture", picture]


def with_old_files(folder: Path) -> Path:
    """A new folder in which an earlier run has left its files."""
    folder.mkdir()
    for name in OUTPUTS:
        (folder / name).write_bytes(OLD)
    return folder


def run_all(ct: Path, folder: Path) -> dict[str, dict[str, int | str]]:
    """Every fault, one after the other, and at last several processes at a time that write to the same files."""
    (folder / "whole").mkdir()
    with redirect_stdout(io.StringIO()):
        assert main(arguments(ct, folder / "whole")) == 0
    found = {name: start(ct, with_old_files(folder / name), fault)() for name, fault in FAULTS.items()}
    together = with_old_files(folder / "together")
    others = [another(ct, folder / f"{number}.nii", number) for number in range(1, TOGETHER)]
    running = [start(scan, together, lambda: None) for scan in (ct, *others)]
    return found | {f"together {number}": ended() for number, ended in enumerate(running)}


def another(ct: Path, path: Path, shift: int) -> Path:
    """The same scan at another place, so that results can be told apart."""
    scan = files.read_ct(ct)
    affine = scan.affine.copy()
    affine[2, 3] += shift
    files.write_ct(path, CTVolume(scan.hu, affine))
    return path


if __name__ == "__main__":
    print(json.dumps(run_all(Path(sys.argv[1]), Path(sys.argv[2]))))
