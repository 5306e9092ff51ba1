"""Augmentation changes the picture, never its agreement with the labels."""

from __future__ import annotations

import pytest
import torch

from Testing.training.phantoms import batch_of
from Training.data.augmentation import augment, augmentations_of
from Training.data.augmentation.blur import Blur
from Training.data.augmentation.clip import Clip
from Training.data.augmentation.enhancement import Enhancement
from Training.data.augmentation.field_of_view import FieldOfView
from Training.data.augmentation.intensity import Intensity
from Training.data.augmentation.lesions import Lesions
from Training.data.augmentation.masses import Masses
from Training.data.augmentation.noise import Noise
from Training.data.augmentation.streaks import Streaks
from Training.data.augmentation.warp import Warp
from Training.data.classes import Classes
from Training.data.sample import AIR_HU, Batch
from Training.earlier_projects.augmentations import project_e_augmentations
from Training.settings import Settings

SIDE = 96


@pytest.fixture(autouse=True)
def the_same_random_numbers() -> None:
    torch.manual_seed(0)


@pytest.fixture
def a_batch() -> Batch:
    """Six slices of an off-centre bright ellipse, labelled liver, in soft tissue."""
    row, column = torch.arange(SIDE)[:, None], torch.arange(SIDE)[None]
    ellipse = ((row - 45) / 22) ** 2 + ((column - 38) / 14) ** 2 < 1
    hu = torch.where(ellipse, 110.0, 20.0).expand(6, 3, SIDE, SIDE).clone()
    labels = ellipse.to(torch.uint8).expand(6, SIDE, SIDE).clone()
    return batch_of(hu, labels)


@pytest.fixture
def sixty(a_batch: Batch) -> Batch:
    """The six ten times over, for what is seen in many samples only."""
    return batch_of(a_batch.hu.repeat(10, 1, 1, 1), a_batch.labels.repeat(10, 1, 1))


def overlap(hu: torch.Tensor, labels: torch.Tensor) -> float:
    """Dice of what is brighter than halfway with what is labelled."""
    bright, liver = hu[:, 1] > 65, labels > 0
    return float(2 * (bright & liver).sum() / (bright.sum() + liver.sum()))


def test_labels_follow_the_image_through_flips_rotation_scaling_and_bending(a_batch: Batch) -> None:
    warp = Warp(80, mirror_probability=0.5, prone_probability=0.3, rotation_degrees=90, elastic_probability=1.0)
    warped = warp(a_batch)
    assert warped.hu.shape == (6, 3, 80, 80)
    assert warped.labels.shape == (6, 80, 80)
    assert overlap(warped.hu, warped.labels) > 0.97
    assert (warped.labels[0] != warped.labels[1]).any()


def test_a_warp_of_strength_zero_only_cuts_to_size(a_batch: Batch) -> None:
    still = Warp(80, 0.0, 0.0, 0.0, (1.0, 1.0), 0.0, 0.0, 0.0)(a_batch)
    cut = slice(8, 88)
    assert torch.allclose(still.hu, a_batch.hu[:, :, cut, cut], atol=1e-3)
    assert torch.equal(still.labels, a_batch.labels[:, cut, cut])


def test_what_comes_from_outside_the_image_is_air(a_batch: Batch) -> None:
    moved = Warp(96, 0.0, 0.0, 0.0, (0.4, 0.4), 0.0, 0.0, 0.0)(a_batch)
    assert moved.hu[:, :, 0, 0].unique().item() == AIR_HU
    assert (moved.labels[:, 0, 0] == 0).all()


def test_lesions_stay_inside_the_liver_and_are_labelled(a_batch: Batch) -> None:
    changed = Lesions(probability=1.0, contrast_hu=(-60.0, -50.0))(a_batch)
    assert (changed.labels == 2).any()
    assert torch.equal(changed.labels > 0, a_batch.labels > 0)
    assert torch.equal(changed.hu[:, 0][a_batch.labels == 0], a_batch.hu[:, 0][a_batch.labels == 0])
    assert changed.hu[:, 1][changed.labels == 2].mean() < 100


