"""CT of any contrast: organs where they were, brightness by chance, slices as thick as those of MR."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from Testing.training.phantoms import LIVER, batch_of
from Training.data.any_contrast import contrast_of_any_kind, thick_slices
from Training.data.augmentation import augmentations_of
from Training.data.augmentation.coil_profile import CoilProfile
from Training.data.augmentation.contrast_curve import ContrastCurve
from Training.data.augmentation.ghosting import Ghosting
from Training.data.augmentation.rician_noise import RicianNoise
from Training.settings import WINDOW_HU, Settings

LOW, HIGH = WINDOW_HU
OFFSETS = (-6.0, -3.0, 0.0, 3.0, 6.0)


@pytest.fixture(autouse=True)
def the_same_random_numbers() -> None:
    torch.manual_seed(0)


def a_scan() -> tuple[torch.Tensor, torch.Tensor]:
    """Nine slices with a liver of 110 HU in muscle, fat and air, and its labels."""
    row, column = np.ogrid[:96, :96]
    radius = np.hypot(row - 48, column - 48)
    hu = np.select([radius < 36, radius < 42], [55.0, -100.0], -250.0)
    liver = np.hypot(row - 45, column - 40) < 18
    hu = np.where(liver, 110.0, hu) + np.random.default_rng(0).normal(0, 3, hu.shape)
    stack = torch.tensor(hu, dtype=torch.float32).clamp(min=-250).expand(9, 96, 96).clone()
    return stack, torch.tensor(liver, dtype=torch.uint8).expand(9, 96, 96).clone()


def drawn(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    hu, labels = a_scan()
    rng = np.random.default_rng(seed)
    weights = thick_slices(len(hu), 4, 3.0, OFFSETS, rng)
    return contrast_of_any_kind(hu, labels, weights, LIVER, rng), labels[4] > 0


@pytest.mark.parametrize("spacing", [1.5, 3.0, 5.0, 1e6])
def test_thick_slices_are_means_about_their_places(spacing: float) -> None:
    rng = np.random.default_rng(0)
    drawn = torch.stack([thick_slices(41, 20, spacing, OFFSETS, rng) for _ in range(300)])
    assert torch.allclose(drawn.sum(2), torch.ones(300, 5), atol=1e-5) and (drawn >= 0).all()
    middles = (drawn * torch.arange(41)).sum(2)
    assert torch.allclose(middles.mean(0), torch.tensor(OFFSETS, dtype=torch.float32) / spacing + 20, atol=0.3)
    if spacing == 1.5:
        assert ((drawn > 0).sum(2) > 2).any() and ((drawn > 0).sum(2) == 1).any(), "some thick, some not"


def test_a_slice_at_the_end_repeats_the_outermost() -> None:
    weights = thick_slices(5, 4, 3.0, OFFSETS, np.random.default_rng(3))
    assert torch.allclose(weights.sum(1), torch.ones(5)) and weights.shape == (5, 5)


def test_the_liver_gets_any_brightness_and_air_stays_dark() -> None:
    levels, contrasts = [], []
    for seed in range(60):
        signal, liver = drawn(seed)
        level = float(signal[2][liver].median())
        levels.append((level - LOW) / (HIGH - LOW))
        muscle = float(signal[2, 60:70, 60:70].median())
        contrasts.append(level > muscle)
        assert float(signal[:, :4].mean()) == pytest.approx(LOW, abs=8)
    assert min(levels) < 0.3 and max(levels) > 0.8
    assert 0.2 < np.mean(contrasts) < 0.8, "brighter than muscle, or darker"


def test_the_liver_stays_where_it_was() -> None:
    """Where it differs from the muscle at all, its outline is that of its labels."""
    for seed in range(20):
        signal, liver = drawn(seed)
        level, muscle = float(signal[2][liver].median()), float(signal[2, 60:70, 60:70].median())
        if abs(level - muscle) > 120:
            nearer = (signal[2] - level).abs() < (signal[2] - muscle).abs()
            assert float((nearer & liver)[25:65, 25:60].sum() / liver.sum()) > 0.9


def test_a_network_for_mr_draws_what_mr_has_and_nothing_of_ct() -> None:
    names = [type(one).__name__ for one in augmentations_of(Settings(modality="MR"))]
    assert {"CoilProfile", "Ghosting", "RicianNoise", "ContrastCurve"} <= set(names)
    assert not {"Enhancement", "Streaks", "Clip"} & set(names)


def a_batch():
    hu, labels = a_scan()
    signal = torch.where(labels > 0, 100.0, torch.where(hu > -60, 20.0, LOW))
    return batch_of(signal[:8].view(8, 1, 96, 96).expand(8, 3, 96, 96).clone(), labels[:8])


@pytest.mark.parametrize(
    "augmentation",
    [ContrastCurve(1.0), CoilProfile(1.0), Ghosting(1.0), RicianNoise(1.0)],
    ids=lambda a: type(a).__name__,
)
def test_signal_changes_and_never_falls_below_nothing(augmentation) -> None:
    batch = a_batch()
    changed = augmentation(batch)
    assert torch.equal(changed.labels, batch.labels)
    assert changed.hu.min() >= LOW - 1e-3 and not torch.allclose(changed.hu, batch.hu)
    assert changed.hu.shape == batch.hu.shape


def test_a_contrast_curve_keeps_the_order_of_tissues() -> None:
    changed = ContrastCurve(1.0)(a_batch())
    liver = changed.labels > 0
    body = a_batch().hu[:, 0] == 20
    assert (changed.hu[:, 0][liver].min() > changed.hu[:, 0][body].max()) or all(
        float(hu[0][mask].min()) > float(hu[0][other].max())
        for hu, mask, other in zip(changed.hu, liver, body, strict=True)
    )


def test_the_noise_of_mr_brightens_the_background() -> None:
    batch = a_batch()
    background = batch.hu[:, :1] == LOW
    changed = RicianNoise(1.0, sigma=0.1)(batch)
    assert (changed.hu[:, :1][background] - LOW).mean() > 2


def test_ghosts_are_copies_along_an_axis() -> None:
    batch = a_batch()
    changed = Ghosting(1.0, strength=(0.2, 0.2))(batch)
    outside = (batch.hu == LOW) & (changed.hu > LOW + 5)
    assert outside.any() and float(outside.float().mean()) < 0.5
