"""Lobes that reach further than most: liver laid below it and stretched to the left, labelled, inside the wall."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LiverSegLib.phantom import make_phantom
from Training.lobes import BELOW_MM, Lobe, add_lobe, draw_lobe
from Training.sample import PreparedScan, SliceSampler

LIVER, VESSEL, FAT, AIR, BONE = 110.0, 170.0, -100.0, -250.0, 400.0
SEEDS = range(20)
Slices = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture
def body() -> Slices:
    """Three slices of fat in air, without liver."""
    hu = torch.full((3, 80, 100), AIR)
    hu[:, 10:70, 10:90] = FAT
    return hu, torch.zeros(hu.shape, dtype=torch.uint8)


@pytest.fixture
def liver(body: Slices) -> Slices:
    """The same with a liver of 20 by 30 pixels, and a tumour and a vessel in it."""
    hu, labels = (image.clone() for image in body)
    hu[:, 30:50, 25:55], labels[:, 30:50, 25:55] = LIVER, 1
    hu[:, 35:40, 30:35] = VESSEL
    hu[:, 40:45, 30:35], labels[:, 40:45, 30:35] = 60.0, 2
    return hu, labels


def test_a_low_lobe_is_the_liver_of_a_higher_slice_moved(body: Slices, liver: Slices) -> None:
    hu, labels = add_lobe(*body, *liver, Lobe(0, 1, shift=(5, 10)))
    assert torch.equal(labels[:, 35:55, 35:65], liver[1][:, 30:50, 25:55]) and int((labels > 0).sum()) == 3 * 600
    assert torch.allclose(hu[:, 36:54, 36:64], liver[0][:, 31:49, 26:54], atol=1e-2), "with its vessels and tumours"
    assert torch.equal(hu[:, :33], body[0][:, :33]) and torch.equal(hu[:, :, 68:], body[0][:, :, 68:])
    assert FAT < hu[0, 45, 35] < LIVER, "a soft edge"


def test_a_left_lobe_is_stretched_and_hangs_together_with_the_liver_that_stays(liver: Slices) -> None:
    hu, labels = add_lobe(*liver, *liver, Lobe(0, left_part=0.5, stretch=2.0))
    assert torch.equal(labels[:, :, :55], liver[1][:, :, :55]) and torch.equal(hu[:, :, :54], liver[0][:, :, :54])
    assert (labels[:, 31:49, 55:68] == 1).all() and (labels[:, :, 72:] == 0).all()
    assert torch.allclose(hu[:, 32:48, 56:67], torch.tensor(LIVER), atol=1e-2)


def test_the_end_of_a_left_lobe_may_bend_to_the_back(liver: Slices) -> None:
    _, labels = add_lobe(*liver, *liver, Lobe(0, left_part=0.5, stretch=2.0, bend=10.0))
    rows = [torch.nonzero(labels[1, :, column])[:, 0].float().mean() for column in (50, 60, 67)]
    assert rows[0] < rows[1] < rows[2]


def test_bone_and_the_wall_and_what_is_outside_stay(body: Slices, liver: Slices) -> None:
    body[0][:, 40:44, 40:44] = BONE
    hu, labels = add_lobe(*body, *liver, Lobe(0, shift=(0, -20)))
    assert (labels[:, :, :18] == 0).all() and torch.equal(hu[:, :, :17], body[0][:, :, :17]), "the wall"
    hu, labels = add_lobe(*body, *liver, Lobe(0))
    assert (labels[:, 40:44, 40:44] == 0).all() and (hu[:, 40:44, 40:44] == BONE).all()


def test_a_scan_clipped_above_air_has_a_wall_too(body: Slices, liver: Slices) -> None:
    clipped = (body[0] + 20).clamp(min=-100.0)
    _, labels = add_lobe(clipped, body[1], *liver, Lobe(0, shift=(0, -20)))
    assert (labels[:, :, :18] == 0).all() and (labels[:, 31:49, 20:34] > 0).all()


def test_slices_without_liver_give_none(body: Slices) -> None:
    hu, labels = add_lobe(*body, *body, Lobe(0))
    assert torch.equal(hu, body[0]) and torch.equal(labels, body[1])


def test_low_lobes_lie_in_or_below_the_liver_and_left_ones_in_it() -> None:
    slices = np.arange(60, 100)
    lobes = [draw_lobe(slices, 5.0, 1.5, np.random.default_rng(seed)) for seed in range(200)]
    low, left = ([lobe for lobe in lobes if (lobe.stretch == 1) == is_low] for is_low in (True, False))
    assert len(low) > 60 and len(left) > 60
    assert all(60 - BELOW_MM / 5 <= lobe.position <= 100 and lobe.position + lobe.higher in slices for lobe in low)
    assert sum(lobe.position < 60 for lobe in low) > len(low) / 3
    assert all(lobe.position in slices and lobe.higher == 0 for lobe in left)


@pytest.mark.parametrize(("share", "expected"), [(0.0, False), (1.0, True)])
def test_samples_hold_them_as_often_as_wanted(share: float, expected: bool) -> None:
    phantom = make_phantom(shape=(40, 96, 96), spacing=(5.0, 4.0, 4.0))
    hu, labels = torch.from_numpy(phantom.ct.hu), torch.from_numpy(phantom.labels)
    scan = PreparedScan("phantom", hu, labels, 5.0, True, "phantom")
    sampler = SliceSampler([scan], 144, {"phantom": 1.0}, 1.0, 0, (0.0,), lobe_share=share, pixel_mm=4.0)
    present = {int((slice_labels > 0).sum()) for slice_labels in labels}
    drawn = {int((sample > 0).sum()) for sample in sampler.batch(40).labels}
    assert bool(drawn - present) == expected
