"""A run learns, stops, goes on, hands its weights on, and ends as a model file that the library accepts."""

from __future__ import annotations

import csv
import json
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.model.liver_model import LiverModel
from Testing.training.phantoms import prepare_phantoms, short_run
from Training.checkpoint import NEW_CLASS, build_network, read_checkpoint, start_from
from Training.evaluation.plot import plot_training
from Training.export import export, headline
from Training.fit import fit
from Training.loop import warm_average
from Training.settings import Settings, command_of


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepare_phantoms(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="module")
def finished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a run of two steps."""
    return fit(short_run(prepared, tmp_path_factory.mktemp("run")))


@pytest.fixture
def settings(prepared: Path, tmp_path: Path) -> Settings:
    return short_run(prepared, tmp_path / "run")


def test_training_logs_and_exports_a_model_that_loads(finished: Path, tmp_path: Path) -> None:
    with finished.with_name("log.csv").open() as file:
        [row] = csv.DictReader(file)
    assert row["step"] == "2" and np.isfinite(float(row["loss"]))
    assert 0 <= float(row["ircad_e10"]) <= 1 and "tumour_dice" in row
    plot_training([finished.with_name("log.csv")], tmp_path / "curves.png")
    assert (tmp_path / "curves.png").stat().st_size > 10_000

    results = {"test": {"cases": 2, "dice_mean": 0.9, "dice_worst": 0.8}}
    (tmp_path / "summary.json").write_text(json.dumps({"device": "cpu", **results}))
    export(finished, tmp_path / "model.pt", evaluation=[tmp_path / "summary.json"])
    card = LiverModel.load(tmp_path / "model.pt").card
    assert (card.widths, card.patch, card.spacing_mm) == ((4, 8, 16), 2, 2.5)
    assert card.training["validation_scans"] == ["ircad_e10"]
    assert card.accuracy == headline(tmp_path / "summary.json") == results
    assert (card.training_data[0]["name"], card.training_data[0]["patients"][:2]) == ("3D-IRCADb-01", "1;")
    assert len((tmp_path / "model.json").read_text().splitlines()) < 120
    assert json.loads((tmp_path / "model.training.json").read_text())["trained_on"] == ["ircad_e01", "phantom_000"]


def test_an_interrupted_run_goes_on_where_it_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stopped:
        stopped.setattr("Training.fit.validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(settings)
    assert read_checkpoint(f"{settings.run}/last.ckpt")["step"] == 1
    state = read_checkpoint(fit(replace(settings, save_every=2)))
    assert state["step"] == state["schedule"]["last_epoch"] == 2


def test_a_run_does_not_turn_into_another_experiment(finished: Path, prepared: Path) -> None:
    with pytest.raises(ValueError, match=r"has outline_weight 1.0, not 5.0"):
        fit(replace(short_run(prepared, finished.parent), outline_weight=5.0))


def test_a_run_hands_its_weights_on_also_to_one_that_knows_more_classes(settings: Settings, finished: Path) -> None:
    settings = replace(settings, start_from=str(finished), classes="neighbours.json")
    network, images = build_network(settings).eval(), torch.randn(2, 5, 32, 32)
    start_from(network, settings, read_checkpoint(finished))
    before = build_network(replace(settings, classes="liver.json")).eval()
    start_from(before, settings, read_checkpoint(finished))
    first, all_classes = before(images).softmax(1), network(images).softmax(1)
    assert all_classes.shape[1] == 15
    kept, new = all_classes[:, :3], all_classes[:, 3:] / all_classes[:, :1]
    assert torch.allclose(first, kept / kept.sum(1, keepdim=True), atol=1e-5)
    assert torch.allclose(new, torch.full_like(new, NEW_CLASS).exp(), rtol=1e-4)
    state = read_checkpoint(fit(settings))
    assert [run["settings"]["classes"] for run in state["earlier"]] == ["liver.json"]
    assert state["trained_on"] == ["ircad_e01", "phantom_000"]


def test_the_mean_of_two_runs_is_half_of_each(settings: Settings, finished: Path, tmp_path: Path) -> None:
    later = fit(replace(settings, start_from=str(finished)))
    for name, others in (("one", []), ("mean", [finished])):
        export(later, tmp_path / f"{name}.pt", average_with=others)
    first, second = (read_checkpoint(path)["average"]["module.head.bias"] for path in (finished, later))
    bias = {name: LiverModel.load(tmp_path / f"{name}.pt").network.head.bias for name in ("one", "mean")}
    assert torch.allclose(bias["one"], second) and torch.allclose(bias["mean"], (first + second) / 2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"held_out": ("ircad_e01",)}, "has trained on ircad_e01, which this run holds back"),
        ({"base_width": 8}, "has another kind of network"),
        ({"start_from": "nowhere.ckpt"}, "There is no checkpoint nowhere.ckpt"),
    ],
)
def test_a_run_cannot_begin_with_what_does_not_fit_it_or_has_seen_what_it_holds_back(
    settings: Settings, finished: Path, changes: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit(replace(settings, **{"start_from": str(finished), **changes}))


@pytest.mark.slow
def test_two_processes_share_each_batch(settings: Settings) -> None:
    words = [sys.executable, "-m", *shlex.split(command_of(replace(settings, devices=2)))[2:]]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Starting with 2 processes" in done.stderr + done.stdout
    state = read_checkpoint(f"{settings.run}/last.ckpt")
    assert state["step"] == 2
    assert read_checkpoint(fit(replace(settings, devices=1)))["step"] == 2, "and one goes on alone"


def test_the_average_forgets_its_random_start_at_once_and_later_moves_slowly() -> None:
    average, update = [torch.zeros(1)], warm_average(0.999)
    update(average, [torch.ones(1)], 0)
    assert average[0] == pytest.approx(0.9)
    update(average, [torch.zeros(1)], 100_000)
    assert average[0] == pytest.approx(0.9 * 0.999)