def test_heavy_lesions_are_water_or_oil_through_much_of_the_liver_and_no_tumour_is_told(sixty: Batch) -> None:
    changed = Lesions(probability=1.0, heavy_share=1.0, water_hu=(0.0, 10.0), oil_hu=(300.0, 400.0))(sixty)
    assert torch.equal(changed.labels > 0, sixty.labels > 0) and not changed.labelled[:, 1].any()
    assert changed.labelled[:, 0].all(), "the liver is still told"
    outside = sixty.labels == 0
    assert torch.equal(changed.hu[:, 0][outside], sixty.hu[:, 0][outside])
    filled = changed.labels == 2
    shares = filled.sum((1, 2)) / (sixty.labels > 0).sum((1, 2))
    assert shares.mean() > 0.2 and (shares > 0.5).any()
    means = [float(hu[0][mask].mean()) for hu, mask in zip(changed.hu, filled, strict=True) if mask.any()]
    assert min(means) < 40 and max(means) > 250


def test_without_a_heavy_share_tumours_stay_told(a_batch: Batch) -> None:
    assert Lesions(probability=1.0)(a_batch).labelled.all()


def test_bodies_become_as_small_as_wanted(sixty: Batch) -> None:
    (warp, *_) = augmentations_of(Settings(size=SIDE, smallest_scale=0.5))
    areas = (warp(sixty).labels > 0).sum((1, 2)) / (sixty.labels > 0).sum((1, 2))
    assert areas.min() < 0.5


def test_weak_enhancement_brings_bright_organs_near_unenhanced_ones(a_batch: Batch) -> None:
    plain = Enhancement(probability=1.0, factor=(0.2, 0.2))(a_batch)
    assert plain.hu[:, :, 45, 38].unique().item() == pytest.approx(40 + 0.2 * 70)
    assert plain.hu[:, :, 0, 0].unique().item() == 20


@pytest.mark.parametrize("change", [Intensity(), Blur(1.0), Noise(1.0, 10.0)])
def test_changes_of_intensity_leave_the_labels_alone(a_batch: Batch, change) -> None:
    changed = change(a_batch)
    assert torch.equal(changed.labels, a_batch.labels)
    assert not torch.equal(changed.hu, a_batch.hu)
    assert overlap(changed.hu - changed.hu.mean((1, 2, 3), keepdim=True) + 40, changed.labels) > 0.8


def test_a_mass_beside_the_liver_leaves_it_its_rim_and_the_labels_as_they_are(a_batch: Batch) -> None:
    in_air = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    in_air[:, 70:] = True
    batch = batch_of(a_batch.hu.masked_fill(in_air, AIR_HU), a_batch.labels)
    changed = Masses(1.0, radius_pixels=(20.0, 25.0))(batch)
    rim = torch.nn.functional.max_pool2d((batch.labels > 0)[:, None].float(), 5, stride=1, padding=2) > 0
    differs = changed.hu != batch.hu
    assert not (differs & rim).any() and not (differs & in_air).any()
    assert torch.equal(changed.labels, batch.labels)
    # Each slice shows some of it.
    assert differs.flatten(2).any(2).all()


def test_half_of_the_masses_are_nearly_as_bright_as_the_liver_and_the_others_as_asked_for(a_batch: Batch) -> None:
    batch = batch_of(a_batch.hu.repeat(20, 1, 1, 1), a_batch.labels.repeat(20, 1, 1))
    masses = Masses(
        1.0, radius_pixels=(12.0, 15.0), level_hu=(300.0, 310.0), beside_liver_hu=(-30.0, -20.0), grain_hu=1
    )
    changed = masses(batch)
    brightest = torch.where(changed.hu == batch.hu, AIR_HU, changed.hu).amax((1, 2, 3))
    beside = (brightest > 70) & (brightest < 95)  # 110 HU and 20 to 30 less
    anywhere = brightest > 290
    assert 0.3 < beside.float().mean() < 0.7 and 0.3 < anywhere.float().mean() < 0.7


