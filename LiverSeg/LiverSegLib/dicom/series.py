"""The CT and MR series of a folder tree, told apart by their SeriesInstanceUID; only headers are read."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import messages
from ..data.modality import AUTO, CT, is_wanted
from ..errors import InputError
from ..io.walk import walk
from .header import Header, read_header, unreadable
from .names import NamesOfSlices

# A sentence names so many series; the rest it counts.
MOST_LISTED = 3


@dataclass(frozen=True)
class Series:
    """One series and its files, sorted by path.

    ``patient_key`` is a digest: equal for files of one patient, and it gives nobody's name away. ``warnings`` are
    sentences about files that were left out and may be missing from the series.
    """

    uid: str
    files: tuple[Path, ...]
    modality: str
    description: str
    frame_of_reference_uid: str
    patient_key: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class SeriesSearch:
    """What a folder tree holds: its CT and MR series, sorted by UID, and why each other DICOM file is left out.

    A file whose name or content promises DICOM, but which cannot be read, is among ``left_out``, too.
    """

    series: tuple[Series, ...]
    left_out: tuple[tuple[Path, str], ...]


class SeveralSeries(InputError):
    """A folder holds several series. The sentence lists their descriptions, in which a patient may be named."""


def find_series(root: str | os.PathLike[str]) -> SeriesSearch:
    """All CT and MR series in a folder and the folders below it, as :func:`LiverSegLib.io.walk.walk` finds them.

    Raises
    ------
    InputError
        If ``root`` is no folder.
    """
    return series_among(walk(_checked(root)).files)


def series_among(paths: Iterable[Path]) -> SeriesSearch:
    """All CT and MR series among these files; those that are not DICOM are passed over."""
    headers = _headers(path for path in paths if _is_wanted(path))
    return SeriesSearch(
        tuple(_grouped(headers, [header for header in headers if not header.problem])),
        tuple((header.path, header.problem) for header in headers if header.problem),
    )


def one_series(place: str | os.PathLike[str], force: bool = False, modality: str = AUTO) -> Series:
    """The one series whose files lie in a folder itself, not in the folders below it, or that of a file there.

    Where a folder holds CT and MR, the CT is meant, unless MR is asked for.

    Parameters
    ----------
    place
        A folder; localizers, secondary captures, segmentations and the like in it do no harm. Or a slice: its series
        is made of those files in its folder that have its SeriesInstanceUID.
    force
        Take a series of another modality as well.
    modality
        "ct" or "mr" for one of these alone.

    Raises
    ------
    SeveralSeries
        If a folder holds several.
    InputError
        If there is no such series, or a file in the folder that may belong to it cannot be read.
    """
    if os.path.isfile(place):
        return _series_of_file(Path(place), force, modality)
    folder = _checked(place)
    headers = _headers_in(folder)
    damaged = [header.path for header in headers if header.is_unreadable]
    if damaged:
        raise InputError(messages.UNREADABLE_SLICE.format(path=_and_more(str(damaged[0]), len(damaged) - 1)))
    found = _grouped(headers, [header for header in headers if _is_taken(header, force, modality)])
    # Beside a CT, the MR of the same examination does no harm.
    found = [series for series in found if series.modality == CT] or found
    if len(found) == 1:
        return found[0]
    raise SeveralSeries(_several(folder, found)) if found else InputError(_none(folder, headers, modality))


def _series_of_file(path: Path, force: bool, modality: str) -> Series:
    headers = _headers_in(path.parent)
    own = next((header for header in headers if header.path == path), None) or read_header(path) or unreadable(path)
    if own.is_unreadable:
        raise InputError(messages.UNREADABLE_SLICE.format(path=path))
    if not _is_taken(own, force, modality):
        reason = own.problem or messages.OTHER_MODALITY.format(modality=own.modality)
        raise InputError(messages.NO_SLICE.format(path=path, reason=reason))
    taken = [header for header in headers if _is_taken(header, force, modality) and header.series_uid == own.series_uid]
    return _grouped(headers, taken)[0]


def _is_taken(header: Header, force: bool, modality: str) -> bool:
    if force and header.is_other_image:
        return True
    return not header.problem and is_wanted(header.modality, modality)


def _checked(folder: str | os.PathLike[str]) -> Path:
    if not os.path.isdir(folder):
        raise InputError(messages.NO_FILE.format(path=folder))
    return Path(folder)


# ---- files and their headers -----------------------------------------------------------------------------------------


def _headers_in(folder: Path) -> list[Header]:
    try:
        paths = sorted(folder.iterdir())
    except OSError as error:
        raise InputError(messages.NO_FILE.format(path=folder)) from error
    return _headers(path for path in paths if _is_wanted(path))


def _is_wanted(path: Path) -> bool:
    # macOS puts a "._slice.dcm" beside each slice.dcm on foreign disks.
    return not path.name.startswith(".") and not os.path.isdir(path)


def _headers(paths: Iterable[Path]) -> list[Header]:
    """Those of DICOM files, and of files that by their names or places should be slices."""
    read = [(path, read_header(path)) for path in paths]
    slices = NamesOfSlices(header.path for _, header in read if header is not None and not header.problem)
    found = [unreadable(path) if header is None and slices.lack(path) else header for path, header in read]
    return [header for header in found if header is not None]


# ---- headers by series -----------------------------------------------------------------------------------------------


def _grouped(headers: list[Header], taken: list[Header]) -> list[Series]:
    """The headers that were taken, by series; the others tell what a series may lack."""
    groups: dict[str, list[Header]] = {}
    for header in taken:
        groups.setdefault(header.series_uid, []).append(header)
    kept = {header.path for header in taken}
    others = [header for header in headers if header.path not in kept]
    return [_series(uid, groups[uid], others) for uid in sorted(groups)]


def _series(uid: str, headers: list[Header], others: list[Header]) -> Series:
    first = headers[0]
    files = tuple(header.path for header in headers)
    warnings = tuple(_missing(uid, {path.parent for path in files}, others))
    identity = (first.modality, first.description, first.frame_of_reference_uid, first.patient_key)
    return Series(uid, files, *identity, warnings)


def _missing(uid: str, folders: set[Path], others: list[Header]) -> Iterator[str]:
    """What may be missing from a series: files that carry its UID, and those in its folders that tell no UID."""
    nameless = [header for header in others if not header.series_uid and header.path.parent in folders]
    reasons = Counter(header.problem for header in others if header.series_uid == uid)
    reasons += Counter(header.problem for header in nameless if header.problem == messages.NO_SERIES_UID)
    if reasons:
        yield messages.LEFT_OUT_OF_SERIES.format(reasons=_counted(reasons))
    if count := sum(header.is_unreadable for header in nameless):
        yield messages.UNREADABLE_BESIDE_SERIES.format(count=count)


def _several(folder: Path, found: list[Series]) -> str:
    patients = len({series.patient_key for series in found})
    text = messages.SEVERAL_PATIENTS if patients > 1 else messages.SEVERAL_SERIES
    listed = "; ".join(_described(series) for series in found[:MOST_LISTED])
    listed = _and_more(listed, len(found) - MOST_LISTED)
    return text.format(folder=folder, count=len(found), patients=patients, found=listed)


def _described(series: Series) -> str:
    text = messages.SERIES_OF_ONE_FILE if len(series.files) == 1 else messages.SERIES
    description = series.description or messages.NO_DESCRIPTION
    return text.format(description=description, modality=series.modality, count=len(series.files))


def _none(folder: Path, headers: list[Header], asked: str) -> str:
    if not headers:
        return messages.NO_SERIES.format(folder=folder)
    if unasked := {header.modality for header in headers if not header.problem}:
        return messages.UNASKED_MODALITY.format(folder=folder, modality=unasked.pop(), asked=asked)
    others = sorted({header.modality for header in headers if header.is_other_image})
    if others:
        modality = ", ".join(name or messages.UNKNOWN for name in others)
        return messages.WRONG_MODALITY.format(folder=folder, modality=modality)
    reasons = Counter(header.problem for header in headers)
    return messages.NO_CT_SLICES.format(folder=folder, reasons=_counted(reasons))


def _counted(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} × {why}" for why, count in reasons.items())


def _and_more(first: str, count: int) -> str:
    return messages.AND_MORE.format(first=first, count=count) if count > 0 else first
