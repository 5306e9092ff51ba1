"""Contrast medium is taken out: the liver has the HU of a plain scan and no bright vessels, noise and borders stay."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from Testing.training.phantoms import drawn, even_scan
from Training.data.unenhanced import LIVER_HU, ORGAN_HU, VESSEL_HU, remove_contrast

LIVER, VESSEL, KIDNEY, BONE, FAT = 110.0, 170.0, 190.0, 260.0, -100.0
SEEDS = range(10)


@pytest.fixture
def slices() -> tuple[torch.Tensor, torch.Tensor]:
    """Two slices of fat with liver and a vessel in it, a kidney and bone."""
    hu, liver = torch.full((2, 40, 40), FAT), torch.zeros(2, 40, 40)
    hu[:, 4:24, 4:24] = LIVER
    liver[:, 4:24, 4:24] = 1
    hu[:, 8:13, 8:13] = VESSEL
    hu[:, 28:36, 4:12] = KIDNEY
    hu[:, 28:36, 24:32] = BONE
    return hu, liver


@pytest.mark.parametrize("seed", SEEDS)
def test_organs_have_the_hu_of_a_plain_scan(slices: tuple, seed: int) -> None:
    hu, liver = slices
    plain = remove_contrast(hu, liver, liver, np.random.default_rng(seed))
    inside, vessel, kidney = plain[:, 16:22, 16:22], plain[:, 9:12, 9:12], plain[:, 30:34, 6:10]
    assert LIVER_HU[0] <= inside.min() and inside.max() <= LIVER_HU[1]
    assert VESSEL_HU[0] <= vessel.min() and vessel.max() <= VESSEL_HU[1]
    assert kidney.min() >= ORGAN_HU and kidney.max() <= ORGAN_HU + 0.2 * (KIDNEY - ORGAN_HU)
    assert torch.equal(plain[:, 30:34, 26:30], hu[:, 30:34, 26:30]), "bone"
    assert torch.equal(plain[:, :2], hu[:, :2]), "fat"


def test_livers_and_vessels_differ_from_sample_to_sample(slices: tuple) -> None:
    hu, liver = slices
    drawn = [remove_contrast(hu, liver, liver, np.random.default_rng(seed)) for seed in SEEDS]
    darker = [bool(plain[0, 10, 10] < plain[0, 20, 20]) for plain in drawn]
    assert True in darker and False in darker, "vessels darker than most livers and brighter than fatty ones"


def test_a_border_stays_as_sharp_as_it_was(slices: tuple) -> None:
    hu, liver = slices
    plain = remove_contrast(hu, liver, liver, np.random.default_rng(0))
    assert (plain[:, :, :2] == FAT).all() and (plain[:, 27, 5:11] == FAT).all() and (plain[:, 30:34, 4] > 0).all()


def test_noise_stays(slices: tuple) -> None:
    hu, liver = slices
    noise = torch.randn(hu.shape, generator=torch.Generator().manual_seed(0)) * 15
    plain = remove_contrast(hu + noise, liver, liver, np.random.default_rng(3))
    assert float(plain[:, 15:22, 15:22].std()) == pytest.approx(15, rel=0.25)


def test_a_scan_without_contrast_medium_stays(slices: tuple) -> None:
    hu, liver = slices
    plain = torch.where(liver > 0, 55.0, hu)
    assert torch.equal(remove_contrast(plain, liver, liver, np.random.default_rng(0)), plain)


@pytest.mark.parametrize("share", (0.0, 0.5, 1.0))
def test_a_sampler_takes_it_out_of_a_share_of_its_samples(share: float) -> None:
    batch = drawn([even_scan()], 60, unenhanced_share=share)
    levels = [hu[0][found == 1].median() for hu, found in zip(batch.hu, batch.labels, strict=True) if found.any()]
    assert float(np.mean([float(level) < 100 for level in levels])) == pytest.approx(share, abs=0.17)
