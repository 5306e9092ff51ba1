"""Takes the place of the Slicer executable in ctest: a script or code as ``Slicer --testing`` runs it, on slicer-core.

It is started with ``python -I -S``, so nothing is importable but the standard library, the packages under
``--site-packages`` (without their .pth files, hence without an editable install of this repository) and the modules
under ``--additional-module-paths``. There is no application: no main window, no Qt, no module panel.
"""

from __future__ import annotations

import argparse
import runpy
import sys
import unittest
from types import ModuleType


def main() -> None:
    """Run what the options name; what it raises ends Python with 1, as an error ends ``Slicer --testing``."""
    options = parsed()
    sys.path[:0] = options.additional_module_paths
    sys.path.extend(options.site_packages)
    import slicer

    offer_testing(slicer)
    if options.python_code:
        exec(compile(options.python_code, "--python-code", "exec"), {"__name__": "__main__", "slicer": slicer})
    if options.python_script:
        script, *sys.argv[1:] = options.python_script
        sys.argv[0] = script
        runpy.run_path(script, run_name="__main__")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site-packages", nargs="+", default=[])
    parser.add_argument("--additional-module-paths", nargs="+", default=[])
    for flag in ("--no-splash", "--testing", "--no-main-window"):
        parser.add_argument(flag, action="store_true")
    parser.add_argument("--python-code")
    parser.add_argument("--python-script", nargs=argparse.REMAINDER)
    return parser.parse_args()


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
