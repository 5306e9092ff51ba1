"""From prepared scans to a model file that the library accepts, on phantoms small enough for a test."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.metrics import dice
from LiverSegLib.model import LiverModel
from LiverSegLib.phantom import make_phantom
from LiverSegLib.volume import CTVolume
from Training.data.prepare import LabelledScan, read_catalogue, save_on_model_grid, tilt
from Training.data.sample import SliceSampler, load_scans
from Training.evaluation.plot import plot_training
from Training.export import export
from Training.fit import fit, warm_average
from Training.settings import Settings
from Training.spec import VALIDATION

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantoms to train on and one to validate on."""
    folder = tmp_path_factory.mktemp("prepared")
    for seed, split in enumerate(("train", "train", "validation"), start=2000):
        phantom = make_phantom(seed, shape=(20, 72, 72), spacing=(12.0, 5.0, 5.0))
        scan = LabelledScan(phantom.ct, phantom.labels, True)
        save_on_model_grid(scan, folder / f"{seed}.npz", split, "real")
    return folder


@pytest.fixture
def settings(prepared: Path, tmp_path: Path) -> Settings:
    return Settings(
        prepared=str(prepared),
        run=str(tmp_path / "run"),
        steps=4,
        batch=2,
        size=64,
        sampled_size=80,
        validate_every=2,
        save_every=2,
        accelerator="cpu",
    )


def test_a_prepared_scan_has_the_model_s_pixels_and_keeps_its_liver(prepared: Path) -> None:
    scan = load_scans(prepared, "validation", CPU)[0]
    phantom = make_phantom(2002, shape=(20, 72, 72), spacing=(12.0, 5.0, 5.0))
    assert scan.hu.shape == (20, 240, 240)
    before = (phantom.labels > 0).sum() * phantom.ct.voxel_volume_ml
    after = int((scan.labels > 0).sum()) * 1.5 * 1.5 * 12.0 / 1000
    assert after == pytest.approx(before, rel=0.02)


def test_a_tilted_scan_keeps_its_liver_on_its_voxels() -> None:
    phantom = make_phantom(3, shape=(30, 64, 64), spacing=(8.0, 5.5, 5.5))
    tilted = tilt(LabelledScan(phantom.ct, phantom.labels, True), np.random.default_rng(0))
    assert 5 <= tilted.ct.obliquity_degrees <= 20.001
    assert tilted.ct.hu[tilted.labels == 1].mean() == pytest.approx(phantom.ct.hu[phantom.labels == 1].mean(), abs=10)
    volumes = [
        (s.labels > 0).sum() * s.ct.voxel_volume_ml for s in (tilted, LabelledScan(phantom.ct, phantom.labels, True))
    ]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.1)


def test_a_batch_shows_slices_with_the_labels_of_their_centre(prepared: Path) -> None:
    scans = load_scans(prepared, "train", CPU)
    batch = SliceSampler(scans, 200, {"real": 1.0}, liver_share=1.0, seed=0).batch(6)
    assert batch.hu.shape == (6, 5, 200, 200)
    assert batch.labels.shape == (6, 200, 200)
    soft_tissue = (batch.hu[:, 2] > 20) & (batch.hu[:, 2] < 220)
    assert soft_tissue[batch.labels > 0].float().mean() > 0.9


def test_a_sampler_s_seed_repeats_its_batches(prepared: Path) -> None:
    scans = load_scans(prepared, "train", CPU)
    first, second = (SliceSampler(scans, 64, {"real": 1.0}, 0.5, seed=5).batch(4) for _ in range(2))
    assert torch.equal(first.hu, second.hu)


def test_a_kind_of_scan_is_drawn_by_its_share(prepared: Path, tmp_path: Path) -> None:
    for number, kind in enumerate(("real", "phantom")):
        phantom = make_phantom(2000, shape=(10, 40, 40), spacing=(24.0, 9.0, 9.0))
        save_on_model_grid(LabelledScan(phantom.ct, phantom.labels, True), tmp_path / f"{number}.npz", "train", kind)
    sampler = SliceSampler(load_scans(tmp_path, "train", CPU), 32, {"real": 0.9, "phantom": 0.1}, 0.5, seed=0)
    assert sampler.probability.tolist() == pytest.approx([0.9, 0.1])


def test_training_runs_logs_and_exports_a_model_that_loads(settings: Settings, tmp_path: Path) -> None:
    checkpoint = fit(settings)
    with (tmp_path / "run" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == [2, 4]
    assert all(np.isfinite(float(row["loss"])) for row in rows)

    export(checkpoint, tmp_path / "model.pt", "test", None)
    model = LiverModel.load(tmp_path / "model.pt")
    assert model.card.training["settings"]["seed"] == settings.seed
    assert model.card.training["steps_done"] == 4

    plot_training([tmp_path / "run" / "log.csv"], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000


def test_an_interrupted_run_goes_on_where_it_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0

    def interrupted_validation(*_: object) -> dict[str, float]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise KeyboardInterrupt
        return {"liver_dice": 0.0}

    monkeypatch.setattr("Training.fit.validate", interrupted_validation)
    with pytest.raises(KeyboardInterrupt):
        fit(settings)
    checkpoint = fit(settings)
    state = torch.load(checkpoint, weights_only=True)
    assert state["step"] == 4
    assert state["schedule"]["last_epoch"] == 4


def test_the_average_forgets_its_random_start_at_once_and_later_moves_slowly() -> None:
    average = [torch.zeros(1)]
    update = warm_average(0.999)
    update(average, [torch.ones(1)], 0)
    assert average[0] == pytest.approx(0.9)
    update(average, [torch.zeros(1)], 100_000)
    assert average[0] == pytest.approx(0.9 * 0.999)


def test_no_test_patient_is_a_validation_patient(shared_data: Path) -> None:
    splits = {entry["id"]: entry["split"] for entry in read_catalogue(shared_data)}
    assert all(splits[name] == "train" for name in VALIDATION)


def test_a_scan_read_for_training_lies_as_its_labels_do(shared_data: Path) -> None:
    from Training.data.prepare import read_scan

    entry = next(entry for entry in read_catalogue(shared_data) if entry["id"] == "lits_018")
    scan = read_scan(shared_data, entry)
    assert isinstance(scan.ct, CTVolume)
    assert scan.ct.hu.shape == scan.labels.shape == (106, 256, 256)
    volume_ml = (scan.labels > 0).sum() * scan.ct.voxel_volume_ml
    assert volume_ml == pytest.approx(entry["liver_ml"], rel=0.01)
    assert dice(scan.labels > 0, (scan.labels > 0) & (scan.ct.hu > -100)) > 0.99
