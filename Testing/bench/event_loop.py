"""Qt's event loop as Slicer turns it: Python's global lock stays with the main thread while Qt waits for events.

PySide6 gives the lock away inside exec() and processEvents(), so that a worker thread computes freely; PythonQt keeps
it (README.md says where that is written). The two C++ functions are therefore called through ctypes, which keeps it.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable
from pathlib import Path

import PySide6
import shiboken6
from PySide6 import QtCore

EXEC = "_ZN10QEventLoop4execE6QFlagsINS_17ProcessEventsFlagEE"
PROCESS_EVENTS = "_ZN16QCoreApplication13processEventsE6QFlagsIN10QEventLoop17ProcessEventsFlagEE"
# How often a waiting test looks. Each look lets a worker thread have the lock once, which nothing does in Slicer.
LOOK_MS = 25


def _functions() -> dict[str, Callable]:
    """exec() and processEvents() with the lock kept; PySide6's own where Qt's library is not as on Linux."""
    try:
        core = ctypes.PyDLL(str(Path(PySide6.__path__[0]) / "Qt" / "lib" / "libQt6Core.so.6"))
        run, process = core[EXEC], core[PROCESS_EVENTS]
    except (OSError, AttributeError):
        return {}
    run.argtypes, process.argtypes, process.restype = [ctypes.c_void_p, ctypes.c_int], [ctypes.c_int], None
    return {"exec": run, "process": process}


class EventLoop:
    """Turns the loop until something has happened.

    Parameters
    ----------
    hold_gil
        Keep Python's lock while Qt waits, as Slicer does. Only on Linux; elsewhere PySide6's manner.
    """

    def __init__(self, hold_gil: bool = True) -> None:
        self._functions = _functions() if hold_gil else {}

    @property
    def holds_gil(self) -> bool:
        return bool(self._functions)

    def process_events(self) -> None:
        """Handle what is pending, and delete what was to be deleted later."""
        if self.holds_gil:
            self._functions["process"](0)
        else:
            QtCore.QCoreApplication.processEvents()
        QtCore.QCoreApplication.sendPostedEvents(None, QtCore.QEvent.Type.DeferredDelete.value)

    def turn_until(self, condition: Callable[[], object], seconds: float) -> bool:
        """Whether the condition came true in time; the loop turns meanwhile."""
        self.process_events()
        if condition():
            return True
        loop, look = QtCore.QEventLoop(), QtCore.QTimer()
        end, error = time.monotonic() + seconds, []

        def check() -> None:
            try:
                if condition() or time.monotonic() > end:
                    loop.quit()
            except BaseException as caught:  # of the test: raised below, not in Qt
                error.append(caught)
                loop.quit()

        look.timeout.connect(check)
        look.start(LOOK_MS)
        if self.holds_gil:
            self._functions["exec"](shiboken6.getCppPointer(loop)[0], 0)
        else:
            loop.exec()
        look.stop()
        if error:
            raise error[0]
        return bool(condition())
