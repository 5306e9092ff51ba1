"""Keys of the panel that work wherever the mouse is in Slicer's main window, while they are wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import qt


class Shortcuts:
    """Keys and what they do. A field into which text is typed keeps its letters: Qt asks it first.

    Parameters
    ----------
    window
        In which the keys work.
    acts
        What each key does, by its name, such as "A" or "Esc".
    """

    def __init__(self, window: Any, acts: dict[str, Callable[[], None]]) -> None:
        self._shortcuts: dict[str, Any] = {}
        self._acts = acts
        for key, act in acts.items():
            shortcut = qt.QShortcut(window)
            shortcut.setKey(qt.QKeySequence(key))
            shortcut.enabled = False
            shortcut.connect("activated()", act)
            self._shortcuts[key] = shortcut

    def enable(self, *keys: str) -> None:
        """Let these keys work, and no others."""
        for key, shortcut in self._shortcuts.items():
            shortcut.enabled = key in keys

    def close(self) -> None:
        """Let go of the panel: PythonQt keeps what a signal is connected to."""
        self.enable()
        for key, shortcut in self._shortcuts.items():
            shortcut.disconnect("activated()", self._acts[key])
            shortcut.deleteLater()
        self._shortcuts = {}
