"""The cases of a run: those of a folder tree, of a table, or a single file, each with its reference."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath

from .. import messages
from ..data.modality import AUTO, is_wanted
from ..dicom import SeriesSearch, series_among
from ..errors import InputError
from ..io.files import READABLE_SUFFIXES, SEGMENTATION_SUFFIX, is_anatomy_file
from ..io.paths import below, objection_to
from ..io.walk import walk
from .case_table import TABLE_SUFFIXES, read_case_table
from .cases import Case, CaseSearch, series_cases
from .left_out import told_of_dead_links, told_of_dicom, told_of_label_maps, told_of_segmentations, told_of_tree
from .matching import Address, is_named_as_label_map, lies_among_label_maps, match_references, segmentations_among
from .names import case_names, damaged_name
from .record import read_record

# So many things that were left out are told where nothing else is found.
TOLD = 3


def find_cases(source: Path, references: Path | None = None, leave_out: Path | None = None) -> list[Case]:
    """The cases of :func:`search_cases`."""
    return list(search_cases(source, references, leave_out).cases)


def search_cases(
    source: Path,
    references: Path | None = None,
    leave_out: Path | None = None,
    patient_data: bool = False,
    modality: str = AUTO,
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
    modality
        "ct" or "mr" for the DICOM series of one of these alone.

    Raises
    ------
    InputError
        If there is no such folder or table, it cannot be read, or it holds no case.
    """
    if references is not None and not os.path.isdir(references):
        raise InputError(messages.NO_REFERENCES_FOLDER.format(folder=references))
    if os.path.isdir(source):
        search = _search_folder(source, references, leave_out, patient_data, modality)
    elif os.path.isfile(source):
        search = _with_references(_search_file(source), source.parent, references, leave_out)
    else:
        raise InputError(messages.NO_SOURCE.format(source=source))
    if not search.cases:
        formats = ", ".join(READABLE_SUFFIXES)
        told = [messages.BATCH_LEFT_OUT.format(what=what) for what in search.left_out[:TOLD]]
        raise InputError(" ".join([messages.NO_CASES.format(source=source, formats=formats), *told]))
    return CaseSearch(tuple(sorted(search.cases, key=lambda case: case.name)), search.left_out)


def _search_file(source: Path) -> CaseSearch:
    """The cases of a table; one image is a batch as well."""
    if source.suffix.lower() in TABLE_SUFFIXES:
        return read_case_table(source)
    return CaseSearch(tuple(_file_cases([source] if _is_image(source) else [], source.parent)))


# ---- a folder tree ---------------------------------------------------------------------------------------------------


def _search_folder(
    source: Path, references: Path | None, leave_out: Path | None, patient_data: bool, modality: str
) -> CaseSearch:
    tree = walk(source, [folder for folder in (leave_out, references) if folder and not _same(folder, source)])
    former = {folder for folder in {path.parent for path in tree.files} if read_record(folder) is not None}
    files = [path for path in tree.files if path.parent not in former]
    images = [path for path in files if _is_image(path)]
    found = _of_modality(series_among(path for path in files if not _is_image(path)), modality)
    masks = _label_maps_among([*images, *(one.files[0] for one in found.series)], source)
    beside = {path: ct for path, ct in segmentations_among(images).items() if path not in masks}
    left_out = [*told_of_tree(tree, former, source), *_told_of_dicom(found, masks, files, source, patient_data)]
    if references is None or not _same(references, source):
        left_out += told_of_segmentations(beside, source)
        left_out += told_of_label_maps([path for path in images if path in masks], source)
    cases = [
        *_file_cases([path for path in images if path not in masks and path not in beside], source),
        *series_cases(one for one in found.series if one.files[0] not in masks),
        *_damaged_cases(_damaged(found), source, patient_data),
    ]
    return _with_references(CaseSearch(tuple(cases), tuple(left_out)), source, references, leave_out)


