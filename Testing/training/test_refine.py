"""The network that corrects: its reader, its blocks and mistakes, and a short run from files to a model that loads."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.refine_model import RefineModel
from Testing.models import card_of, weights_of, write_model
from Testing.training.phantoms import even_scan
from Training.checkpoint import read_checkpoint
from Training.data.classes import Classes
from Training.data.stored import store
from Training.refine import evaluate
from Training.refine.baselines import Growth, Painting
from Training.refine.blocks import Block, cut_block
from Training.refine.clicks import next_click
from Training.refine.episode import EpisodeMaker, loss_of
from Training.refine.export import export
from Training.refine.fit import fit, network_from
from Training.refine.mistakes import MistakeMaker, between_slices
from Training.refine.settings import OFFSETS_MM, SIDE, Settings

from .phantoms import a_phantom_scan

WIDTHS = (4, 6, 8)


@pytest.fixture
def a_liver_model(tmp_path: Path) -> Path:
    """A small untrained liver network."""
    weights = weights_of(WIDTHS, OFFSETS_MM, ragged=True)
    return write_model(tmp_path / "liver.pt", weights, card_of(weights, WIDTHS, OFFSETS_MM))


@pytest.fixture
def settings(tmp_path: Path, a_liver_model: Path) -> Settings:
    """Two steps of a tiny network on two scans, a third of which is held back."""
    for seed, name in enumerate(("ircad_e01", "ircad_e02", "ircad_e10"), start=2000):
        store(a_phantom_scan(seed), tmp_path / "prepared" / name, "real", 1.5)
    places = {"prepared": str(tmp_path / "prepared"), "run": str(tmp_path / "run"), "start_from": str(a_liver_model)}
    return Settings(**places, held_out="ircad_e10", levels=2, steps=2, save_every=1, blocks=1)


def test_the_reader_clicks_into_the_middle_of_the_largest_mistake() -> None:
    wrong = np.zeros((9, 30, 30), bool)
    wrong[2:7, 5:14, 5:14] = True
    wrong[0, 20:26, 20:26] = True
    assert next_click(wrong, (2.0, 1.0, 1.0)) == (4, 9, 9)


def test_a_sloppy_reader_hits_it_anywhere_but_at_its_rim() -> None:
    wrong = np.zeros((9, 30, 30), bool)
    wrong[:, 5:16, 5:16] = True
    rng = np.random.default_rng(0)
    places = np.array([next_click(wrong, (5.0, 1.0, 1.0), rng) for _ in range(50)])
    assert len(np.unique(places, axis=0)) > 20
    assert places[:, 1:].min() >= 6 and places[:, 1:].max() <= 14


def test_where_nothing_is_wrong_nobody_clicks() -> None:
    assert next_click(np.zeros((3, 4, 5), bool), (1.0, 1.0, 1.0)) is None


def test_a_block_has_the_liver_in_its_middle_and_slices_about_3_mm_apart() -> None:
    scan = replace(even_scan(), slice_spacing=1.5)
    block = cut_block(scan, (1, 2), np.random.default_rng(0))
    assert block.hu.shape == block.labels.shape == (len(block.hu), SIDE, SIDE)
    assert block.slice_mm == 3.0
    middle = block.labels[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] > 0
    assert middle.any() and not middle.all()


def test_results_are_wrong_but_not_beside_themselves(a_liver_model: Path) -> None:
    maker = MistakeMaker(LiverModel.load(a_liver_model), Classes.read("liver.json"))
    labels = torch.zeros(30, SIDE, SIDE, dtype=torch.uint8)
    labels[5:25, 20:70, 20:70] = 1
    block = Block(torch.where(labels > 0, 110.0, -60.0), labels, 3.0)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    results = [maker.draw(block, labels > 0, rng) for _ in range(8)]
    assert all((result != (labels > 0)).any() for result in results)
    assert len({int(result.sum()) for result in results}) > 4


def test_what_lies_between_slices_is_interpolated() -> None:
    values = torch.tensor((0.0, 4.0)).view(2, 1, 1)
    assert between_slices(values, torch.tensor((1, 3)), 5).flatten().tolist() == [0, 0, 2, 4, 4]


def test_a_clicked_voxel_stays_as_it_was_clicked(settings: Settings, a_liver_model: Path) -> None:
    classes = Classes.read("liver.json")
    maker = EpisodeMaker([even_scan()], classes, MistakeMaker(LiverModel.load(a_liver_model), classes), settings)
    torch.manual_seed(0)
    episode = maker.draw(np.random.default_rng(0))
    positions = torch.arange(len(episode.ct))
    for sign in (-1, 1):
        episode.take(torch.full(tuple(episode.ct.shape), 5.0 * sign), positions)
        assert all(bool(episode.result[place]) == is_liver for place, is_liver in episode.clicks)


def test_the_loss_is_small_where_the_answer_is_right() -> None:
    target = torch.zeros(2, 16, 16, dtype=torch.bool)
    target[:, 4:12, 4:12] = True
    weight = torch.ones(2, 16, 16)
    logits = torch.where(target, 20.0, -20.0)
    assert all(loss_of(logits, target, weight, adds) < 0.01 for adds in (True, False))
    assert all(loss_of(-logits, target, weight, adds) > 1 for adds in (True, False))


def test_it_begins_as_the_liver_networks_answer_to_the_ct(a_liver_model: Path) -> None:
    liver = LiverModel.load(a_liver_model)
    network = network_from(liver, len(WIDTHS)).eval()
    ct, others = torch.randn(2, 5, 32, 32).clamp(-1, 1), torch.randn(2, 11, 32, 32)
    logits = liver.network(ct)
    assert torch.allclose(network(torch.cat((ct, others), dim=1))[:, 0], logits[:, 1] - logits[:, 0], atol=1e-4)


def test_a_run_learns_goes_on_and_ends_as_a_model_that_the_library_accepts(settings: Settings) -> None:
    checkpoint = fit(settings)
    state = read_checkpoint(checkpoint)
    assert (state["step"], state["trained_on"]) == (2, ["ircad_e01", "ircad_e02"])
    with pytest.raises(ValueError, match="has steps 2, not 4"):
        fit(replace(settings, steps=4))
    export(checkpoint, Path(settings.run) / "refine_unet.pt")
    model = RefineModel.load(Path(settings.run) / "refine_unet.pt")
    assert model.card.widths == WIDTHS[:2]
    assert model.card.training["held_out"] == ["ircad_e10"]


def a_ball() -> tuple[CTVolume, np.ndarray]:
    """A ball of 110 HU in fat, and its mask."""
    k, j, i = np.ogrid[:24, :40, :40]
    ball = (k - 12) ** 2 * 2.25 + (j - 20) ** 2 + (i - 20) ** 2 <= 12**2
    return CTVolume(np.where(ball, 110, -80).astype(np.int16), np.diag((-2.0, -2.0, 3.0, 1.0)), "ball"), ball


def test_growth_from_a_click_fills_what_has_its_hu_and_no_more() -> None:
    ct, ball = a_ball()
    growth = Growth(ct)
    curve = evaluate.clicked(growth.refine, ct, np.zeros_like(ball), ball, None)
    assert curve[0] == 0 and curve[1] > 0.9


def test_painting_makes_the_clicked_slices_right() -> None:
    ct, ball = a_ball()
    stroke = evaluate.stroke_at((12, 20, 20), True, ct)
    painted = Painting(ct).refine(np.zeros(ball.shape, np.uint8), [stroke], ball)
    assert np.flatnonzero(painted.any(axis=(1, 2))).tolist() == [12]
    assert np.array_equal(painted[12], ball[12])


def test_a_summary_has_means_worst_and_the_clicks_needed_by_data_set() -> None:
    rows = [
        {"scan": "btcv_0005", "method": "network", "dice": [0.92, 0.96, *[0.98] * 9], "stray": [0.0, -0.001]},
        {"scan": "ircad_e19", "method": "network", "dice": [0.96, 0.94, *[0.96] * 9], "stray": [0.001]},
    ]
    means = json.loads(json.dumps(evaluate.summary(rows)))["network"]
    assert means["all"]["mean"]["2"] == 0.97 and means["all"]["worst"]["1"] == 0.94
    assert means["BTCV"]["clicks_for_0.97"] == {"reached": "1 of 1", "mean_of_those": 2.0}
    assert means["all"]["clicks_for_0.97"]["reached"] == "1 of 2"
    assert means["stray"] == {"mean": 0.0, "worst": -0.001}
