"""The cases of a run: those of a folder tree, of a table, or a single file, each with its reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePath

from .. import messages
from ..dicom import find_series
from ..errors import InputError
from ..io.files import READABLE_SUFFIXES, SEGMENTATION_SUFFIX
from ..io.paths import as_text, objection_to
from .case_table import read_case_table
from .cases import Case, CaseSearch, series_cases
from .matching import Address, is_named_as_reference_of, match_references
from .names import case_names, damaged_name


def find_cases(source: Path, references: Path | None = None, leave_out: Path | None = None) -> list[Case]:
    """The cases of :func:`search_cases`."""
    return list(search_cases(source, references, leave_out).cases)


def search_cases(
    source: Path, references: Path | None = None, leave_out: Path | None = None, patient_data: bool = False
) -> CaseSearch:
    """Find all cases of a folder tree or of a .csv table.

    Parameters
    ----------
    source
        A folder whose tree holds NIfTI, NRRD and MHA files or DICOM series, or a table; see
        :func:`LiverSegLib.batch.case_table.read_case_table`.
    references
        A folder whose tree holds labelmaps; :mod:`LiverSegLib.batch.matching` tells which belongs to which case.
        They are no cases, also where they lie among the images.
    leave_out
        A folder not to be looked into: the run's output.
    patient_data
        Tell where DICOM files lie that are left out; exports call folders after patients.

    Raises
    ------
    InputError
        If there is no such folder or table, it cannot be read, or it holds no case.
    """
    if references is not None and not os.path.isdir(references):
        raise InputError(messages.NO_REFERENCES_FOLDER.format(folder=references))
    if os.path.isdir(source):
        search = _search_folder(source, references, leave_out, patient_data)
    elif os.path.isfile(source) and source.suffix.lower() == ".csv":
        search = _with_references(read_case_table(source), source.parent, references, leave_out)
    elif os.path.isfile(source):
        # One image is a batch as well.
        images = [source] if source.name.lower().endswith(READABLE_SUFFIXES) else []
        search = CaseSearch(tuple(_file_cases(images, source.parent)))
        search = _with_references(search, source.parent, references, leave_out)
    else:
        raise InputError(messages.NO_SOURCE.format(source=source))
    if not search.cases:
        formats = ", ".join(READABLE_SUFFIXES)
        raise InputError(messages.NO_CASES.format(source=source, formats=formats))
    return CaseSearch(tuple(sorted(search.cases, key=lambda case: case.name)), search.left_out)


# ---- a folder tree ---------------------------------------------------------------------------------------------------


def _search_folder(source: Path, references: Path | None, leave_out: Path | None, patient_data: bool) -> CaseSearch:
    left_out: list[str] = []
    apart = [folder for folder in (leave_out, references) if folder is not None and not _same(folder, source)]
    images = list(_images_below(source, apart, left_out))
    if references is not None and _same(references, source):
        labelmaps = {path for path, _ in _labelmaps_among(images)}
    else:
        labelmaps = set()
        for path, ct in _labelmaps_among(images):
            told = messages.LOOKS_LIKE_A_REFERENCE.format(path=_below(path, source), ct=ct.name)
            left_out.append(told)
            labelmaps.add(path)
    cts = [path for path in images if path not in labelmaps and not _is_slicer_segmentation(path)]
    found = find_series(source)
    outside = [one for one in found.series if not any(_is_below(one.files[0], folder) for folder in apart)]
    others = [(path, reason) for path, reason in found.left_out if not any(_is_below(path, one) for one in apart)]
    damaged = [path for path, reason in others if reason == messages.DAMAGED_OR_TRUNCATED]
    left_out += _told([(path, reason) for path, reason in others if path not in set(damaged)], source, patient_data)
    cases = (*_file_cases(cts, source), *series_cases(outside), *_damaged_cases(damaged, source, patient_data))
    search = CaseSearch(cases, tuple(left_out))
    return _with_references(search, source, references, leave_out)


def _images_below(folder: Path, apart: Iterable[Path], left_out: list[str] | None = None) -> Iterator[Path]:
    """Image files of a tree in order, hidden ones left out; folders that cannot be read are told in ``left_out``."""

    def tell(error: OSError) -> None:
        if left_out is not None:
            where = _below(Path(error.filename), folder)
            left_out.append(messages.FOLDER_NOT_READ.format(folder=where, reason=error.strerror))

    skipped = {path.resolve() for path in apart}
    seen: set[Path] = set()
    for here, folders, names in os.walk(folder, onerror=tell, followlinks=True):
        # Links may lead round in a circle.
        where = Path(here).resolve()
        if where in seen or where in skipped:
            folders.clear()
            continue
        seen.add(where)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if name.lower().endswith(READABLE_SUFFIXES) and not name.startswith("."):
                yield Path(here, name)


def _labelmaps_among(images: Iterable[Path]) -> Iterator[tuple[Path, Path]]:
    """Files that are by their names segmentations of others in the same folder, and those others."""
    folders: dict[Path, list[Path]] = {}
    for path in images:
        folders.setdefault(path.parent, []).append(path)
    for together in folders.values():
        for path in together:
            others = (other for other in together if other != path and is_named_as_reference_of(path, other))
            ct = next(others, None)
            if ct is not None or _is_slicer_segmentation(path):
                yield path, ct or path


def _file_cases(images: Iterable[Path], root: Path) -> Iterator[Case]:
    paths = list(images)
    sources = [_below(path, root) for path in paths]
    for path, source, name in zip(paths, sources, case_names(sources), strict=True):
        yield Case(name, path, problem=objection_to(path) or "", source=source)


def _damaged_cases(paths: Iterable[Path], root: Path, patient_data: bool) -> Iterator[Case]:
    """What may have been slices is no reason to be silent: a case for each folder, which fails and so is named."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    for folder, damaged in folders.items():
        place = _below(folder, root)
        name = damaged_name(place)
        problem = messages.DAMAGED_DICOM_FILES.format(count=len(damaged))
        yield Case(name, folder, problem=problem, source=place if patient_data else name)


