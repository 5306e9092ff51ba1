"""While the user looks at the panel the network is loaded, so that the first click is as quick as the others."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import qt

from .runner import Runner


class WarmUp:
    """Loads the network in the background, if its packages are there and nothing else runs; it asks nothing.

    ``is_busy`` tells whether something else runs.
    """

    # The panel is there first: PyTorch takes a second to load, and Python's lock with it.
    DELAY_MS = 500

    def __init__(self, logic: Any, is_busy: Callable[[], bool]) -> None:
        self._logic, self._is_busy = logic, is_busy
        self._device = "auto"
        self._runner = Runner(lambda share, stage, seconds: None)
        self._timer = qt.QTimer()
        self._timer.setInterval(self.DELAY_MS)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._begin)

    def start(self, device: str) -> None:
        """Begin in a moment, for the device of this name."""
        self._device = device
        self._timer.start()

    def stop(self) -> None:
        """Leave it; what is loaded already stays."""
        self._timer.stop()
        self._runner.stop()

    def close(self) -> None:
        """Leave it, and let go of the panel: PythonQt keeps what a signal is connected to."""
        self.stop()
        self._runner.close()
        self._timer.disconnect("timeout()", self._begin)

    def _begin(self) -> None:
        if not self._is_busy() and not self._logic.missingPackages():
            self._runner.start(self._logic.warmUpSteps(self._device), lambda nothing: None, self._log)

    @staticmethod
    def _log(error: Exception) -> None:
        # Nobody asked for anything yet: the first run fails in the same way, and tells the user.
        logging.info("Liver Segmentation: the network is not loaded yet", exc_info=error)
