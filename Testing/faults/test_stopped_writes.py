"""A process that is killed while it writes, or runs out of space, leaves the old file as it was."""

from __future__ import annotations

import re
import signal

import pytest

from LiverSegLib.batch.find import find_cases
from Testing.faults.processes import OLD, Ending
from Testing.faults.stopped import MOMENTS
from Testing.faults.writers import ALL_WRITERS

KILLED = [moment for moment in MOMENTS if moment.startswith("killed")]
Endings = dict[tuple[str, str], Ending]


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_a_killed_write_leaves_the_old_file_whole_and_hidden_files_named_as_the_docs_say(
    endings: Endings, kind: str
) -> None:
    for ending in (endings[kind, moment] for moment in KILLED):
        assert ending.signal in (signal.SIGXFSZ, signal.SIGKILL)
        assert ending.target.read_bytes() == OLD
        leftovers = ending.leftovers()
        assert leftovers and all(re.fullmatch(r"\.[0-9a-f]{8}-\w+(\.\w+)+", name) for name in leftovers)


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_a_write_goes_through_where_another_was_killed(endings: Endings, kind: str) -> None:
    target = endings[kind, "killed_in_the_middle"].target.with_name(f"again.{kind.partition('.')[2]}")
    ALL_WRITERS[kind](target)
    assert target.stat().st_size > 400


@pytest.mark.parametrize("kind", ALL_WRITERS)
def test_a_write_out_of_space_says_so_and_leaves_nothing_but_the_old_file(endings: Endings, kind: str) -> None:
    ending = endings[kind, "out_of_space"]
    start = ending.target.parent / ending.target.name.partition(".")[0]
    assert re.match(rf"{start}\.\S+ could not be written \([^)]+\); free some space", ending.said)
    assert ending.target.read_bytes() == OLD
    assert ending.leftovers() == set()


def test_a_batch_takes_no_leftover_for_a_case(endings: Endings) -> None:
    folder = endings["ct.nii.gz", "killed_before_the_rename"].target.parent
    assert len(list(folder.iterdir())) == 2
    assert [case.name for case in find_cases(folder)] == ["ct"]
