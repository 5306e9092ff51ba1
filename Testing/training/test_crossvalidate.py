"""Runs of all folds join into one result for each patient; self-agreement becomes an expected Dice."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib.confidence import expected_dice
from LiverSegLib.files import write_ct, write_labels
from LiverSegLib.model import LiverModel
from LiverSegLib.phantom import make_phantom
from Training.checkpoint import build_network
from Training.data.splits import get_split
from Training.evaluation.calibrate import calibrate, fit_line
from Training.evaluation.crossvalidate import crossvalidate
from Training.evaluation.evaluate import read_results
from Training.evaluation.summary import NONE
from Training.export import export
from Training.settings import Settings


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A folder like the shared data, with one phantom for each of the first two folds."""
    train = tmp_path / "data" / "train"
    train.mkdir(parents=True)
    names = [get_split(f"fold{fold}of4").validation[0] for fold in range(2)]
    for seed, name in enumerate(names):
        phantom = make_phantom(seed, shape=(10, 48, 48), spacing=(24.0, 7.5, 7.5))
        write_ct(train / f"{name}_ct.nii.gz", phantom.ct)
        write_labels(train / f"{name}_liver.nii.gz", phantom.labels, phantom.ct.affine)
    entries = [{"id": name, "split": "train", "tumour_labelled": True} for name in names]
    (train / "catalogue.json").write_text(json.dumps(entries))
    return train.parent


def a_run(folder: Path, fold: int, step: int = 4, start_from: str = "") -> Path:
    """A run of four steps as Training.fit leaves it, with random weights."""
    split = f"fold{fold}of4"
    settings = Settings(run=str(folder), split=split, start_from=start_from, base_width=4, depth=3, patch=2, steps=4)
    torch.manual_seed(fold + 100 * bool(start_from))
    weights = build_network(settings).state_dict()
    average = {f"module.{name}": value for name, value in weights.items()}
    folder.mkdir()
    state = {"average": average, "settings": asdict(settings), "step": step, "commit": "0123456"}
    torch.save(state, folder / "last.ckpt")
    (folder / "log.csv").write_text("step,loss\n4,0.5\n")
    return folder


def test_every_patient_is_measured_by_the_network_that_never_saw_them(data: Path, tmp_path: Path) -> None:
    runs = [a_run(tmp_path / f"fold{fold}", fold) for fold in range(2)]
    summary = crossvalidate(runs, tmp_path / "joined", data, degradations=["noise_doubled"])
    rows = read_results(tmp_path / "joined" / "results.csv")
    assert {(row["fold"], row["name"]) for row in rows} == {
        (f"fold{fold}of4", get_split(f"fold{fold}of4").validation[0]) for fold in range(2)
    }
    assert len(rows) == 4 and summary["crossvalidation"]["cases"] == 2
    assert summary["by_degradation"]["noise_doubled"]["crossvalidation"]["cases"] == 2
    assert summary["training"]["fold1of4"] == {"steps": 4, "batch": Settings.batch}
    assert summary["models"]["fold0of4"] == LiverModel.load(runs[0] / "liver_unet.pt").card.sha256


def test_runs_that_went_on_from_others_tell_so(data: Path, tmp_path: Path) -> None:
    first = a_run(tmp_path / "first", 0)
    second = a_run(tmp_path / "second", 0, start_from=str(first / "last.ckpt"))
    each = {"steps": 4, "batch": Settings.batch}
    training = crossvalidate([second], tmp_path / "joined", data)["training"]
    assert training["fold0of4"] == {**each, "earlier_runs": [each]}


def test_a_run_can_be_averaged_with_what_it_started_from(data: Path, tmp_path: Path) -> None:
    first = a_run(tmp_path / "first", 0)
    second = a_run(tmp_path / "second", 0, start_from=str(first / "last.ckpt"))
    summary = crossvalidate([second], tmp_path / "joined", data, average_with_start=True)
    export(second / "last.ckpt", tmp_path / "mean.pt", "second", None, average_with=[first / "last.ckpt"])
    mean = LiverModel.load(tmp_path / "mean.pt").card.sha256
    assert summary["models"]["fold0of4"] == mean and summary["averaged_with_start"]
    assert crossvalidate([second], tmp_path / "joined", data)["models"]["fold0of4"] != mean
    with pytest.raises(ValueError, match="random weights"):
        crossvalidate([first], tmp_path / "joined", data, average_with_start=True)


