"""The network of the vessels: its samples, its loss, its measures, and a short run from files to a model that loads."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io.files import write_ct, write_labels
from LiverSegLib.model.unet import UNet
from LiverSegLib.model.vessel_model import VesselModel
from Training.checkpoint import read_checkpoint
from Training.recipe import OTHERS
from Training.recipe import main as recipe
from Training.vessels.evaluate import centreline_measures, evaluate
from Training.vessels.fit import fit, loss_of, rate_at, take_over
from Training.vessels.prepare import LIVER, VESSEL, PreparedLiver, prepare, read_prepared
from Training.vessels.recipe import make
from Training.vessels.sample import VesselSampler
from Training.vessels.settings import OFFSETS_MM, SPACING_MM, Settings
from Training.vessels.skeleton import skeleton

# The second is held back in fold1of2; the last never trains.
SCANS = ("ircad_e01", "ircad_e02", "ircad_e19")
TINY = {"base_width": 8, "depth": 2, "patch": 2, "size": 48, "sampled_size": 64, "start_from": ""}


def a_liver(seed: int = 0) -> tuple[CTVolume, np.ndarray, np.ndarray]:
    """A ball of liver in fat, crossed by a bright vessel, and the masks of both; the vessel goes on outside."""
    k, j, i = np.ogrid[:20, :60, :64]
    ball = (2 * (k - 10)) ** 2 + (j - 30) ** 2 + (i - 32) ** 2 < 18**2
    tube = np.broadcast_to((j - 30 - seed) ** 2 + (i - 34) ** 2 < 9, ball.shape)
    hu = np.where(tube, 160, np.where(ball, 100, -80)).astype(np.int16)
    return CTVolume(hu, np.diag((-2.0, -2.0, 4.0, 1.0)), "ball"), ball.astype(np.uint8), tube.astype(np.uint8)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder of data with these scans, and one more without vessels."""
    for folder in ("train", "anatomy"):
        (tmp_path / folder).mkdir()
    for seed, name in enumerate(SCANS):
        ct, liver, vessels = a_liver(seed)
        write_ct(tmp_path / "train" / f"{name}_ct.nii.gz", ct)
        write_labels(tmp_path / "train" / f"{name}_liver.nii.gz", liver, ct.affine)
        write_labels(tmp_path / "anatomy" / f"{name}_vessels.nii.gz", vessels, ct.affine)
    (tmp_path / "train" / "catalogue.json").write_text(json.dumps([{"id": name} for name in (*SCANS, "ircad_e12")]))
    return tmp_path


@pytest.fixture
def settings(data: Path, tmp_path: Path) -> Settings:
    """Two steps of a tiny network."""
    places = {"prepared": str(tmp_path / "prepared"), "run": str(tmp_path / "run")}
    return Settings(**places, **TINY, steps=2, batch=2, save_every=1)


@pytest.fixture
def prepared(data: Path, settings: Settings) -> dict[str, PreparedLiver]:
    prepare(data, Path(settings.prepared))
    return {path.stem: read_prepared(path) for path in sorted(Path(settings.prepared).glob("*"))}


def test_scans_with_vessels_are_prepared_but_those_that_never_train(prepared: dict[str, PreparedLiver]) -> None:
    assert list(prepared) == ["ircad_e01", "ircad_e02"]
    scan = prepared["ircad_e01"]
    _, liver, vessels = a_liver()
    pixel_ml, voxel_ml = SPACING_MM**2 * 4 / 1000, 2 * 2 * 4 / 1000
    assert scan.liver_hu == 100 and scan.slice_spacing == 4
    assert (scan.labels > 0).sum() * pixel_ml == pytest.approx(liver.sum() * voxel_ml, rel=0.05)
    inside = np.count_nonzero(liver & vessels)
    assert (scan.labels == VESSEL).sum() * pixel_ml == pytest.approx(inside * voxel_ml, rel=0.15)


def test_a_run_learns_and_ends_as_a_model_that_the_library_accepts(data: Path, settings: Settings) -> None:
    model = VesselModel.load(
        make(data, [f"--{name.replace('_', '-')}={value}" for name, value in vars(settings).items()])
    )
    assert model.card.widths == (8, 16) and model.card.offsets_mm == OFFSETS_MM
    assert model.card.training_data[0]["patients"] == "2; never trained on: ircad_e19, ircad_e20"
    with (Path(settings.run) / "log.csv").open() as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2"]


