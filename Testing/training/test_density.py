"""Livers of other density: the parenchyma changes, in every slice that the network sees, and nothing else does."""

from __future__ import annotations

import pytest
import torch

from Testing.training.phantoms import drawn, even_scan
from Training.data.density import SHIFT_HU, change_density

LIVER, VESSEL, TUMOUR, FAT = 100.0, 160.0, 60.0, -100.0


@pytest.fixture
def slices() -> tuple[torch.Tensor, torch.Tensor]:
    """Two slices of fat with a square of liver, larger in the second, with a vessel and a tumour."""
    hu, parenchyma = torch.full((2, 40, 40), FAT), torch.zeros(2, 40, 40)
    for k, side in enumerate((24, 32)):
        hu[k, 4:side, 4:side] = LIVER
        parenchyma[k, 4:side, 4:side] = 1
    hu[:, 8:13, 8:13] = VESSEL
    hu[:, 16:20, 8:12] = TUMOUR
    parenchyma[:, 16:20, 8:12] = 0
    return hu, parenchyma


def test_the_parenchyma_is_shifted_in_each_slice_as_far_as_it_reaches_there(slices: tuple) -> None:
    hu, parenchyma = slices
    changed = change_density(hu, parenchyma, -60.0)
    assert changed[0, 21, 21] == changed[1, 21, 21] == LIVER - 60
    assert changed[0, 28, 28] == FAT and changed[1, 28, 28] == LIVER - 60


def test_vessels_tumours_and_what_lies_outside_stay(slices: tuple) -> None:
    hu, parenchyma = slices
    changed = change_density(hu, parenchyma, -60.0)
    assert torch.equal(changed[:, 9:12, 9:12], hu[:, 9:12, 9:12]), "vessel"
    assert torch.equal(changed[:, 17:19, 9:11], hu[:, 17:19, 9:11]), "tumour"
    assert torch.equal(changed[:, 34:, 34:], hu[:, 34:, 34:]), "fat"


def test_noise_stays_as_it_is(slices: tuple) -> None:
    hu, parenchyma = slices
    noise = torch.randn(hu.shape, generator=torch.Generator().manual_seed(0)) * 15
    inside = (slice(None), slice(14, 22), slice(14, 22))
    changed = change_density(hu + noise, parenchyma, -60.0)[inside] - (LIVER - 60)
    assert float(changed.std()) == pytest.approx(float(noise[inside].std()), rel=0.15)


def test_slices_without_liver_are_left_alone(slices: tuple) -> None:
    hu, parenchyma = slices
    assert torch.equal(change_density(hu, torch.zeros_like(parenchyma), -60.0), hu)


@pytest.mark.parametrize("share", (0.0, 0.5, 1.0))
def test_a_sampler_changes_the_livers_of_a_share_of_its_samples(share: float) -> None:
    batch = drawn([even_scan()], 60, density_share=share)
    changes = torch.stack(
        [hu[0][found == 1].median() - 110 for hu, found in zip(batch.hu, batch.labels, strict=True) if found.any()]
    )
    assert changes.min() >= SHIFT_HU[0] - 1 and changes.max() <= SHIFT_HU[1] + 1
    assert float((changes.abs() > 1).float().mean()) == pytest.approx(share, abs=0.17)
