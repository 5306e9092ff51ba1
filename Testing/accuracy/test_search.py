"""To look first where the liver is changes the cost, not the liver: Dice of at least 0.995 with a full pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.files import read_ct
from LiverSegLib.phantom import make_phantom

pytestmark = pytest.mark.slow


@pytest.fixture
def pixels(the_segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by the pixels of each batch that the network of the_segmenter is given."""
    counts: list[int] = []
    network = the_segmenter.predictor.network

    def counting(images: torch.Tensor) -> torch.Tensor:
        counts.append(len(images) * images.shape[2] * images.shape[3])
        return network(images)

    monkeypatch.setattr(the_segmenter.predictor, "network", counting)
    return counts


@pytest.fixture(scope="module")
def a_thorough_segmenter() -> Segmenter:
    """Runs the network over all slices and all of each."""
    return Segmenter(device="cpu", everywhere=True)


def cost_and_liver(segmenter: Segmenter, ct: CTVolume, pixels: list[int]) -> tuple[int, np.ndarray]:
    pixels.clear()
    liver = segmenter.segment(ct).labels > 0
    return sum(pixels), liver


def assert_follows_the_liver(
    the_segmenter: Segmenter, thorough: Segmenter, pixels: list[int], whole_body: CTVolume, trunk: slice
) -> None:
    """The whole body costs at most 1.6 times the trunk, and both give the liver of a full pass over the trunk."""
    ct = CTVolume(whole_body.hu[trunk], whole_body.affine)
    expected = thorough.segment(ct).labels > 0
    assert expected.sum() * ct.voxel_volume_ml > 500
    trunk_cost, in_trunk = cost_and_liver(the_segmenter, ct, pixels)
    body_cost, in_body = cost_and_liver(the_segmenter, whole_body, pixels)
    assert dice(in_trunk, expected) >= 0.995
    assert dice(in_body[trunk], expected) >= 0.995
    assert in_body.sum() == in_body[trunk].sum()
    assert body_cost <= 1.6 * trunk_cost
    rows, columns = (n * mm / 1.5 for n, mm in zip(ct.hu.shape[1:], ct.spacing[1:], strict=True))
    full_cost = len(expected) * rows * columns
    assert trunk_cost < 0.7 * full_cost


def test_a_phantom_s_whole_body(the_segmenter: Segmenter, a_thorough_segmenter: Segmenter, pixels: list[int]) -> None:
    whole_body = make_phantom(seed=2, shape=(400, 128, 128), spacing=(3.0, 2.85, 2.85)).ct
    assert_follows_the_liver(the_segmenter, a_thorough_segmenter, pixels, whole_body, slice(100, 300))


def test_a_patient_with_a_longer_pelvis(
    the_segmenter: Segmenter, a_thorough_segmenter: Segmenter, pixels: list[int], shared_data: Path
) -> None:
    """Patient 19 from neck to pelvis, with the pelvis mirrored to and fro below: twice the slices."""
    ct = read_ct(shared_data / "train" / "ircad_e19_ct.nii.gz").canonical()
    pelvis = ct.hu[:31]
    body = np.concatenate((pelvis, pelvis[::-1], pelvis, pelvis[::-1], ct.hu))
    below = len(body) - len(ct.hu)
    assert_follows_the_liver(
        the_segmenter, a_thorough_segmenter, pixels, CTVolume(body, ct.affine), slice(below, len(body))
    )
