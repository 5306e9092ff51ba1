"""Which segment of a reference is the liver, and where a part of a grid belongs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.labels import LabelVolume
from LiverSegLib.data.reference import NamedSegment, find_liver, label_values
from LiverSegLib.data.resample import paste
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.errors import InputError

GRID = Geometry((4, 4, 4), np.eye(4))


def named(*names):
    return [NamedSegment(f"id {n}", name) for n, name in enumerate(names)]


@pytest.mark.parametrize(
    "names, liver",
    [
        (["Liver"], "Liver"),
        (["Segment_1"], "Segment_1"),
        (["spleen", "liver", "liver vessels"], "liver"),
        (["Spleen", "manual LIVER v2"], "manual LIVER v2"),
        (["liver tumor", "Liver"], "Liver"),
        (["livertumor1", "livertumor2", "mask"], "mask"),
    ],
)
def test_the_liver_is_found_by_name(names, liver):
    assert find_liver(named(*names), "Manual").name == liver


def test_the_code_counts_more_than_the_name():
    segments = [NamedSegment("1", "liver"), NamedSegment("2", "Leber", LIVER.terminology)]
    assert find_liver(segments, "Manual").id == "2"


@pytest.mark.parametrize("names", [[], ["Spleen", "Kidney"], ["left liver", "right liver"], ["liver tumour"]])
def test_a_liver_that_is_not_clear_is_refused(names):
    with pytest.raises(InputError, match="Manual") as caught:
        find_liver(named(*names), "Manual")
    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    "name, terminology, expected",
    [
        ("Liver tumour", "", True),
        ("Tumor_2", "", True),
        ("Segment_3", TUMOUR.terminology, True),
        ("Kidney tumour", "", False),
        ("Liver", LIVER.terminology, False),
        ("Tumor", TUMOUR.terminology.replace("10200004^Liver", "64033007^Kidney"), False),
        ("Liver", "not~a~terminology", False),
    ],
)
def test_a_liver_tumour_is_known_by_code_or_name(name, terminology, expected):
    assert NamedSegment("id", name, terminology).is_liver_tumour() is expected


@pytest.mark.parametrize(
    "values, expected",
    [([0, 1, 1], [0, 1, 1]), ([0, 2, 1], [0, 2, 1]), ([0, 255, 255], [0, 1, 1]), ([0.0, 2.0], [0, 2]), ([0], [0])],
)
def test_label_values_are_read_by_convention(values, expected):
    labels = label_values(np.array(values), "Labels")
    assert labels.dtype == np.uint8 and labels.tolist() == expected


def test_a_labelmap_of_many_organs_is_refused():
    with pytest.raises(InputError, match="3 labels"):
        label_values(np.array([0, 1, 5, 6]), "Labels")


@given(
    offset=st.tuples(*[st.integers(0, 3)] * 3),
    seed=st.integers(0, 99),
)
def test_a_cropped_part_goes_back_where_it_was_cut_out(offset, seed):
    grid = np.diag([-0.7, -0.8, 5.0, 1.0])
    whole = np.zeros((6, 7, 8), np.uint8)
    box = tuple(slice(start, start + 3) for start in offset)
    whole[box] = np.random.default_rng(seed).integers(0, 3, (3, 3, 3))
    affine = grid.copy()
    affine[:3, 3] = (grid @ [*offset[::-1], 1])[:3]
    np.testing.assert_array_equal(paste(LabelVolume(whole[box], affine), Geometry(whole.shape, grid)), whole)


def test_labels_beyond_the_grid_are_not_pasted_but_background_is():
    part, affine = np.ones((2, 2, 2), np.uint8), np.eye(4)
    affine[0, 3] = -1.0
    assert paste(LabelVolume(part, affine), GRID) is None
    part[:, :, 0] = 0
    assert np.count_nonzero(paste(LabelVolume(part, affine), GRID)) == 4


@pytest.mark.parametrize("move", [np.diag([-1.0, 1, 1, 1]), np.diag([1.01, 1, 1, 1]), np.eye(4) + np.eye(4, k=3) * 0.3])
def test_voxels_that_do_not_coincide_are_not_pasted(move):
    assert paste(LabelVolume(np.ones((4, 4, 4), np.uint8), move), GRID) is None


def test_a_part_that_lies_quite_elsewhere_is_not_pasted():
    affine = np.eye(4)
    affine[:3, 3] = 50.0
    assert paste(LabelVolume(np.ones((4, 4, 4), np.uint8), affine), GRID) is None
