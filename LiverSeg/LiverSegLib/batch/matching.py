"""Which reference belongs to which case: told by their names, or by those of their folders.

The words that only say what kind of image a file is (ct, liver, seg, ...) are set aside at both ends of its name; what
is left has to be equal. A file whose name is nothing but such words (``p1/ct.nii.gz``) goes by the name of its folder.
Folders that only say the same (``imagesTr``, ``segmentations``) are passed over.
A pair in the same subfolder comes before one in different folders, and equal names before equal remainders.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TypeVar

from .. import messages
from .names import without_image_suffix

T = TypeVar("T")
U = TypeVar("U")

CT_WORDS = ("ct", "image", "img", "imaging", "volume", "vol", "scan", "0000")
LIVER_WORDS = ("liver", "livers", "reference", "ref")
LABEL_WORDS = (
    "seg", "segmentation", "segmentations", "label", "labels", "labelmap", "mask", "masks", "gt", "truth",
    "annotation", "annotations", "anatomy",
)  # fmt: skip
REFERENCE_WORDS = LIVER_WORDS + LABEL_WORDS

_SEPARATOR = r"[-_. ]+"
# Folders that only say what kind of files lie in them, and perhaps which part of a data set: labelsTr, masks_dicom.
_PART = r"(tr|ts|va|val|train|training|test|testing|validation|dicom|nifti|nii|only)"
_LABEL_KIND = r"seg(?:mentation)?s?|label(?:led|map)?s?|masks?|annotations?|instances|gts?|ground[-_ ]?truths?"
_IMAGE_KIND = r"cts?|images?|imgs?|imaging|scans?|volumes?|vols?"
_LABEL_FOLDER, _IMAGE_FOLDER = (
    re.compile(rf"(?:{_PART}[-_. ]?)?(?:{kind})(?:[-_. ]?{_PART})?") for kind in (_LABEL_KIND, _IMAGE_KIND)
)


@dataclass(frozen=True)
class Address:
    """Where something lies in its tree, whatever the case of its letters and the way accents are written.

    ``folder`` leaves out the folders that only say what kind of files they hold, ``stem`` the format's ending.
    """

    folder: PurePath
    stem: str

    @classmethod
    def of(cls, path: PurePath) -> Address:
        """Of a path relative to the root of its tree."""
        name = without_image_suffix(_folded(path.name))
        folders = map(_without_kind, map(_folded, path.parent.parts))
        return cls(PurePath(*filter(None, folders)), name.removesuffix(".seg"))


def match_references(
    cases: Mapping[str, Sequence[Address]], references: Sequence[PurePath]
) -> tuple[dict[str, PurePath], dict[str, str]]:
    """Give each case its reference.

    Parameters
    ----------
    cases
        Name of each case and the addresses that it goes by, relative to the root of the input.
    references
        Labelmaps, relative to the root of the references.

    Returns
    -------
    matched
        The reference of each case that has one.
    problems
        A sentence for each case of which it is not clear: several references fit it, or its reference fits others.
    """
    matched: dict[str, PurePath] = {}
    problems: dict[str, str] = {}
    free = {reference: Address.of(reference) for reference in references}
    for rank in _RANKS:
        by_key = _inverted({reference: _reference_keys(address, *rank) for reference, address in free.items()})
        claims = {
            name: _fitting(cases[name], by_key, rank) for name in cases if name not in matched and name not in problems
        }
        claimants = _inverted(claims)
        for name, fitting in claims.items():
            if problem := _problem(fitting, claimants):
                problems[name] = problem
            elif fitting:
                matched[name] = fitting[0]
        free = {reference: address for reference, address in free.items() if reference not in claimants}
    return matched, problems


def segmentations_among(paths: Sequence[Path]) -> dict[Path, Path]:
    """The files that are, by their names, segmentations of another one in the same folder, each with that one."""
    stems = {path: Address.of(path).stem for path in paths}
    by_name: dict[tuple[Path, str], list[Path]] = {}
    for path, stem in stems.items():
        for name in {stem, _without(stem, CT_WORDS)}:
            by_name.setdefault((path.parent, name), []).append(path)
    found = {}
    for path, stem in stems.items():
        name = _without(stem, REFERENCE_WORDS)
        images = by_name.get((path.parent, name), []) if name != stem else []
        if image := next((image for image in images if image != path), None):
            found[path] = image
    return found


def lies_among_label_maps(path: PurePath) -> bool:
    """Whether one of the folders of a relative path is by its name one of label maps."""
    return any(_LABEL_FOLDER.fullmatch(_folded(folder)) for folder in path.parent.parts)


def is_named_as_label_map(path: PurePath) -> bool:
    """Whether a file is by its name a label map of whatever image: ``label0001.nii.gz``, ``p1.seg.nrrd``."""
    stem = without_image_suffix(_folded(path.name))
    return _without(stem, LABEL_WORDS) != stem


# (in the same folder, names equal as they are), best first.
_RANKS = ((True, True), (True, False), (False, True), (False, False))
# An image and a reference fit together if they have a key in common.
_Key = tuple[str, ...]


def _inverted(found: Mapping[T, Iterable[U]]) -> dict[U, list[T]]:
    inverted: dict[U, list[T]] = {}
    for one, others in found.items():
        for other in others:
            inverted.setdefault(other, []).append(one)
    return inverted


def _problem(fitting: Sequence[PurePath], claimants: Mapping[PurePath, Sequence[str]]) -> str:
    """Why it is not clear whose the references are that fit a case; empty if it is, or if there is none."""
    if len(fitting) > 1:
        return messages.SEVERAL_REFERENCES.format(references=", ".join(one.as_posix() for one in fitting))
    if fitting and len(claimants[fitting[0]]) > 1:
        listed = ", ".join(claimants[fitting[0]])
        return messages.REFERENCE_OF_SEVERAL.format(reference=fitting[0].as_posix(), cases=listed)
    return ""


def _fitting(
    addresses: Sequence[Address], by_key: Mapping[_Key, list[PurePath]], rank: tuple[bool, bool]
) -> list[PurePath]:
    keys = dict.fromkeys(key for address in addresses for key in _case_keys(address, *rank))
    return list(dict.fromkeys(reference for key in keys for reference in by_key.get(key, ())))


def _case_keys(address: Address, same_folder: bool, same_name: bool) -> Iterator[_Key]:
    core = _without(address.stem, CT_WORDS)
    if not same_name:
        names = {address.stem, core} if core else {address.folder.name}
        yield from _keys(address, names, core, same_folder)
    elif same_folder or core:  # elsewhere, two files called "scan" have nothing in common
        yield from _keys(address, {address.stem}, None, same_folder)


def _reference_keys(address: Address, same_folder: bool, same_name: bool) -> Iterator[_Key]:
    core = _without(address.stem, REFERENCE_WORDS + CT_WORDS)
    if same_name:
        yield from _keys(address, {address.stem}, None, same_folder)
    else:
        names = {address.stem, _without(address.stem, REFERENCE_WORDS), core} if core else {address.folder.name}
        yield from _keys(address, names, core, same_folder)


def _keys(address: Address, names: set[str], core: str | None, same_folder: bool) -> Iterator[_Key]:
    place = (str(address.folder),) if same_folder else ()
    yield from ((*place, name) for name in sorted(names) if name)
    if same_folder and core is not None:  # it may be empty: p1/ct.nii.gz and p1/liver.nii.gz
        yield (*place, "", core)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).lower()


def _without_kind(folder: str) -> str:
    """What a folder's name says besides the kind of files in it."""
    kind = _LABEL_FOLDER.fullmatch(folder) or _IMAGE_FOLDER.fullmatch(folder)
    return "".join(filter(None, kind.groups())) if kind else folder


@lru_cache(maxsize=100_000)
def _without(stem: str, words: tuple[str, ...]) -> str:
    """A name without these words at its ends."""
    listed = "|".join(words)
    while True:
        shorter = re.sub(rf"^(?:{listed})(?:{_SEPARATOR}|(?=\d)|$)|(?:^|{_SEPARATOR})(?:{listed})$", "", stem)
        if shorter == stem:
            return stem
        stem = shorter
