"""The networks of the Couinaud segments: samples, loss, and a short run from files to a model that loads."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.liver_grid import CoarseScan
from LiverSegLib.io.files import write_ct, write_labels
from LiverSegLib.model.couinaud_model import CouinaudModel
from Training.checkpoint import averaged_weights, read_checkpoint
from Training.couinaud.evaluate import evaluate, share, summary
from Training.couinaud.export import model_of
from Training.couinaud.fit import fit, loss_of
from Training.couinaud.fit_slices import fit as fit_slices
from Training.couinaud.fit_slices import single_slices
from Training.couinaud.join import join
from Training.couinaud.prepare import prepare, read_prepared
from Training.couinaud.recipe import make
from Training.couinaud.sample import LiverSampler
from Training.couinaud.sample_slices import SLICE_SHAPE, SliceSampler
from Training.couinaud.settings import SHAPE, Settings, SliceSettings
from Training.recipe import OTHERS
from Training.recipe import main as recipe

# The second is held back in fold0of2; the last never trains.
SCANS = ("ircad_e01", "ircad_e02", "ircad_e19")
# Single slices; one is of the person of a whole scan.
SINGLE = ("lits_051_z010", "lits_051_z020", "ircad_e02_z010")
CALM = {"cut_probability": 0.0, "resection_probability": 0.0, "rough_probability": 0.0}


def a_liver(seed: int = 0) -> tuple[CTVolume, np.ndarray]:
    """A ball of 1.1 l in air, cut into eight octants as if they were the segments."""
    k, j, i = np.indices((36, 40, 44))
    centre = np.array((18, 20, 22)) + np.random.default_rng(seed).integers(-2, 3, 3)
    ball = (k - centre[0]) ** 2 + (j - centre[1]) ** 2 + (i - centre[2]) ** 2 < 13**2
    octant = 1 + (k > centre[0]) + 2 * (j > centre[1]) + 4 * (i > centre[2])
    hu = np.where(ball, 100, -1000).astype(np.int16)
    return CTVolume(hu, np.diag((-5.0, -5.0, 5.0, 1.0)), "ball"), (ball * octant).astype(np.uint8)


def a_coarse_liver(seed: int = 0) -> CoarseScan:
    ct, segments = a_liver(seed)
    return CoarseScan.of(ct.hu, segments, ct.geometry)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data with these scans, single slices and their segments."""
    for folder in ("train", "anatomy", "more", "slices"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate(SCANS):
        ct, segments = a_liver(seed)
        write_ct(tmp_path / "train" / f"{name}_ct.nii.gz", ct)
        write_labels(tmp_path / "anatomy" / f"{name}_couinaud.nii.gz", segments, ct.affine)
    (tmp_path / "train" / "catalogue.json").write_text(json.dumps([{"id": name} for name in (*SCANS, "ircad_e12")]))
    (tmp_path / "more" / "catalogue.json").write_text("[]")
    for seed, name in enumerate(SINGLE):
        ct, segments = a_liver(seed)
        thin = ct.affine @ np.diag((1.0, 1.0, 0.2, 1.0))
        write_ct(tmp_path / "slices" / f"{name}_ct.nii.gz", CTVolume(ct.hu[20:21], thin))
        write_labels(tmp_path / "slices" / f"{name}_couinaud.nii.gz", segments[20:21], thin)
    (tmp_path / "slices" / "catalogue.json").write_text(json.dumps([{"id": name} for name in SINGLE]))
    return tmp_path


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> Settings:
    """Two steps of a tiny network."""
    return Settings(
        prepared=str(tmp_path / "prepared"), run=str(tmp_path / "run"), base_width=8, depth=2, steps=2, save_every=1
    )


@pytest.fixture
def slice_settings(settings: Settings) -> SliceSettings:
    """The same for the network of slices."""
    run = f"{settings.run}/slices"
    return SliceSettings(prepared=settings.prepared, run=run, base_width=8, depth=2, steps=2, save_every=1)


def test_scans_with_segments_are_prepared_but_those_that_never_train(data: Path, settings: Settings) -> None:
    prepare(data, Path(settings.prepared))
    files = sorted(Path(settings.prepared).glob("*.npz"))
    assert [path.stem for path in files] == ["ircad_e01", "ircad_e02"]
    assert set(np.unique(read_prepared(files[0]).labels)) == set(range(9))
    single = sorted((Path(settings.prepared) / "slices").glob("*"))
    assert [path.stem for path in single] == sorted(SINGLE)
    for path in single:
        one = read_prepared(path)
        assert one.hu.shape == one.labels.shape and len(one.labels) == 1 and one.labels.any()


def test_the_recipe_ends_with_networks_that_the_library_accepts(data: Path, settings: Settings) -> None:
    options = [f"--{name}={getattr(settings, name)}" for name in ("prepared", "run", "depth", "steps")]
    weights = make(data, [*options, "--base-width=8", "--save-every=1"])
    model = CouinaudModel.load(weights)
    assert model.card.shape == SHAPE
    assert model.card.widths == model.card.slice_widths == (8, 16)
    assert model.card.training_data[0]["patients"] == "2; never trained on: ircad_e19, ircad_e20"
    assert model.card.training_data[1]["patients"] == "1"
    for part in ("volume", "slices"):
        with (weights.parent / part / "log.csv").open() as file:
            assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]
    record = json.loads(weights.with_suffix(".training.json").read_text())
    assert {record["settings"][part]["steps"] for part in ("volume", "slices")} == {2}
    assert set(SINGLE) < set(record["trained_on"])