def _of_modality(found: SeriesSearch, choice: str) -> SeriesSearch:
    """The series of what was chosen; the files of the others are left out."""
    unasked = [series for series in found.series if not is_wanted(series.modality, choice)]
    reasons = ((messages.OTHER_MODALITY.format(modality=series.modality), series.files) for series in unasked)
    left_out = [(path, reason) for reason, files in reasons for path in files]
    kept = tuple(series for series in found.series if series not in unasked)
    return SeriesSearch(kept, (*found.left_out, *left_out))


def _told_of_dicom(
    found: SeriesSearch, masks: set[Path], files: Iterable[Path], root: Path, patient_data: bool
) -> list[str]:
    """Of DICOM files that are no slices of a case, and of links that might have led to some."""
    damaged = set(_damaged(found))
    others = [(path, reason) for path, reason in found.left_out if path not in damaged]
    others += [(path, messages.AMONG_LABEL_MAPS) for one in found.series if one.files[0] in masks for path in one.files]
    dead = [path for path in files if _leads_nowhere(path) and path not in damaged]
    return [*told_of_dead_links(dead, root, patient_data), *told_of_dicom(others, root, patient_data)]


def _damaged(found: SeriesSearch) -> list[Path]:
    return [path for path, reason in found.left_out if reason == messages.DAMAGED_OR_TRUNCATED]


def _is_image(path: Path) -> bool:
    return path.name.lower().endswith(READABLE_SUFFIXES)


def _leads_nowhere(path: Path) -> bool:
    """Whether nothing would be told of it: an image is a case that fails."""
    return path.is_symlink() and not _is_image(path) and not os.path.exists(path)


def _label_maps_among(paths: Sequence[Path], root: Path) -> set[Path]:
    """Those that are label maps by their names or by those of their folders; where all are named so, none is one."""
    own = {path for path in paths if path.name.lower().endswith(SEGMENTATION_SUFFIX)}
    named = {
        path
        for path in paths
        if lies_among_label_maps(path.relative_to(root)) or (_is_image(path) and is_named_as_label_map(path))
    }
    return named if len(named) < len(paths) else own


def _file_cases(images: Iterable[Path], root: Path) -> Iterator[Case]:
    paths = list(images)
    sources = [below(path, root) for path in paths]
    for path, source, name in zip(paths, sources, case_names(sources), strict=True):
        yield Case(name, path, problem=objection_to(path) or "", source=source)


def _damaged_cases(paths: Iterable[Path], root: Path, patient_data: bool) -> Iterator[Case]:
    """What may have been slices is no reason to be silent: a case for each folder, which fails and so is named."""
    folders: dict[Path, list[Path]] = {}
    for path in paths:
        folders.setdefault(path.parent, []).append(path)
    for folder, damaged in folders.items():
        place = below(folder, root)
        name = damaged_name(place)
        problem = messages.DAMAGED_DICOM_FILES.format(count=len(damaged))
        yield Case(name, folder, problem=problem, source=place if patient_data else name)


# ---- references ------------------------------------------------------------------------------------------------------


def _with_references(search: CaseSearch, root: Path, folder: Path | None, leave_out: Path | None) -> CaseSearch:
    """The cases with their references from a folder; those that have one, or are among the references, keep to it."""
    if folder is None:
        return search
    apart = [leave_out] if leave_out is not None else []
    cts = {case.ct for case in search.cases}
    labelmaps = [
        path.relative_to(folder)
        for path in walk(folder, apart).files
        if _is_image(path) and path not in cts and not is_anatomy_file(path)
    ]
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
    path = PurePath(below(case.ct, root))
    if case.series_uid is None:
        return [Address.of(path)]
    folders = [folder for folder in (path, *path.parents) if folder.name]
    inside = [Address(Address.of(folder / "ct").folder, "") for folder in folders[:1]]
    return [Address(PurePath("."), case.name), *map(Address.of, folders), *inside]


# ---- paths -----------------------------------------------------------------------------------------------------------


def _same(path: Path, other: Path) -> bool:
    return os.path.realpath(path) == os.path.realpath(other)
