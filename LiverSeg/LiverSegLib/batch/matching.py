"""Which reference belongs to which case: told by their names, or by those of their folders.

The words that only say what kind of image a file is (ct, liver, seg, ...) are set aside at both ends of its name; what
is left has to be equal. A file whose name is nothing but such words (``p1/ct.nii.gz``) goes by the name of its folder.
A pair in the same subfolder comes before one in different folders, and equal names before equal remainders.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from .. import messages
from .names import without_image_suffix

CT_WORDS = ("ct", "image", "img", "volume", "vol", "scan", "0000")
REFERENCE_WORDS = (
    "liver", "livers", "seg", "segmentation", "label", "labels", "labelmap", "mask", "gt", "truth", "reference", "ref",
)  # fmt: skip

_SEPARATOR = r"[-_. ]+"


@dataclass(frozen=True)
class Address:
    """Where something lies in its tree, in lower case: the folder, and the name without the format's ending."""

    folder: PurePath
    stem: str

    @classmethod
    def of(cls, path: PurePath) -> Address:
        """Of a path relative to the root of its tree."""
        name = without_image_suffix(path.name).lower()
        return cls(PurePath(str(path.parent).lower()), name.removesuffix(".seg"))


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
    for rank in _ranks():
        open_cases = [name for name in cases if name not in matched and name not in problems]
        claims = {name: _fitting(cases[name], free, rank) for name in open_cases}
        claimants: dict[PurePath, list[str]] = {}
        for name, fitting in claims.items():
            for reference in fitting:
                claimants.setdefault(reference, []).append(name)
        for name, fitting in claims.items():
            if len(fitting) > 1:
                listed = ", ".join(reference.as_posix() for reference in fitting)
                problems[name] = messages.SEVERAL_REFERENCES.format(references=listed)
            elif fitting and len(claimants[fitting[0]]) > 1:
                listed = ", ".join(claimants[fitting[0]])
                problems[name] = messages.REFERENCE_OF_SEVERAL.format(reference=fitting[0].as_posix(), cases=listed)
            elif fitting:
                matched[name] = fitting[0]
        free = {reference: address for reference, address in free.items() if reference not in claimants}
    return matched, problems


def is_named_as_reference_of(reference: PurePath, ct: PurePath) -> bool:
    """Whether one of two files in the same folder is, by its name, a segmentation of the other."""
    address, other = Address.of(reference), Address.of(ct)
    shorter = _without(address.stem, REFERENCE_WORDS)
    return shorter != address.stem and shorter in (other.stem, _without(other.stem, CT_WORDS))


def _ranks() -> Iterator[tuple[bool, bool]]:
    """(in the same folder, names equal as they are), best first."""
    yield from ((True, True), (True, False), (False, True), (False, False))


def _fitting(
    addresses: Sequence[Address], references: Mapping[PurePath, Address], rank: tuple[bool, bool]
) -> list[PurePath]:
    return [
        reference for reference, address in references.items() if any(_fits(own, address, *rank) for own in addresses)
    ]


def _fits(case: Address, reference: Address, same_folder: bool, same_name: bool) -> bool:
    if same_folder and case.folder != reference.folder:
        return False
    case_key, reference_key = _without(case.stem, CT_WORDS), _without(reference.stem, REFERENCE_WORDS + CT_WORDS)
    if same_name:
        # Elsewhere, two files called "scan" have nothing in common.
        return case.stem == reference.stem and (same_folder or bool(case_key))
    if same_folder and case_key == reference_key:
        return True
    own = {case.stem, case_key} if case_key else {case.folder.name}
    others = {reference.stem, _without(reference.stem, REFERENCE_WORDS), reference_key}
    return bool((own & (others if reference_key else {reference.folder.name})) - {""})


def _without(stem: str, words: Sequence[str]) -> str:
    """A name without these words at its ends."""
    listed = "|".join(words)
    while True:
        shorter = re.sub(rf"^(?:{listed})(?:{_SEPARATOR}|(?=\d)|$)|(?:^|{_SEPARATOR})(?:{listed})$", "", stem)
        if shorter == stem:
            return stem
        stem = shorter