def test_make_train_knows_the_network(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(OTHERS, "vessels", lambda data, options: f"made with {options}")
    recipe(["vessels", "--steps=3"])
    assert capsys.readouterr().out == "made with ['--steps=3']\n"


def test_a_stopped_run_goes_on_and_other_settings_are_refused(prepared, settings: Settings) -> None:
    fit(settings)
    with pytest.raises(ValueError, match="has steps 2, not 4"):
        fit(replace(settings, steps=4))
    checkpoint = Path(settings.run) / "last.ckpt"
    state = read_checkpoint(checkpoint)
    state["step"] = 1
    torch.save(state, checkpoint)
    assert read_checkpoint(fit(replace(settings, save_every=2)))["step"] == 2


def test_persons_held_back_do_not_train_and_are_measured(data: Path, prepared, settings: Settings) -> None:
    held_back = fit(replace(settings, held_out="fold1of2"))
    assert read_checkpoint(held_back)["trained_on"] == ["ircad_e01"]
    results = evaluate([held_back], data)
    assert [row["scan"] for row in results["scans"]] == ["ircad_e02"]
    assert 0 <= results["summary"]["dice"] <= 1 and 0 <= results["summary"]["cl_dice"] <= 1
    with pytest.raises(ValueError, match="has trained on the persons of ircad_e01"):
        evaluate([held_back], data, ["ircad_e01"])


def test_samples_show_a_vessel_where_its_label_is(prepared, settings: Settings) -> None:
    batch = VesselSampler(prepared, replace(settings, batch=8, contrast_probability=0.0), seed=0).draw()
    assert batch.hu.shape == (8, len(OFFSETS_MM), 48, 48) and batch.labels.shape == (8, 48, 48)
    middle = batch.hu[:, OFFSETS_MM.index(0.0)]
    assert middle[batch.labels == VESSEL].mean() - middle[batch.labels == LIVER].mean() > 30


def test_some_samples_have_vessels_that_are_darker_than_the_liver(prepared, settings: Settings) -> None:
    torch.manual_seed(0)
    batch = VesselSampler(prepared, replace(settings, batch=40, contrast_probability=1.0), seed=0).draw()
    middle = batch.hu[:, OFFSETS_MM.index(0.0)]
    differences = [
        (hu[labels == VESSEL].mean() - hu[labels == LIVER].mean()).item()
        for hu, labels in zip(middle, batch.labels, strict=True)
        if (labels == VESSEL).sum() > 8
    ]
    assert min(differences) < -10 and max(differences) > 40


def test_the_same_seed_draws_the_same_samples(prepared, settings: Settings) -> None:
    def draw(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return VesselSampler(prepared, settings, seed).draw().hu

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


def test_the_loss_asks_nothing_about_what_is_outside_the_liver() -> None:
    labels = torch.zeros(1, 8, 8, dtype=torch.uint8)
    labels[:, :4] = LIVER
    labels[:, 1] = VESSEL
    logits = torch.where(labels == VESSEL, 20.0, -20.0)
    right = loss_of(logits, labels)
    logits[:, 4:] = 20.0
    assert loss_of(logits, labels) == right and right < 0.01
    assert loss_of(-logits, labels) > 1


def test_layers_that_fit_come_from_a_deeper_network_level_by_level() -> None:
    torch.manual_seed(0)
    deep, shallow = UNet(5, 3, (8, 16, 16, 16), patch=2), UNet(5, 1, (8, 16, 16), patch=2)
    head = shallow.head.weight.clone()
    take_over(shallow, deep.state_dict())
    assert torch.equal(shallow.stem[0].weight, deep.stem[0].weight)
    assert torch.equal(shallow.down[1][3].weight, deep.down[1][3].weight)
    # Both count the way up from the bottom.
    assert torch.equal(shallow.up[1].weight, deep.up[2].weight) and torch.equal(shallow.up[0].weight, deep.up[1].weight)
    assert torch.equal(shallow.merge[1][0].weight, deep.merge[2][0].weight)
    assert torch.equal(shallow.head.weight, head)


def test_the_rate_rises_and_falls(settings: Settings) -> None:
    longer = replace(settings, steps=100, warm_up=10)
    rates = [rate_at(step, longer) for step in range(100)]
    assert rates[0] == 0.1 and max(rates) == 1 and 0 < rates[-1] < 0.05


def test_the_skeleton_of_a_tube_is_the_line_in_its_middle() -> None:
    tube = a_liver()[2].astype(bool)
    line = np.argwhere(skeleton(tube))
    assert len(line) == pytest.approx(len(tube), abs=4)
    assert np.abs(line[:, 1:] - (30, 34)).max() <= 1


def test_a_skeleton_keeps_pieces_branches_and_loops() -> None:
    mask = np.zeros((9, 40, 40), bool)
    mask[2:7, 5:35, 5:35] = True
    mask[2:7, 10:30, 10:30] = False  # a ring
    mask[2:7, 18:22, 2:38] = True  # a bar across it, of which both ends stick out
    mask[2:7, 2:4, 2:4] = True  # and something else
    line = skeleton(mask)
    assert not (line & ~mask).any() and line.sum() < mask.sum() / 10
    assert ndimage.label(line, np.ones((3, 3, 3)))[1] == 2
    # Nothing leads from one half of the ring into the other, nor out of it.
    assert ndimage.label(~line[3:6].any(axis=0))[1] == 3
    assert line[:, 18:22, 2:5].any() and line[:, 18:22, 35:].any()


def test_cl_dice_counts_branches_rather_than_voxels() -> None:
    reference = np.zeros((30, 40, 40), bool)
    reference[2:28, 4:16, 4:16] = True  # a trunk
    trunk = reference.copy()
    reference[2:28, 28:31, 28:31] = True  # a branch as long, with a fraction of the voxels
    assert centreline_measures(reference, reference)["cl_dice"] == 1
    found = centreline_measures(trunk, reference)
    assert found["topology_precision"] == 1 and found["topology_sensitivity"] < 0.8
    assert centreline_measures(np.zeros_like(trunk), reference)["cl_dice"] == 0
