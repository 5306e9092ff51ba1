"""Splits keep persons together and test patients out."""

from __future__ import annotations

from pathlib import Path

import pytest

from Training.data.catalogue import NEVER_TRAINED_ON, person_of, read_catalogue
from Training.data.splits import check_unseen, folds, held_out_persons, training_scans

IRCAD = [f"ircad_e{number:02d}" for number in range(1, 21)]
LITS = [f"lits_{number:03d}" for number in (0, 1, 3, 6, 7, 8, 9, 10, 14, 15, 50)]
NAMES = [*IRCAD, *LITS, "lits_006_slices", "btcv_0003", "btcv_0005"]


@pytest.mark.parametrize("count", [2, 4, 5])
def test_folds_hold_every_person_once_and_no_test_patient(count: int) -> None:
    parts = folds(NAMES, count)
    everyone = [person for part in parts for person in part]
    assert len(everyone) == len(set(everyone))
    assert set(everyone) == {person_of(name) for name in NAMES} - set(NEVER_TRAINED_ON)
    sizes = [sum(person_of(name) in part for name in NAMES) for part in parts]
    assert max(sizes) - min(sizes) <= 6, "a person has up to six scans"


def test_data_sets_are_spread_over_the_folds() -> None:
    for part in folds(NAMES, 4):
        assert 4 <= sum(person.startswith("ircad") for person in part) <= 5


def test_scans_of_one_person_are_held_back_together() -> None:
    assert held_out_persons(NAMES, ["lits_006"]) == held_out_persons(NAMES, ["lits_010"]) == {"lits_006"}
    assert person_of("lits_007_slices") == person_of("lits_009_fluid1") == "lits_006"


def test_a_data_set_is_held_back_by_a_pattern() -> None:
    assert held_out_persons(NAMES, ["btcv_*"]) == {"btcv_0003", "btcv_0005"}
    assert held_out_persons(NAMES, []) == set()
    assert held_out_persons(NAMES, ["fold1of4"]) == set(folds(NAMES, 4)[1])


@pytest.mark.parametrize(
    ("held_out", "message"),
    [("btcv_0099", "No scan is called btcv_0099"), ("fold4of4", "the last is fold3of4"), ("fold0of99", "make 2 to")],
)
def test_what_cannot_be_held_back_is_told(held_out: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        held_out_persons(NAMES, [held_out])


def test_the_catalogues_tell_which_classes_a_scan_labels(shared_data: Path) -> None:
    entries = {entry.name: entry for entry in read_catalogue(shared_data, ["train", "more", "slices"])}
    assert "tumour" in entries["ircad_e01"].unlabelled and "tumour" not in entries["ircad_e02"].unlabelled
    organs = entries["btcv_0003"].read()
    assert {"liver", "spleen", "vena cava"} <= set(organs.labelled) and "tumour" not in organs.labelled
    assert organs.ct.hu.min() < -200, "air that its window clipped is air again"
    slices = entries["lits_017_slices"]
    assert slices.single_slices and slices.read().labelled == ("liver",)
    assert set(NEVER_TRAINED_ON) <= set(entries)


def test_scans_that_a_network_has_trained_on_are_not_measured() -> None:
    check_unseen(["ircad_e01"], ["ircad_e19"])
    with pytest.raises(ValueError, match="trained on the persons of lits_001"):
        check_unseen(["lits_000"], ["lits_001"])


def test_prepared_scans_train_but_those_of_persons_held_back(tmp_path: Path) -> None:
    names = ("ircad_e01", "ircad_e02", "lits_000", "lits_001")
    for name in names:
        (tmp_path / f"{name}.npz").touch()

    def training(held_out: str) -> dict[str, str]:
        return training_scans(str(tmp_path), held_out, lambda path: path.stem)

    assert training("") == {name: name for name in names}
    assert list(training("lits_000")) == ["ircad_e01", "ircad_e02"], "both of LiTS are one person"
