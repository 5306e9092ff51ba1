"""Samples are what they say: slices by their shares, neighbours where they lie, labels of the network's classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.phantom import make_phantom
from Testing.training.phantoms import (
    LIVER,
    a_phantom_scan,
    drawn,
    even_scan,
    held,
    prepare_phantoms,
    short_run,
    write_data,
)
from Training.data.catalogue import LabelledScan
from Training.data.classes import Classes
from Training.data.prepare import prepare, tilt
from Training.data.sample import SliceSampler, endless_batches, load_scans, random_offsets, scan_probability
from Training.data.stored import PreparedScan, store

NEIGHBOURS = Classes.read("neighbours.json")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_phantoms(tmp_path_factory.mktemp("prepared"))


def test_a_prepared_scan_has_the_model_s_pixels_and_keeps_its_liver(prepared: Path) -> None:
    scan, phantom = PreparedScan.open(prepared / "ircad_e01", LIVER, 2.5), a_phantom_scan(2000)
    assert scan.shape == (12, 144, 144)
    before = phantom.liver.sum() * phantom.ct.voxel_volume_ml
    assert int((scan.labels(0, 12) > 0).sum()) * 2.5 * 2.5 * 20 / 1000 == pytest.approx(before, rel=0.02)
    with pytest.raises(ValueError, match=r"has pixels of 2.5 mm, not 1.5"):
        PreparedScan.open(prepared / "ircad_e01", LIVER, 1.5)


def test_all_but_the_test_patients_are_prepared_once(tmp_path: Path) -> None:
    data = write_data(tmp_path / "data", "ircad_e01", "ircad_e19")
    made = []
    for _ in range(2):
        prepare(data, tmp_path / "prepared", ["train"], 7.5, phantoms=0, fluid_copies=1)
        made.append({path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("prepared/*/scan.json")})
    assert made[0] == made[1], "what is there is left as it is"
    names = ("ircad_e01", "ircad_e01_fluid0", "ircad_e01_tilted")
    assert sorted(made[0]) == list(names)
    scans = {name: PreparedScan.open(tmp_path / "prepared" / name, LIVER, 7.5) for name in names}
    assert [scan.kind for scan in scans.values()] == ["real", "fluid", "tilted"]
    regions = scans["ircad_e01_fluid0"].regions(0, 12)
    assert regions.any() and not scans["ircad_e01_fluid0"].labels(0, 12)[regions > 0].any()


def test_a_tilted_scan_keeps_its_liver_on_its_voxels() -> None:
    phantom = make_phantom(3, shape=(30, 64, 64), spacing=(8.0, 5.5, 5.5))
    scan = LabelledScan(phantom.ct, phantom.labels)
    tilted = tilt(scan, np.random.default_rng(0))
    assert 5 <= tilted.ct.geometry.obliquity_degrees <= 20.001
    parenchyma = [one.ct.hu[one.labels == 1].mean() for one in (tilted, scan)]
    assert parenchyma[0] == pytest.approx(parenchyma[1], abs=10)
    volumes = [one.liver.sum() * one.ct.voxel_volume_ml for one in (tilted, scan)]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.1)


def test_the_held_back_do_not_train_and_no_test_patient_does_either(prepared: Path, tmp_path: Path) -> None:
    training, held_out = load_scans(short_run(prepared, tmp_path), LIVER)
    assert [scan.name for scan in training] == ["ircad_e01", "phantom_000"]
    assert [scan.name for scan in held_out] == ["ircad_e10"]
    store(a_phantom_scan(), tmp_path / "ircad_e19", "real", 2.5)
    settings = short_run(tmp_path, tmp_path)
    settings.held_out = ()
    with pytest.raises(FileNotFoundError, match="no scans to train on"):
        load_scans(settings, LIVER)


def test_labels_are_those_of_the_network_s_classes(tmp_path: Path) -> None:
    scan = a_phantom_scan()
    labels = scan.labels.copy()
    labels[0, :20, :20] = 3
    store(LabelledScan(scan.ct, labels, (*scan.names, "spleen"), ("liver", "spleen")), tmp_path / "a", "real", 7.5)
    with_spleen, without = (PreparedScan.open(tmp_path / "a", classes, 7.5) for classes in (NEIGHBOURS, LIVER))
    assert (with_spleen.labels(0, 1) == NEIGHBOURS.names.index("spleen")).sum() == 400
    assert not without.labels(0, 1).any(), "a network that knows no spleen takes it for background"
    assert with_spleen.labelled.count(True) == 2 and without.labelled == (True, False)


def test_a_batch_shows_slices_with_the_labels_of_their_centre(prepared: Path, tmp_path: Path) -> None:
    settings = short_run(prepared, tmp_path)
    training, _ = load_scans(settings, LIVER)
    batches = [next(endless_batches(SliceSampler(training, LIVER, settings, 4, 0), workers)) for workers in (0, 1)]
    assert torch.equal(batches[0].hu, batches[1].hu), "whether this process draws it or another"
    assert batches[0].hu.shape == (4, 5, 40, 40) and batches[0].labels.shape == (4, 40, 40)
    shown = drawn(training[:1], 12, 120)
    soft_tissue = (shown.hu[:, 0] > 20) & (shown.hu[:, 0] < 220)
    assert soft_tissue[shown.labels > 0].float().mean() > 0.9


def test_a_kind_of_scan_is_drawn_by_its_share() -> None:
    scans = [even_scan("real"), even_scan("slices")]
    assert scan_probability(scans, {"real": 0.9, "slices": 0.1}).tolist() == pytest.approx([0.9, 0.1])


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_ends_and_tumours_are_drawn_by_their_shares(share: float) -> None:
    labels = np.zeros((60, 32, 32), np.uint8)
    labels[10:50] = 1
    labels[30] = 2
    where = np.broadcast_to(np.arange(60)[:, None, None], labels.shape)
    scan = held(where, labels, slice_spacing=5.0)
    positions = drawn([scan], 400, 32, end_share=share).hu.amax((1, 2, 3))
    ends = ((positions - 10).abs() <= 3) | ((positions - 49).abs() <= 3)
    assert float(ends.float().mean()) == pytest.approx(share + (1 - share) * 8 / 40, abs=0.08)
    positions = drawn([scan], 400, 32, tumour_share=share).hu.amax((1, 2, 3))
    assert float((positions == 30).float().mean()) == pytest.approx(share + (1 - share) / 40, abs=0.08)


def test_missing_neighbours_are_the_outermost_slice_again() -> None:
    rng, offsets = np.random.default_rng(0), (-6.0, -3.0, 0.0, 3.0, 6.0)
    ends = np.array([random_offsets(offsets, 1.0, rng) for _ in range(200)])
    assert (ends[:, 2] == 0).all() and (np.diff(ends, axis=1) >= 0).all()
    alone = (ends == 0).all(axis=1)
    assert 0.1 < alone.mean() < 0.3, "as a single slice"
    assert (ends[:, 0] == ends[:, 1]).any() and (ends[:, 3] == ends[:, 4]).any()
    whole = np.array([random_offsets(offsets, 0.0, rng) for _ in range(200)])
    assert (np.diff(whole, axis=1) > 2).all()


def test_single_slices_have_themselves_for_neighbours() -> None:
    labels = np.ones((4, 32, 32), np.uint8)
    hu = np.arange(4)[:, None, None] * 50 + labels
    batch = drawn([held(hu, labels, slice_spacing=1e6)], 8, 32, offsets_mm=(-6.0, 0.0, 6.0))
    assert torch.allclose(batch.hu[:, :1].expand_as(batch.hu), batch.hu, atol=0.01)
