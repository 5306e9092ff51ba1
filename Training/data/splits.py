"""Who trains, who validates, who tests: splits by name, for ``python -m Training.fit --split NAME``.

===========================  ===========================================================================================
bundled                      the bundled network's: 31 scans train, three validate, patients 19 and 20 test
final                        all 34 scans train, none validates; patients 19 and 20 test
fold0of4 ... fold3of4        cross-validation over those 34 in groups of patients; any number of folds: fold2of5
fold0of4_part0of3 ...        a part of what that fold held back validates, all else trains: for a last stage, as "final"
protocol_a                   project B of ../shared/reference/earlier-projects.md: 18 patients against 19 and 20
protocol_b                   project A: 13 patients of 3D-IRCADb train, 7 test
protocol_c                   project C: LiTS alone, for the comparison of losses for liver and for liver + tumour
protocol_d_fold0of3 ...      project E: folds over 3D-IRCADb, with its four augmentations
===========================  ===========================================================================================

Patients 19 and 20 of 3D-IRCADb-01 are in no training and no validation list, whatever the split.

What cannot be repeated of the originals, because their descriptions do not say it or the data is not at hand:

- A: which 13 patients trained, its optimiser, its rate; its result is "near 0.87" on 7 patients that we cannot name.
  Here 1 to 13 train and 14 to 20 test.
- B: it trained on 1,980 slices and validated on 494 of the same 18 patients; how they were drawn is not stated. Here
  whole patients (10 and 16) validate. Its encoder, a ResNet-34, was pretrained; ours is not. Its Dice is a mean over
  slices: compare it with our slice-averaged Dice.
- C: 130 volumes of LiTS, of which 16 are at hand; its weights, its split and its results are not stated. Here the
  squares of 256×256 have pixels of 1.5 mm, whatever the scanner's.
- D: the labelled scans of Decathlon task 3 are those of LiTS; nothing is stated that could be repeated.
- E: its random choice of files, the number of folds, the strength of its augmentations. Its Dice of 0.351 is a mean
  over folds on validation. Here three folds of patients, so that each validates about a third of them.

Splits never change once results name them. LiTS training volumes 28 to 47 are the patients of 3D-IRCADb; none is here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

IRCAD = tuple(f"ircad_e{number:02d}" for number in range(1, 21))
LITS = tuple(f"lits_{number:03d}" for number in (0, 1, 3, 4, 6, 7, 8, 9, 10, 11, 12, 14, 15, 18, 23, 50))
TEST = ("ircad_e19", "ircad_e20")
TRAINABLE = tuple(name for name in IRCAD + LITS if name not in TEST)

# Scans that look like one person (../shared/data/README.md) stay on one side of every split.
ONE_PERSON = (("lits_000", "lits_001"), ("lits_006", "lits_007", "lits_008", "lits_009", "lits_010"))

# Held out of the bundled network's training to watch its progress; one patient each.
VALIDATION = ("ircad_e10", "ircad_e16", "lits_023")

# What the names of a scan's copies end in.
COPY = re.compile(r"_(tilted|fluid\d+)$")


@dataclass(frozen=True)
class Split:
    """Names of scans, as in ``catalogue.json``, that train, that validate during training, and that test at its end."""

    name: str
    training: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...] = TEST

    def part_of(self, stem: str, kind: str, otherwise: str) -> str | None:
        """Which part a prepared scan belongs to: "train", "validation" or None.

        ``stem`` is its file's name without suffix and ``kind`` "real", "tilted", "fluid" or "phantom". A copy may train
        only. ``otherwise`` holds for scans of no known patient: phantoms and scans of your own.
        """
        patient = COPY.sub("", stem)
        if patient not in TRAINABLE + TEST:
            return otherwise
        if patient in self.training:
            return "train"
        return "validation" if patient in self.validation and kind == "real" else None


def patient_groups(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The scans by person, larger groups first, then by name."""
    groups = [tuple(name for name in group if name in names) for group in ONE_PERSON]
    grouped = {name for group in groups for name in group}
    groups += [(name,) for name in names if name not in grouped]
    return sorted((group for group in groups if group), key=lambda group: (-len(group), group))


def folds(names: tuple[str, ...], count: int) -> list[tuple[str, ...]]:
    """Parts of about equal size whose union is ``names``; scans of one person and the two data sets spread evenly.

    Each group goes to the fold with the fewest scans of its data set, of those to the smallest, of those to the first:
    no chance is involved.

    Raises
    ------
    ValueError
        If there are fewer than two folds, or fewer groups than folds.
    """
    groups = patient_groups(names)
    if not 2 <= count <= len(groups):
        raise ValueError(f"{len(groups)} groups of patients make 2 to {len(groups)} folds, not {count}.")
    parts: list[list[str]] = [[] for _ in range(count)]
    for group in groups:
        min(parts, key=lambda part: (_of_data_set(part, group), len(part))).extend(group)
    return [tuple(sorted(part)) for part in parts]


def _of_data_set(part: list[str], group: tuple[str, ...]) -> int:
    data_set = group[0].partition("_")[0]
    return sum(name.startswith(data_set) for name in part)


def get_split(name: str) -> Split:
    """The split of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name in FIXED_SPLITS:
        return FIXED_SPLITS[name]
    found = re.fullmatch(r"(protocol_d_)?fold(\d+)of(\d+)(?:_part(\d+)of(\d+))?", name)
    if found is None or any(
        int(index) >= int(count) for index, count in (found.group(2, 3), found.group(4, 5)) if index
    ):
        choices = ", ".join(("fold0of4", "fold0of4_part0of3", "protocol_d_fold0of3", *FIXED_SPLITS))
        raise ValueError(f"There is no split {name!r}; choose one of {choices}.")
    scans = tuple(scan for scan in TRAINABLE if scan in IRCAD) if found[1] else TRAINABLE
    validation = folds(scans, int(found[3]))[int(found[2])]
    if found[4]:
        validation = folds(validation, int(found[5]))[int(found[4])]
    return _without(name, scans, validation)


def _without(name: str, scans: tuple[str, ...], validation: tuple[str, ...], test: tuple[str, ...] = TEST) -> Split:
    training = tuple(scan for scan in scans if scan not in validation and scan not in test)
    return Split(name, training, validation, test)


FIXED_SPLITS = {
    split.name: split
    for split in (
        _without("bundled", TRAINABLE, VALIDATION),
        _without("final", TRAINABLE, ()),
        _without("protocol_a", IRCAD, ("ircad_e10", "ircad_e16")),
        _without("protocol_b", IRCAD, (), test=IRCAD[13:]),
        _without("protocol_c", LITS, ("lits_003", "lits_014", "lits_023"), test=()),
    )
}
