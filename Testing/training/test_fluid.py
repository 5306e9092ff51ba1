"""Fluid in chest and abdomen: drawn where there was air, fat or the rim of the liver, and labelled as what it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.phantom import make_phantom
from Testing.training.phantoms import LIVER, drawn
from Training.data.catalogue import LabelledScan
from Training.data.fluid import (
    CONSOLIDATION,
    CONTENTS,
    FLUID,
    LEVELS_HU,
    bowel_contents,
    draw_regions,
    fill_regions,
    find_air,
    find_lungs,
    low_part,
)
from Training.data.stored import PreparedScan, store

SEEDS = range(12)


@pytest.fixture(scope="module")
def scan() -> tuple[CTVolume, np.ndarray]:
    """A phantom with its lungs in view, as an axial stack."""
    phantom = make_phantom(0, shape=(50, 100, 110), spacing=(4.0, 3.4, 3.4))
    return phantom.ct.canonical(), replace(phantom.ct, hu=phantom.labels).canonical().hu


def test_lungs_are_air_inside_the_body_on_both_sides_above_the_liver(scan) -> None:
    ct, labels = scan
    lungs = find_lungs(ct)
    k, j, i = np.nonzero(lungs)
    assert np.median(ct.hu[lungs]) < -500
    assert k.mean() > np.nonzero(labels)[0].mean()
    assert i.min() < ct.hu.shape[2] // 2 < i.max()
    assert j.min() > 0 and j.max() < ct.hu.shape[1] - 1, "the air round the body is none"


def test_gas_far_to_the_front_is_bowel_however_much_it_is(scan) -> None:
    hu = np.full((20, 60, 60), -1000, np.int16)
    hu[:, 10:50, 10:50] = 40
    hu[2:8, 20:28, 20:40] = -900
    hu[10:18, 20:40, 20:40] = -800
    air = find_air(CTVolume(hu, np.diag((4.0, 4.0, 4.0, 1.0))))
    assert (hu[air.bowel] == -900).all() and air.bowel[2:8].any()
    assert (hu[air.lungs] == -800).all() and air.lungs[10:18].any()


def test_a_full_bowel_holds_its_gas_what_is_between_and_when_distended_fat_around_it() -> None:
    hu = np.full((20, 60, 60), -80, np.int16)
    hu[:, 40:] = 40
    ct, bowel = CTVolume(hu, np.diag((2.0, 2.0, 2.0, 1.0))), np.zeros(hu.shape, bool)
    bowel[8:12, 20:24, 20:24] = bowel[8:12, 20:24, 28:32] = bowel[8:12, 36:40, 20:24] = True
    full = bowel_contents(ct, bowel)
    assert full[8:12, 20:24, 20:32].all() and not full[:, 26:34].any(), "gaps of 8 mm close, wider ones do not"
    distended = bowel_contents(ct, bowel, 6.0)
    assert distended[10, 20:27, 21].all() and not distended[10, 28:33, 21].any(), "by 6 mm"
    assert not (distended & (hu > 0)).any(), "tissue stays"


@pytest.mark.parametrize("hu", [np.full((4, 20, 20), 40, np.int16), np.full((4, 20, 20), -1000, np.int16)])
def test_tissue_alone_or_air_alone_has_no_lungs(hu: np.ndarray) -> None:
    assert not find_lungs(CTVolume(hu, np.eye(4))).any()


@pytest.mark.parametrize("share", (0.1, 0.5, 1.0))
def test_the_lowest_share_lies_at_the_back_or_towards_the_feet(scan, share: float) -> None:
    ct, _ = scan
    lungs = find_lungs(ct)
    back, feet = (low_part(lungs, ct, share, towards_feet) for towards_feet in (0.0, 1.0))
    for low in (back, feet):
        assert low.sum() / lungs.sum() >= share and not (low & ~lungs).any()
    if share < 1:
        assert np.nonzero(back)[1].min() >= np.nonzero(lungs & ~back)[1].max(), "rows run to the back"
        assert np.nonzero(feet)[0].max() <= np.nonzero(lungs & ~feet)[0].min(), "slices run to the head"


@pytest.mark.parametrize("seed", SEEDS)
def test_every_copy_has_something_and_no_liver_in_it(scan, seed: int) -> None:
    ct, labels = scan
    regions, left = draw_regions(ct, labels, find_air(ct), np.random.default_rng(seed))
    assert (regions > 0).any() and set(np.unique(regions)) <= {0, FLUID, CONSOLIDATION, CONTENTS}
    assert not left[regions > 0].any()
    assert np.array_equal(left[left > 0], labels[left > 0]), "what is left keeps its label"
    assert (regions[(labels > 0) & (left == 0)] > 0).all(), "what is gone is filled"


def test_copies_differ_and_their_input_stays(scan) -> None:
    ct, labels = scan
    before = labels.copy()
    drawn = [draw_regions(ct, labels, find_air(ct), np.random.default_rng(seed))[0] for seed in SEEDS]
    assert len({regions.tobytes() for regions in drawn}) == len(SEEDS)
    assert {int(region) for regions in drawn for region in np.unique(regions)} == {0, FLUID, CONSOLIDATION, CONTENTS}
    assert np.array_equal(labels, before)


def test_a_clipped_scan_gets_a_shell_of_fluid_only(scan) -> None:
    ct, labels = scan
    clipped = replace(ct, hu=np.clip(ct.hu, -40, 160))
    for seed in SEEDS:
        regions, left = draw_regions(clipped, labels, find_air(clipped), np.random.default_rng(seed))
        assert np.array_equal(regions > 0, (labels > 0) & (left == 0))


@pytest.mark.parametrize("region", LEVELS_HU)
def test_a_region_is_filled_with_its_brightness_and_the_rest_stays(region: int) -> None:
    hu, regions = torch.full((3, 30, 30), -800.0), torch.zeros(3, 30, 30, dtype=torch.uint8)
    regions[:, 10:20, 10:20] = region
    for seed in SEEDS:
        filled = fill_regions(hu, regions, np.random.default_rng(seed))
        low, high = LEVELS_HU[region]
        assert low - 5 <= filled[:, 11:19, 11:19].mean() <= high + 5
        assert torch.equal(filled[:, :8], hu[:, :8])
    assert torch.equal(fill_regions(hu, torch.zeros_like(regions), np.random.default_rng(0)), hu)


def test_prepared_copies_are_filled_anew_for_every_sample(scan, tmp_path: Path) -> None:
    ct, labels = scan
    regions, left = draw_regions(ct, labels, find_air(ct), np.random.default_rng(0))
    store(LabelledScan(ct, left), tmp_path / "ircad_e01_fluid0", "fluid", 3.4, regions)
    copy = PreparedScan.open(tmp_path / "ircad_e01_fluid0", LIVER, 3.4)
    samples = drawn([copy], 16, 96)
    arrays = {name: values for name, values in copy.arrays.items() if name != "regions"}
    plain = drawn([replace(copy, arrays=arrays)], 16, 96)
    assert not torch.equal(samples.hu, plain.hu)
