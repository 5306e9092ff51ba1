"""The Couinaud segments of a patient that the bundled network was never trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.couinaud import find_segments
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.couinaud_model import CouinaudModel
from Training.data.catalogue import read_values

RIGHT, LEFT = (5, 6, 7, 8), (2, 3, 4)


@pytest.fixture(scope="module")
def patient_19(shared_data: Path) -> CTVolume:
    return read_ct(shared_data / "native" / "ircad_e19_ct.nii.gz")


@pytest.fixture(scope="module")
def found(the_segmenter: Segmenter, patient_19: CTVolume) -> Segmentation:
    return the_segmenter.segment(patient_19, SegmentOptions(segments=True))


def middle_of(found: Segmentation, *segments: int) -> np.ndarray:
    """Centre of mass in RAS mm of some segments."""
    kji = np.argwhere(np.isin(found.anatomy.segments, segments)).mean(axis=0)
    return (found.affine @ (*kji[::-1], 1))[:3]


def test_every_voxel_of_the_liver_has_a_segment(found: Segmentation) -> None:
    assert np.array_equal(found.anatomy.segments > 0, found.labels > 0)
    assert set(np.unique(found.anatomy.segments)) == set(range(9))


def test_segments_lie_where_anatomy_has_them(found: Segmentation) -> None:
    right, anterior, superior = range(3)
    assert middle_of(found, *RIGHT)[right] > middle_of(found, 4)[right] > middle_of(found, 2, 3)[right]
    assert middle_of(found, 5, 8)[anterior] > middle_of(found, 6, 7)[anterior]
    assert middle_of(found, 7, 8)[superior] > middle_of(found, 5, 6)[superior]
    assert middle_of(found, 2)[superior] > middle_of(found, 3)[superior]
    assert middle_of(found, 1)[anterior] < middle_of(found, 4)[anterior]


def test_volumes_are_those_of_a_liver(found: Segmentation) -> None:
    sizes = np.bincount(found.anatomy.segments.ravel())[1:]
    shares = sizes / sizes.sum()
    assert 0.5 < shares[4:].sum() < 0.8
    assert 0.005 < shares[0] < 0.08
    assert shares.min() > 0.005


@pytest.mark.parametrize("name", ["ircad_e19", "ircad_e20"])
@pytest.mark.parametrize("removed", [(), RIGHT], ids=["whole", "right hepatectomy"])
def test_after_a_right_hepatectomy_its_segments_are_gone_or_the_network_is_unsure(
    shared_data: Path, name: str, removed: tuple[int, ...]
) -> None:
    ct = read_ct(shared_data / "train" / f"{name}_ct.nii.gz").canonical()
    reference = read_values(shared_data / "anatomy" / f"{name}_couinaud.nii.gz")
    gone, warnings = np.isin(reference, removed), []
    # What lies there afterwards is fat.
    operated = replace(ct, hu=np.where(gone, -100, ct.hu).astype(np.int16))
    left = np.where(gone, 0, reference)
    _, segments = find_segments(CouinaudModel.load(), operated, left, ProgressReporter(), warnings)
    wrong = np.count_nonzero(np.isin(segments, removed)) / np.count_nonzero(segments)
    assert wrong < 0.05 or messages.SEGMENTS_UNSURE in warnings
    assert removed or not warnings


@pytest.mark.parametrize("name", ["ircad_e19", "ircad_e20"])
def test_segments_within_the_reference_agree_with_its_reader(shared_data: Path, name: str) -> None:
    ct = read_ct(shared_data / "train" / f"{name}_ct.nii.gz").canonical()
    reference = read_values(shared_data / "anatomy" / f"{name}_couinaud.nii.gz")
    box, segments = find_segments(CouinaudModel.load(), ct, reference, ProgressReporter())
    scores = [dice(segments == segment, reference[box] == segment) for segment in range(1, 9)]
    assert np.mean(scores) > 0.75, scores
