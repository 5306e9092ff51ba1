"""Splits keep persons together and test patients out."""

from __future__ import annotations

from pathlib import Path

import pytest

from Training.data.prepare import read_catalogue
from Training.data.splits import (
    FIXED_SPLITS,
    IRCAD,
    ONE_PERSON,
    TEST,
    TRAINABLE,
    Split,
    folds,
    get_split,
    patient_groups,
)

FOLDS = [f"fold{fold}of{count}" for count in (2, 4, 5) for fold in range(count)]
PROTOCOL_D = [f"protocol_d_fold{fold}of3" for fold in range(3)]
PARTS = [f"fold{fold}of4_part{part}of3" for fold in range(4) for part in range(3)]
EVERY_SPLIT = [get_split(name) for name in (*FIXED_SPLITS, *FOLDS, *PARTS, *PROTOCOL_D)]


@pytest.mark.parametrize("split", EVERY_SPLIT, ids=lambda split: split.name)
def test_no_test_patient_trains_or_validates(split: Split) -> None:
    assert not set(split.training + split.validation) & {*TEST, *split.test}
    for name in TEST:
        assert split.part_of(name, "real", "train") is None
        assert split.part_of(f"{name}_tilted", "tilted", "train") is None


@pytest.mark.parametrize("split", EVERY_SPLIT, ids=lambda split: split.name)
def test_a_split_names_each_scan_once_and_every_one_is_known(split: Split) -> None:
    names = split.training + split.validation + split.test
    assert len(names) == len(set(names))
    assert set(names) <= {*TRAINABLE, *TEST}
    assert split.training


@pytest.mark.parametrize("split", EVERY_SPLIT, ids=lambda split: split.name)
def test_scans_of_one_person_lie_on_one_side(split: Split) -> None:
    for person in ONE_PERSON:
        sides = {split.part_of(name, "real", "elsewhere") for name in person}
        assert len(sides) == 1, (split.name, person)


@pytest.mark.parametrize("count", [2, 4, 5])
def test_each_scan_validates_in_exactly_one_fold_and_the_folds_are_about_equal(count: int) -> None:
    parts = folds(TRAINABLE, count)
    assert sorted(name for part in parts for name in part) == sorted(TRAINABLE)
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 2
    assert all(any(name.startswith(kind) for name in part) for part in parts for kind in ("ircad", "lits"))


@pytest.mark.parametrize("fold", range(4))
def test_the_parts_of_a_fold_divide_what_it_holds_back_and_each_trains_on_the_rest(fold: int) -> None:
    whole, parts = get_split(f"fold{fold}of4"), [get_split(f"fold{fold}of4_part{part}of3") for part in range(3)]
    assert sorted(name for part in parts for name in part.validation) == sorted(whole.validation)
    for part in parts:
        assert {*part.training, *part.validation} == set(TRAINABLE)


def test_folds_never_change() -> None:
    assert get_split("fold2of4").validation == (
        *(f"ircad_e{number:02d}" for number in (1, 5, 9, 13, 17)),
        *(f"lits_{number:03d}" for number in (3, 11, 15, 50)),
    )


def test_the_earlier_projects_numbers_are_theirs() -> None:
    a, b, c = (get_split(f"protocol_{letter}") for letter in "abc")
    assert len(a.training + a.validation) == 18 and a.test == ("ircad_e19", "ircad_e20")
    assert (len(b.training), len(b.test)) == (13, 7)
    assert set(b.training + b.test) == set(IRCAD)
    assert all(name.startswith("lits") for name in c.training + c.validation)
    validated = [name for fold in PROTOCOL_D for name in get_split(fold).validation]
    assert sorted(validated) == sorted(set(IRCAD) - set(TEST))


def test_a_tilted_copy_trains_with_its_patient_and_never_validates() -> None:
    split = get_split("bundled")
    assert split.part_of("ircad_e01_tilted", "tilted", "validation") == "train"
    assert split.part_of("ircad_e10", "real", "train") == "validation"
    assert split.part_of("ircad_e10_tilted", "tilted", "train") is None


def test_a_patient_outside_the_split_stays_outside_and_a_stranger_goes_where_its_file_says() -> None:
    split = get_split("protocol_b")
    assert split.part_of("lits_003", "real", "train") is None
    assert split.part_of("phantom_003", "phantom", "train") == "train"
    assert split.part_of("my_scan", "real", "validation") == "validation"


def test_a_person_of_whom_one_scan_is_wanted_is_a_group_of_one() -> None:
    assert patient_groups(("lits_003", "lits_007")) == [("lits_003",), ("lits_007",)]


@pytest.mark.parametrize(
    "name",
    ["fold4of4", "fold0of1", "fold0of99", "nonsense", "protocol_d_fold3of3", "fold0of4_part3of3", "fold0of4_part0of1"],
)
def test_a_split_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ValueError):
        get_split(name)


def test_the_lists_are_those_of_the_catalogue(shared_data: Path) -> None:
    splits = {entry["id"]: entry["split"] for entry in read_catalogue(shared_data)}
    assert {name for name, split in splits.items() if split == "test"} == set(TEST)
    assert {name for name, split in splits.items() if split == "train"} == set(TRAINABLE)
