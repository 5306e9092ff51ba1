"""Slicer's own Python files, from a checkout of Slicer, in the place of the stand-ins of the same names."""

from __future__ import annotations

import sys
from pathlib import Path

import slicer
from PySide6 import QtWidgets


def use_slicers_files(folder: str | Path) -> None:
    """Let ``slicer.parameterNodeWrapper`` and the others be read from this checkout.

    They name many widgets that the bench lacks: those become empty widget classes.

    Raises
    ------
    FileNotFoundError
        If this is no checkout of Slicer.
    """
    python = Path(folder) / "Base" / "Python" / "slicer"
    if not (python / "parameterNodeWrapper").is_dir():
        raise FileNotFoundError(f"{python} has no parameterNodeWrapper; name a checkout of Slicer.")
    slicer.__path__.append(str(python))
    vars(slicer)["__getattr__"] = _empty_widgets("slicer", ("qMRML", "qSlicer"))
    vars(sys.modules["ctk"])["__getattr__"] = _empty_widgets("ctk", ("ctk",))


def _empty_widgets(module: str, prefixes: tuple[str, ...]):
    made: dict[str, type] = {}

    def find(name: str) -> type:
        if not name.startswith(prefixes):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        return made.setdefault(name, type(name, (QtWidgets.QWidget,), {}))

    return find
