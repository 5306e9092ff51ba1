"""How right the bundled network is, on patients and a phantom that it was never trained on."""

from __future__ import annotations

from pathlib import Path

import pytest

from LiverSegLib.data.metrics import dice
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.files import read_ct, read_labels
from LiverSegLib.phantom import make_phantom


def volume_dice(segmenter: Segmenter, ct: Path, reference: Path) -> float:
    """Dice of the liver, tumours included, over the whole volume."""
    found = segmenter.segment(read_ct(ct)).labels
    truth, _ = read_labels(reference)
    return dice(found > 0, truth > 0)


def test_the_demo_s_phantom_is_recognised(the_segmenter: Segmenter) -> None:
    phantom = make_phantom()
    assert dice(the_segmenter.segment(phantom.ct).labels > 0, phantom.labels > 0) >= 0.90


def test_a_whole_trunk_at_native_resolution(the_segmenter: Segmenter, shared_data: Path) -> None:
    folder = shared_data / "native"
    found = volume_dice(the_segmenter, folder / "ircad_e19_ct.nii.gz", folder / "ircad_e19_liver.nii.gz")
    assert found >= 0.94


def test_the_two_test_patients_of_the_earlier_project(the_segmenter: Segmenter, shared_data: Path) -> None:
    folder = shared_data / "train"
    scores = [
        volume_dice(the_segmenter, folder / f"{name}_ct.nii.gz", folder / f"{name}_liver.nii.gz")
        for name in ("ircad_e19", "ircad_e20")
    ]
    assert sum(scores) / 2 >= 0.94, scores


def test_tumours_belong_to_the_liver_whether_asked_for_or_not(the_segmenter: Segmenter) -> None:
    phantom = make_phantom(shape=(32, 128, 128), spacing=(7.5, 2.85, 2.85))
    with_tumour = the_segmenter.segment(phantom.ct, SegmentOptions(tumour=True)).labels
    assert dice(with_tumour > 0, the_segmenter.segment(phantom.ct).labels > 0) == pytest.approx(1.0)
