"""Takes the place of the Slicer executable in ctest: a script or code as ``Slicer --testing`` runs it, on slicer-core.

It is started with ``python -I -S``, so nothing is importable but the standard library, the packages under
``--site-packages`` (without their .pth files, hence without an editable install of this repository) and the modules
under ``--additional-module-paths``. There is no application: no main window, no Qt, no module panel.
"""

from __future__ import annotations

import argparse
import signal
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import TextIO


def main() -> None:
    """Run what the options name; what it raises ends Python with 1, as an error ends ``Slicer --testing``."""
    options = parsed()
    sys.path[:0] = options.additional_module_paths
    sys.path.extend(options.site_packages)
    import slicer

    behave_as_slicer()
    offer_testing(slicer)
    if options.python_code:
        exec(compile(options.python_code, "--python-code", "exec"), {"__name__": "__main__", "slicer": slicer})
    if options.python_script:
        run_script(*options.python_script)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site-packages", nargs="+", default=[])
    parser.add_argument("--additional-module-paths", nargs="+", default=[])
    for flag in ("--no-splash", "--testing", "--no-main-window"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--python-code")
    # What is behind --python-script is the script's own, dashes or not; argparse would not leave it alone.
    arguments = [*sys.argv[1:], "--python-script"]
    behind = arguments.index("--python-script")
    options = parser.parse_args(arguments[:behind])
    options.python_script = sys.argv[1:][behind + 1 :]
    return options


class Output:
    """What stands for a standard stream in Slicer: PythonQt's object, which can be written to and little else."""

    softspace = closed = 0

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> tuple[()]:
        self._stream.write(text)
        self._stream.flush()
        return ()

    def flush(self) -> None:
        pass

    def isatty(self) -> bool:
        return False


def behave_as_slicer() -> None:
    """Slicer's standard streams; and Ctrl-C, which there ends the process before Python hears of it."""
    sys.stdout, sys.stderr = Output(sys.__stdout__), Output(sys.__stderr__)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def run_script(script: str, *arguments: str) -> None:
    """Execute a file in the main module, as CTK's Python manager does; Slicer keeps a -- to itself."""
    sys.argv = [script, *(argument for argument in arguments if argument != "--")]
    sys.path.insert(0, str(Path(script).resolve().parent))
    scope = vars(sys.modules["__main__"])
    scope["__file__"] = script
    exec(compile(Path(script).read_text(encoding="utf-8"), script, "exec", dont_inherit=True), scope)


def offer_testing(slicer: ModuleType) -> None:
    """Offer slicer.testing.runUnitTest, with which ctest starts a module's self-test; the wheel lacks it."""

    def run_unit_test(folders: list[str], name: str) -> None:
        sys.path.extend(folders)
        result = unittest.TextTestRunner(verbosity=2).run(unittest.defaultTestLoader.loadTestsFromName(name))
        if not result.wasSuccessful():
            raise RuntimeError(f"The self-test {name} failed.")

    slicer.testing = sys.modules["slicer.testing"] = ModuleType("slicer.testing")
    slicer.testing.runUnitTest = run_unit_test


if __name__ == "__main__":
    main()
