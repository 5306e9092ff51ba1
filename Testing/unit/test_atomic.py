"""Writing: the target is the old file or the new one, whole, whatever happens in between."""

from __future__ import annotations

import os

import pytest

from LiverSegLib.errors import OutputError
from LiverSegLib.io.atomic import check_writable, replacing


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "liver.seg.nrrd"
    path.write_text("old")
    return path


def test_the_new_file_takes_the_old_ones_place(target):
    with replacing(target) as temporary:
        temporary.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_failing_writer_leaves_the_old_file_whole_and_nothing_beside_it(target, failure):
    with pytest.raises(failure), replacing(target) as temporary:
        temporary.write_text("ne")
        raise failure
    assert target.read_text() == "old"
    assert os.listdir(target.parent) == [target.name]


def test_a_full_disk_is_told_in_a_sentence(target):
    with pytest.raises(OutputError, match="free some space"), replacing(target) as temporary:
        temporary.write_text("ne")
        raise OSError(28, "No space left on device")
    assert target.read_text() == "old"


def test_what_can_be_written_leaves_no_trace_of_the_question(target):
    check_writable(target)
    check_writable(target.with_name("other.nii.gz"))
    assert os.listdir(target.parent) == [target.name]


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(OutputError, match="does not exist"):
        check_writable(tmp_path / "none" / "liver.nii.gz")


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    with pytest.raises(OutputError, match="not a file"):
        check_writable(tmp_path)


def test_a_folder_that_takes_no_files_is_refused():
    if not os.path.isdir("/proc/self"):
        pytest.skip("needs /proc, a folder in which not even root can write")
    with pytest.raises(OutputError, match="cannot be written"):
        check_writable("/proc/self/liver.nii.gz")


def test_a_link_is_replaced_unless_it_is_to_be_written_through(target, tmp_path):
    link, other = tmp_path / "link.seg.nrrd", tmp_path / "other"
    link.symlink_to(target)
    with replacing(link, through_links=True) as temporary:
        temporary.write_text("new")
        assert temporary.name.endswith(".seg.nrrd")
        assert target.read_text() == "old"
    assert link.is_symlink() and target.read_text() == "new"
    link.rename(other)
    with replacing(other) as temporary:
        temporary.write_text("newer")
    assert not other.is_symlink() and target.read_text() == "new"


def test_a_link_to_nothing_makes_its_target_and_a_circle_is_refused(tmp_path):
    dangling, circle = tmp_path / "dangling.nii", tmp_path / "circle.nii"
    dangling.symlink_to(tmp_path / "target.nii")
    circle.symlink_to(circle)
    with replacing(dangling, through_links=True) as temporary:
        temporary.write_text("new")
    assert (tmp_path / "target.nii").read_text() == "new"
    with pytest.raises(OutputError, match="not a file"):
        check_writable(circle, through_links=True)
