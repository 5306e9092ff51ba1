"""Which files beside slices should be slices, too, although nothing in them says so: the names of the others tell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

# A number stands alone, in decimal or hexadecimal digits, or is what digits there are among letters.
_NUMBER = re.compile(r"(?<![a-z\d])[a-f\d]*\d[a-f\d]*(?![a-z\d])|\d+")
_UID = re.compile(r"#(\.#)+")
# What programs add to the name of a file that they have not finished, or have packed.
_ADDED = (".part", ".partial", ".crdownload", ".download", ".filepart", ".tmp", ".gz", ".bz2", ".xz")


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
        with one added (``IM_0041.part``), and a link that leads nowhere, whatever it is called.
        """
        if path.parent in self._folders and not os.path.exists(path):
            return True
        if path.suffix.lower() in _ADDED:
            path = path.with_suffix("")
        pattern = _pattern(path.name)
        if pattern in self._patterns:
            return path not in self._there
        return pattern in self._stems and path.with_name(path.name + self._stems[pattern]) not in self._there


def _pattern(name: str) -> str:
    """A name without its numbers."""
    return _UID.sub("#", _NUMBER.sub("#", name.lower()))