def test_a_run_that_was_measured_is_not_measured_again(data: Path, tmp_path: Path) -> None:
    run = a_run(tmp_path / "fold0", 0)
    crossvalidate([run], tmp_path / "joined", data)
    results = run / "validation" / "results.csv"
    results.write_text(results.read_text().replace("ircad_", "seen_"))
    crossvalidate([run], tmp_path / "joined", data)
    assert "seen_" in (tmp_path / "joined" / "results.csv").read_text()


def test_another_limit_for_tumours_is_measured_anew(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = a_run(tmp_path / "fold0", 0)
    crossvalidate([run], tmp_path / "joined", data)
    results = run / "validation" / "results.csv"
    results.write_text(results.read_text().replace("ircad_", "seen_"))
    monkeypatch.setattr("Training.export.TUMOUR_ABOVE", 0.9)
    crossvalidate([run], tmp_path / "joined", data)
    assert "seen_" not in (tmp_path / "joined" / "results.csv").read_text()


def test_a_patient_of_two_runs_is_refused(data: Path, tmp_path: Path) -> None:
    runs = [a_run(tmp_path / name, 0) for name in ("first", "second")]
    with pytest.raises(ValueError, match="held back by two"):
        crossvalidate(runs, tmp_path / "joined", data)


def test_an_unfinished_run_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="step 3 of 4"):
        crossvalidate([a_run(tmp_path / "fold0", 0, step=3)], tmp_path / "joined", data)


def results(seed: int = 0, count: int = 300) -> list[dict]:
    """Dice scattered about a known line of self-agreement's log-odds; that of scans as they are is 0.91 or more."""
    rng = np.random.default_rng(seed)
    agreement = rng.uniform(0.962, 0.9995, count)
    dice = [np.clip(expected_dice(a, -1.5, 1.1) + rng.normal(0, 0.01), 0, 1) for a in agreement]
    return [
        {"self_agreement": a, "dice": d, "patient": f"p{n % 20}", "degradation": NONE if d >= 0.91 else "streaks"}
        for n, (a, d) in enumerate(zip(agreement, dice, strict=True))
    ]


def test_the_line_is_found_again() -> None:
    rows = results()
    intercept, slope = fit_line([row["self_agreement"] for row in rows], [row["dice"] for row in rows])
    assert intercept == pytest.approx(-1.5, abs=0.3)
    assert slope == pytest.approx(1.1, abs=0.08)


def flagged(rows: list[dict], calibration: dict) -> list[dict]:
    line = calibration["intercept"], calibration["slope"]
    return [row for row in rows if expected_dice(row["self_agreement"], *line) < calibration["check_below"]]


def test_poor_results_are_flagged_and_few_scans_as_they_are() -> None:
    rows = results()
    calibration = calibrate(rows)
    judged = calibration["left_one_patient_out"]
    assert judged["poor"] > 0 and judged["poor_flagged"] >= 0.9 * judged["poor"] and judged["worst_flagged"]
    usual = [row for row in rows if row["degradation"] == NONE]
    assert 0 < len(flagged(usual, calibration)) <= 0.12 * len(usual)
    assert judged["mean_absolute_error"] == pytest.approx(0.008, abs=0.002)
    assert judged["rank_correlation"] > 0.9


def test_a_patient_s_own_results_do_not_help_to_judge_them() -> None:
    # One patient whose network is sure and wrong: fitted on, their error would shrink.
    rows = [
        *results(),
        *({"self_agreement": 0.999, "dice": 0.3, "patient": "odd", "degradation": NONE} for _ in range(300)),
    ]
    error = calibrate(rows)["left_one_patient_out"]["mean_absolute_error"]
    without = fit_line([row["self_agreement"] for row in results()], [row["dice"] for row in results()])
    assert error > 0.45 * (expected_dice(0.999, *without) - 0.3)


def test_many_poor_results_of_degraded_scans_leave_as_many_flagged_of_the_others() -> None:
    hard = [{**row, "degradation": "streaks"} for row in results(1, 900) if row["dice"] < 0.9]
    rows = [*results(), *hard]
    few, many = calibrate(results())["check_below"], calibrate(rows)["check_below"]
    assert many == pytest.approx(few, abs=0.01)


def test_the_calibration_travels_into_the_card(tmp_path: Path) -> None:
    calibration = tmp_path / "calibration.json"
    calibration.write_text(json.dumps(calibrate(results())))
    export(a_run(tmp_path / "run", 0) / "last.ckpt", tmp_path / "model.pt", "test", None, calibration)
    stored = LiverModel.load(tmp_path / "model.pt").card.calibration
    assert stored is not None and stored["slope"] == pytest.approx(1.1, abs=0.08)