def test_make_train_knows_the_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(OTHERS, "couinaud", lambda data, options: f"made with {options}")
    recipe(["couinaud", "--steps=3"])
    assert capsys.readouterr().out == "made with ['--steps=3']\n"


def test_a_stopped_run_goes_on_and_other_settings_are_refused(data: Path, settings: Settings) -> None:
    prepare(data, Path(settings.prepared))
    fit(settings)
    with pytest.raises(ValueError, match="has steps 2, not 4"):
        fit(replace(settings, steps=4))
    checkpoint = Path(settings.run) / "last.ckpt"
    state = read_checkpoint(checkpoint)
    state["step"] = 1
    torch.save(state, checkpoint)
    assert read_checkpoint(fit(replace(settings, save_every=2)))["step"] == 2


def test_persons_held_back_do_not_train_and_are_measured(
    data: Path, settings: Settings, slice_settings: SliceSettings, tmp_path: Path
) -> None:
    prepare(data, Path(settings.prepared))
    of_volume = fit(replace(settings, held_out="fold1of2"))
    of_slices = fit_slices(replace(slice_settings, held_out="fold1of2"))
    held_back = join(of_volume, of_slices, tmp_path / "joined.ckpt")
    # The single slice of the second scan's person stays away as well.
    assert read_checkpoint(held_back)["trained_on"] == ["ircad_e01", "lits_051_z010", "lits_051_z020"]
    results = evaluate([held_back], data)
    assert [row["scan"] for row in results["scans"]] == ["ircad_e02"]
    assert 0 <= results["summary"]["dice"] <= 1
    assert evaluate([held_back], data, ["ircad_e19"])["scans"][0]["scan"] == "ircad_e19"
    with pytest.raises(ValueError, match="has trained on the persons of ircad_e01"):
        evaluate([held_back], data, ["ircad_e01"])
    all_see = fit(replace(settings, run=str(tmp_path / "all")))
    with pytest.raises(ValueError, match="hold back different scans"):
        join(all_see, of_slices, tmp_path / "other.ckpt")


def test_joined_networks_are_those_that_trained(
    data: Path, settings: Settings, slice_settings: SliceSettings, tmp_path: Path
) -> None:
    prepare(data, Path(settings.prepared))
    volume, slices = fit(settings), fit_slices(slice_settings)
    joined = model_of(read_checkpoint(join(volume, slices, tmp_path / "joined.ckpt"))).network
    for part, checkpoint in ((joined.volume, volume), (joined.slices, slices)):
        for name, value in averaged_weights(read_checkpoint(checkpoint)).items():
            assert torch.equal(part.state_dict()[name], value), name
    assert not joined.training


def test_samples_keep_left_and_right_above_and_below(settings: Settings) -> None:
    batch = LiverSampler({"ircad_e01": a_coarse_liver()}, replace(settings, batch=6, **CALM), seed=0).draw()
    assert batch.hu.shape == batch.liver.shape == batch.segments.shape == (6, *SHAPE)
    for liver, segments in zip(batch.liver, batch.segments, strict=True):
        assert ((segments > 0) == (liver > 0.5)).float().mean() > 0.98
        for axis, bit in ((0, 1), (1, 2), (2, 4)):
            places = torch.arange(SHAPE[axis]).view([-1 if other == axis else 1 for other in range(3)])
            upper = ((segments - 1) & bit > 0) & (segments > 0)
            lower = ((segments - 1) & bit == 0) & (segments > 0)
            places = places.expand(SHAPE).float()
            assert places[upper].mean() > places[lower].mean() + 3


def test_the_same_seed_draws_the_same_samples(settings: Settings) -> None:
    def draw(seed: int) -> torch.Tensor:
        return LiverSampler({"ircad_e01": a_coarse_liver()}, settings, seed).draw().hu

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_cut_livers_and_resections_leave_no_label_outside_of_the_liver(settings: Settings) -> None:
    torn = replace(settings, batch=8, cut_probability=1.0, resection_probability=1.0, rough_probability=0.0)
    batch = LiverSampler({"ircad_e01": a_coarse_liver()}, torn, seed=0).draw()
    present = [len(segments.unique()) - 1 for segments in batch.segments]
    assert min(present) < 8
    assert ((batch.segments > 0) & (batch.liver < 0.2)).float().mean() < 0.001


