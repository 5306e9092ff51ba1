"""Networks are measured on what they held back, once, and never on what they have seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from Testing.training.phantoms import SCANS, prepare_phantoms, short_run, write_data
from Training.evaluation.crossvalidate import crossvalidate
from Training.evaluation.evaluate import read_results
from Training.fit import fit


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans of 3D-IRCADb-01, and what was prepared of them."""
    folder = write_data(tmp_path_factory.mktemp("data"), *SCANS)
    prepare_phantoms(folder / "prepared")
    return folder


@pytest.fixture(scope="module")
def folds(data: Path) -> list[Path]:
    """Two networks, each of which held one of the scans back."""
    folders = []
    for number, held_out in enumerate(SCANS):
        settings = replace(short_run(data / "prepared", data / f"fold{number}of2"), held_out=(held_out,))
        folders.append(fit(settings).parent)
    return folders


def test_every_patient_has_one_result_of_a_network_that_never_saw_them(
    data: Path, folds: list[Path], tmp_path: Path
) -> None:
    summary = crossvalidate(folds, tmp_path, data, degradations=["shift_plus_30"], device="cpu")
    rows = read_results(tmp_path / "results.csv")
    assert [(row["name"], row["fold"], row["degradation"]) for row in rows] == [
        (name, f"fold{number}of2", degradation)
        for number, name in enumerate(SCANS)
        for degradation in ("none", "shift_plus_30")
    ]
    assert summary["crossvalidation"]["cases"] == 2
    assert summary["training"]["fold0of2"] == [{"steps": 2, "batch": 2}]


def test_a_network_is_measured_once(
    data: Path, folds: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = crossvalidate(folds, tmp_path, data, device="cpu")
    monkeypatch.setattr("Training.evaluation.crossvalidate.evaluate", None)
    assert crossvalidate(folds, tmp_path, data, device="cpu") == first


def test_scans_that_trained_measure_nothing(data: Path, folds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has trained on the persons of ircad_e10; measure it on others"):
        crossvalidate(folds[:1], tmp_path, data, scans=["ircad_e10"], device="cpu")


def test_folds_of_two_sets_are_refused(data: Path, folds: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="was held back by two"):
        crossvalidate([folds[0], folds[0]], tmp_path, data, device="cpu")


def test_an_unfinished_run_is_refused(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = short_run(data / "prepared", tmp_path / "run")
    with monkeypatch.context() as stopped:
        stopped.setattr("Training.fit.validate", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            fit(settings)
    with pytest.raises(ValueError, match="stands at step 1 of 2"):
        crossvalidate([tmp_path / "run"], tmp_path, data, device="cpu")
    assert not np.any([path.suffix == ".pt" for path in (tmp_path / "run").iterdir()])