def test_where_there_is_no_liver_masses_are_as_bright_as_asked_for(a_batch: Batch) -> None:
    batch = batch_of(torch.full_like(a_batch.hu, 20.0), torch.zeros_like(a_batch.labels))
    changed = Masses(1.0, radius_pixels=(12.0, 15.0), level_hu=(300.0, 310.0), grain_hu=1)(batch)
    assert changed.hu.amax((1, 2, 3)).tolist() == pytest.approx([305] * len(batch.hu), abs=12)


def test_other_organs_are_neither_liver_nor_safe_from_masses(a_batch: Batch) -> None:
    classes = Classes.read("neighbours.json")
    spleen = classes.names.index("spleen")
    batch = batch_of(a_batch.hu, a_batch.labels.masked_fill(a_batch.labels == 0, spleen), classes)
    assert torch.equal(batch.liver, a_batch.labels > 0)
    assert torch.equal(Lesions(1.0)(batch).labels == spleen, batch.labels == spleen)
    covered = Masses(1.0, radius_pixels=(20.0, 25.0))(batch)
    assert (covered.labels == 0).any() and torch.equal(covered.liver, batch.liver)


def test_project_e_flips_turns_and_blurs_and_does_no_more(a_batch: Batch) -> None:
    changed = augment(a_batch, project_e_augmentations(SIDE))
    assert overlap(changed.hu, changed.labels) > 0.95
    assert changed.hu.max() < a_batch.hu.max() + 0.01 and (changed.labels != a_batch.labels).any()


def test_streaks_come_from_a_piece_of_metal_outside_the_liver_and_fade_with_the_distance(a_batch: Batch) -> None:
    changed = Streaks(1.0, radius_pixels=(6.0, 6.0), reach_pixels=(10.0, 10.0))(a_batch)
    assert torch.equal(changed.labels, a_batch.labels)
    metal = changed.hu >= Streaks.metal_hu
    assert metal.any()
    assert not metal[(a_batch.labels > 0)[:, None].expand_as(metal)].any()
    # The corner farthest from any centre is more than four reaches away.
    corners = torch.stack([(changed.hu - a_batch.hu)[..., row, column].abs() for row in (0, -1) for column in (0, -1)])
    assert corners.amin(0).max() < 5 < (changed.hu - a_batch.hu).abs().max()


def test_few_samples_have_streaks(a_batch: Batch) -> None:
    assert Streaks(0.0)(a_batch) is a_batch
    changed = [(Streaks(0.3)(a_batch).hu != a_batch.hu).flatten(1).any(1).float().mean() for _ in range(50)]
    assert torch.stack(changed).mean() == pytest.approx(0.3, abs=0.1)


def test_clipping_keeps_to_its_limits(a_batch: Batch) -> None:
    hu = torch.linspace(-250, 260, SIDE).expand(6, 3, SIDE, SIDE)
    clipped = Clip(1.0, (-160.0, -40.0), (160.0, 240.0))(batch_of(hu, a_batch.labels)).hu
    assert (clipped.amin((1, 2, 3)) >= -160).all() and (clipped.amin((1, 2, 3)) <= -40).all()
    assert (clipped.amax((1, 2, 3)) >= 160).all() and (clipped.amax((1, 2, 3)) <= 240).all()


def test_nothing_is_labelled_outside_the_field_of_view(a_batch: Batch) -> None:
    narrow = FieldOfView(1.0, strip_pixels=60)(a_batch)
    hidden = narrow.hu[:, 0] == AIR_HU
    assert hidden.any()
    assert (narrow.labels[hidden] == 0).all()
    assert torch.equal(narrow.labels[~hidden], a_batch.labels[~hidden])


def test_the_input_of_an_augmentation_is_never_changed(a_batch: Batch) -> None:
    hu, labels = a_batch.hu.clone(), a_batch.labels.clone()
    augment(a_batch, augmentations_of(Settings(size=96)))
    assert torch.equal(a_batch.hu, hu)
    assert torch.equal(a_batch.labels, labels)


def test_a_seed_repeats_an_augmentation(a_batch: Batch) -> None:
    torch.manual_seed(3)
    first = augment(a_batch, augmentations_of(Settings(size=96)))
    torch.manual_seed(3)
    second = augment(a_batch, augmentations_of(Settings(size=96)))
    assert torch.equal(first.hu, second.hu)
    assert torch.equal(first.labels, second.labels)
