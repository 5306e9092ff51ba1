"""Lets ``liverseg segment`` meet a fault: it is killed between its files, or is not alone.

``python -m Testing.faults.whole_runs CT FOLDER`` leaves FOLDER/FAULT with what the command wrote there, over old files,
and prints one line of JSON: how each process ended. One process loads the libraries, runs the command once without a
fault, into FOLDER/whole, and forks one process for each fault.
"""

from __future__ import annotations

import io
import json
import os
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
TOGETHER = 3


def killed_before_rename(number: int) -> None:
    """Nothing can be said or cleaned up."""
    renames = count(1)

    def hook(event: str, _: object) -> None:
        if event == "os.rename" and next(renames) == number:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


FAULTS: dict[str, Callable[[], None]] = {
    f"killed before rename {n}": lambda n=n: killed_before_rename(n) for n in range(1, RENAMES + 1)
}


def start(ct: Path, folder: Path, fault: Callable[[], None]) -> Callable[[], dict[str, int]]:
    """Begin with the command in a process of its own; call the answer to wait for its end and learn how it ended."""
    process = os.fork()
    if process == 0:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            fault()
            code = main(arguments(ct, folder))
        os._exit(code)

    def ended() -> dict[str, int]:
        status = os.waitpid(process, 0)[1]
        killed = os.WIFSIGNALED(status)
        return {"signal": os.WTERMSIG(status) if killed else 0, "code": -1 if killed else os.WEXITSTATUS(status)}

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


def run_all(ct: Path, folder: Path) -> dict[str, dict[str, int]]:
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
