"""Which files beside slices should be slices, too, although nothing in them says so: the names of the others tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# A number stands alone, in decimal or hexadecimal digits, or is what digits there are among letters.
_NUMBER = re.compile(r"(?<![a-z\d])[a-f\d]*\d[a-f\d]*(?![a-z\d])|\d+")
_UID = re.compile(r"#(\.#)+")
_NOTHING_BUT_A_NUMBER = "#"


class NamesOfSlices:
    """The names of slices that were read: from ``IM_0001`` to ``IM_0040``, so that ``IM_0041`` should be one."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self._there = set(paths)
        self._folders = {path.parent for path in self._there}
        self._patterns = {_pattern(path.name) for path in self._there}
        self._stems = {_pattern(path.stem): path.suffix for path in self._there}

    def lack(self, path: Path) -> bool:
        """Whether a file that is not DICOM stands where a slice should be.

        That is one with the name of a slice that is not there, without its ending (``IM_0041`` for ``IM_0041.dcm``) or
        with another (``IM_0041.part``), and a link that leads nowhere, whatever it is called.
        """
        if path.parent in self._folders and not os.path.exists(path):
            return True
        pattern, shorter = _pattern(path.name), _pattern(path.stem)
        if pattern in self._patterns:
            return True
        if pattern in self._stems:
            return path.with_name(path.name + self._stems[pattern]) not in self._there
        is_told = shorter in self._patterns and shorter != _NOTHING_BUT_A_NUMBER
        return is_told and path.with_name(path.stem) not in self._there


def _pattern(name: str) -> str:
    """A name without its numbers."""
    return _UID.sub("#", _NUMBER.sub("#", name.lower()))
