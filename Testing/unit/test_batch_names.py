"""Names of cases: unique, lasting, and safe as folders on every system."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.batch.names import LONGEST_BYTES, case_names, series_name

PATHS = st.lists(st.text(min_size=1, max_size=80).filter(lambda text: text.strip("/.") != ""), unique=True, max_size=8)


def test_a_name_is_the_path_without_its_ending() -> None:
    assert case_names(["scan.nii.gz", "b/Scan 2.nrrd", "c/d/x.MHA"]) == ["scan", "b__Scan_2-87b12235", "c__d__x"]


def test_formats_of_one_image_are_told_apart() -> None:
    first, second = case_names(["a/scan.nii.gz", "a/scan.nrrd"])
    assert first != second
    assert first.startswith("a__scan-") and second.startswith("a__scan-")


def test_folders_and_underscores_are_told_apart() -> None:
    assert len(set(case_names(["a/b.nii", "a__b.nii"]))) == 2


def test_names_that_differ_in_capitals_only_get_different_folders() -> None:
    first, second = case_names(["SCAN.nii", "scan.nii"])
    assert first.casefold() != second.casefold()


def test_the_same_input_twice_is_numbered() -> None:
    first, second = case_names(["scan.nii", "scan.nii"])
    assert second == f"{first}-2"


@pytest.mark.parametrize(
    "path", ["con.nii", "nul/../x.nii", "COM1.nii.gz", "..nii", "/etc/passwd", "a:b*?.nii", "ü.nii"]
)
def test_no_name_leads_elsewhere_or_means_something_else(path: str) -> None:
    (name,) = case_names([path])
    assert not set(name) & set('/\\:*?"<>|\0')
    assert name.partition(".")[0].lower() not in ("con", "nul", "com1", "")


@given(PATHS)
def test_names_are_unique_and_short_and_safe(paths: list[str]) -> None:
    names = case_names(paths)
    assert len({name.casefold() for name in names}) == len(paths)
    for name in names:
        assert name and name not in (".", "..") and not name.startswith(".")
        assert len(name.encode("utf-8")) <= LONGEST_BYTES + 20
        assert all(letter.isalnum() or letter in "-_." for letter in name)


@given(PATHS, st.integers())
def test_a_name_does_not_depend_on_the_order(paths: list[str], seed: int) -> None:
    expected = dict(zip(paths, case_names(paths), strict=True))
    shuffled = random.Random(seed).sample(paths, len(paths))
    assert dict(zip(shuffled, case_names(shuffled), strict=True)) == expected


def test_a_series_is_named_by_a_digest() -> None:
    name = series_name("1.2.840.113619.2.55")
    assert name.startswith("series_") and len(name) == len("series_") + 12
    assert name != series_name("1.2.840.113619.2.56")
