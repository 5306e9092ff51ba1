"""Case: one scan of a run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ..dicom import Series
from .names import series_name


@dataclass(frozen=True)
class Case:
    """One scan to be segmented.

    Parameters
    ----------
    name
        Unique in the run and safe as the name of a folder.
    ct
        Image file, or the folder that holds the slices of a DICOM series (perhaps in subfolders).
    series_uid
        SeriesInstanceUID of a DICOM series; None for an image file.
    reference
        Labelmap to compare with.
    problem
        A sentence that tells why the case cannot be run; it becomes a failed record.
    source
        What records call the input: the path relative to the run's input, or, of a DICOM series, the name.
    slices
        Files of a DICOM series, relative to ``ct``.
    warnings
        Sentences about the input, which are told with the result.
    """

    name: str
    ct: Path
    series_uid: str | None = None
    reference: Path | None = None
    problem: str = ""
    source: str = ""
    slices: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The image's files."""
        return tuple(self.ct / name for name in self.slices) or (self.ct,)

    def input_digest(self) -> str:
        """SHA-256 of what goes into the result: the content of image and reference, wherever they lie, and warnings.

        Raises OSError.
        """
        digest = hashlib.sha256()
        for path in (*self.files, self.reference):
            content = b"none" if path is None else _file_digest(path)
            digest.update(content + b"\n")
        for warning in self.warnings:
            digest.update(warning.encode())
        return digest.hexdigest()

    def without_paths(self, text: str) -> str:
        """A sentence about this case as records tell it: nothing of where the files lie, nor of a DICOM folder."""
        named = {str(path): self.source for path in (*self.files, self.ct, os.path.realpath(self.ct))}
        if self.reference is not None:
            named |= {str(path): self.reference.name for path in (self.reference, os.path.realpath(self.reference))}
        # The longest first, since a folder's path is also the beginning of its files'.
        for path in sorted(named, key=len, reverse=True):
            text = text.replace(path, named[path])
        return text


@dataclass(frozen=True)
class CaseSearch:
    """The cases of an input, sorted by name, and a sentence for each thing that was left out."""

    cases: tuple[Case, ...]
    left_out: tuple[str, ...] = ()


def series_cases(series: Iterable[Series]) -> list[Case]:
    """Cases of DICOM series."""
    cases = []
    for one in series:
        folder = Path(os.path.commonpath([path.parent for path in one.files]))
        slices = tuple(path.relative_to(folder).as_posix() for path in one.files)
        name = series_name(one.uid)
        cases.append(Case(name, folder, series_uid=one.uid, source=name, slices=slices, warnings=one.warnings))
    return cases


def _file_digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