def _told(left_out: Iterable[tuple[Path, str]], root: Path, patient_data: bool) -> list[str]:
    """One sentence for all DICOM files that were left out for the same reason; with places, for those of a folder."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for path, reason in left_out:
        name = _below(path, root)
        folder = PurePath(name).parent.as_posix() if patient_data else ""
        reasons.setdefault((folder, reason.replace(str(path), "").strip()), []).append(name)
    if not patient_data:
        return [
            messages.LEFT_OUT_DICOM.format(count=len(names), reason=reason) for (_, reason), names in reasons.items()
        ]
    return [
        messages.LEFT_OUT.format(path=names[0], reason=reason)
        if len(names) == 1
        else messages.LEFT_OUT_FILES.format(folder=folder, count=len(names), reason=reason)
        for (folder, reason), names in reasons.items()
    ]


# ---- references ------------------------------------------------------------------------------------------------------


def _with_references(search: CaseSearch, root: Path, folder: Path | None, leave_out: Path | None) -> CaseSearch:
    """The cases with their references from a folder; those that have one, or are among the references, keep to it."""
    if folder is None:
        return search
    apart = [leave_out] if leave_out is not None else []
    cts = {case.ct for case in search.cases}
    labelmaps = [path.relative_to(folder) for path in _images_below(folder, apart) if path not in cts]
    addresses = {
        case.name: _addresses(case, root) for case in search.cases if case.reference is None and not case.problem
    }
    matched, problems = match_references(addresses, labelmaps)
    cases = []
    for case in search.cases:
        reference = matched.get(case.name)
        with_reference = case if reference is None else replace(case, reference=folder / reference)
        cases.append(replace(with_reference, problem=problems.get(case.name, case.problem)))
    return CaseSearch(tuple(cases), search.left_out)


def _addresses(case: Case, root: Path) -> list[Address]:
    """An image goes by its path; a DICOM series by the names of its folders, by what lies in them, and by its own."""
    path = PurePath(_below(case.ct, root))
    if case.series_uid is None:
        return [Address.of(path)]
    folders = [folder for folder in (path, *path.parents) if folder.name]
    inside = [Address(Address.of(folder / "ct").folder, "") for folder in folders[:1]]
    return [Address(PurePath("."), case.name), *map(Address.of, folders), *inside]


# ---- paths -----------------------------------------------------------------------------------------------------------


def _below(path: Path, root: Path) -> str:
    """A path relative to a folder, with "/", as records and logs can hold it."""
    try:
        below = path.relative_to(root)
    except ValueError:
        below = Path(os.path.relpath(path.absolute(), root.absolute()))
    return as_text(below.as_posix())


def _is_below(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _same(path: Path, other: Path) -> bool:
    return path.resolve() == other.resolve()


def _is_slicer_segmentation(path: Path) -> bool:
    return path.name.lower().endswith(SEGMENTATION_SUFFIX)
