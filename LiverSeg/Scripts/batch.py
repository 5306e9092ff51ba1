"""`liverseg batch` inside Slicer, without a window: the same options, files and exit codes by the same code.

    Slicer --no-main-window --python-script LiverSeg/Scripts/batch.py INPUT -o OUT

docs/batch.md tells more. Slicer takes options that are its own, such as --help, out of the line; those after -- it
leaves to the script.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

# LiverSegLib lies in the module's folder; so the script runs where Slicer has not loaded the module, too.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from LiverSegLib import cli, install
from LiverSegLib.errors import InputError, InstallError
from LiverSegLib.io.terminal import tell_error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the batch and return the exit code: 0 all done, 1 some failed, 2 bad input or no PyTorch, 130 stopped."""
    listen_to_ctrl_c()
    try:
        install.check_packages()
    except InstallError as error:
        tell_error(f"liverseg: error: {error}")
        return InputError.exit_code
    return cli.main(["batch", *(sys.argv[1:] if arguments is None else arguments)])


def listen_to_ctrl_c() -> None:
    """Make Ctrl-C an exception, as in plain Python; Slicer has it end the process on the spot."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)


# Slicer ends with the code of sys.exit, also under --testing. Processes of --jobs load this file, too, as no main one.
if __name__ == "__main__":
    sys.exit(main())