def test_slices_keep_left_and_right_and_say_their_height_where_it_is_known(slice_settings: SliceSettings) -> None:
    calm = replace(slice_settings, batch=24, single_share=0.0, resection_probability=0.0, rough_probability=0.0)
    batch = SliceSampler({"ircad_e01": a_coarse_liver()}, {}, calm, seed=0).draw()
    assert batch.hu.shape == batch.liver.shape == batch.segments.shape == (24, *SLICE_SHAPE[1:])
    assert ((batch.segments > 0) == (batch.liver > 0.5)).float().mean() > 0.98
    for segments in batch.segments:
        for axis, bit in ((0, 2), (1, 4)):
            places = torch.arange(SLICE_SHAPE[axis + 1]).view((-1, 1) if axis == 0 else (1, -1)).expand_as(segments)
            upper = ((segments - 1) & bit > 0) & (segments > 0)
            lower = ((segments - 1) & bit == 0) & (segments > 0)
            assert places[upper].float().mean() > places[lower].float().mean()
    known = ~batch.heights.isnan()
    assert 4 < known.sum() < 20
    # Odd segments lie below the middle.
    above = torch.tensor([int(segments.max()) % 2 == 0 for segments in batch.segments])
    assert batch.heights[known & above].mean() > 0.2 > -0.2 > batch.heights[known & ~above].mean()


def test_the_height_of_a_single_slice_is_not_told(data: Path, slice_settings: SliceSettings) -> None:
    prepare(data, Path(slice_settings.prepared))
    alone = replace(slice_settings, batch=6, single_share=1.0)
    single = single_slices(alone)
    batch = SliceSampler({"ircad_e01": a_coarse_liver()}, single, alone, seed=0).draw()
    assert batch.heights.isnan().all()
    assert all((segments > 0).any() for segments in batch.segments)


def test_the_same_seed_draws_the_same_slices(slice_settings: SliceSettings) -> None:
    def draw(seed: int) -> torch.Tensor:
        return SliceSampler({"ircad_e01": a_coarse_liver()}, {}, slice_settings, seed).draw().hu

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_the_loss_asks_nothing_about_what_is_outside_the_liver() -> None:
    segments = torch.zeros(1, 4, 4, 4, dtype=torch.long)
    segments[:, :2] = 3
    segments[:, 2] = 8
    logits = torch.nn.functional.one_hot((segments - 1).clamp(min=0), 8).permute(0, 4, 1, 2, 3) * 20.0
    right = loss_of(logits, segments)
    logits[:, :, 3] = torch.randn(8, 4, 4)
    assert right.item() == pytest.approx(loss_of(logits, segments).item())
    assert right < 0.01
    logits[:, :, 0] = logits[:, :, 0].roll(1, dims=1)
    assert loss_of(logits, segments) > 1


def test_a_summary_counts_each_person_once() -> None:
    def row(scan: str, dice: float, error: float) -> dict:
        segments = {f"dice_{segment}": dice for segment in range(1, 9)}
        return {"scan": scan, **segments, "dice": dice, "right_error_percent": error, "left_error_percent": 0.0}

    means = summary([row("lits_006", 0.8, 1.0), row("lits_007", 0.6, -6.0), row("ircad_e01", 0.9, 5.0)])
    assert (means["scans"], means["persons"]) == (3, 2)
    assert means["dice"] == pytest.approx(0.7667, abs=1e-4) and means["dice_of_persons"] == pytest.approx(0.8)
    assert means["worst_dice"] == 0.6 and means["within_5_percent"] == pytest.approx(0.667)


def test_the_share_of_some_segments_is_of_the_liver() -> None:
    segments = np.array([0, 0, 5, 5, 6, 2], np.uint8)
    assert share(segments, (5, 6)) == 75.0


def test_coarse_scans_keep_their_place_in_the_patient() -> None:
    ct, segments = a_liver()
    fine = Geometry((72, 80, 88), ct.affine @ np.diag((0.25, 0.25, 0.25, 1.0)))
    doubled = segments.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    coarse = CoarseScan.of(np.where(doubled > 0, 100, 0).astype(np.int16), doubled, fine)
    expected = np.argwhere(doubled)[:, ::-1].mean(axis=0) @ fine.affine[:3, :3].T
    assert np.allclose(coarse.liver_mm().mean(axis=0), expected, atol=1.0)
    assert max(coarse.geometry.spacing) < 4
