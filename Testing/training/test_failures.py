"""The card's pictures of failures: the phantoms' worst results, each degradation once, drawn and told in one order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import make_phantom
from Training.evaluation.card import model_card
from Training.evaluation.evaluate import Case, save_worst_slice, write_results
from Training.evaluation.failures import picture_failures, worst_phantoms
from Training.evaluation.summary import LESION_COUNTS, NONE, WORST


def a_row(group: str, name: str, degradation: str, dice: float) -> dict:
    row: dict = {"group": group, "name": name, "degradation": degradation, "patient": name, "dataset": ""}
    row |= dict.fromkeys(WORST, dice) | {name + suffix: 0 for name in LESION_COUNTS for suffix in ("", "_above_10mm")}
    return row | {"quality": dice + 0.01}


ROWS = [
    a_row("test", "patient", "ascites", 0.5),
    a_row("phantom", "phantom_0", NONE, 0.97),
    a_row("phantom", "phantom_0", "ascites", 0.88),
    a_row("phantom", "phantom_1", "ascites", 0.83),
    a_row("phantom", "phantom_0", "streaks", 0.95),
]


def test_the_worst_comes_first_and_each_degradation_once() -> None:
    worst = [(row["name"], row["degradation"]) for row in worst_phantoms(ROWS)]
    assert worst == [("phantom_1", "ascites"), ("phantom_0", "streaks"), ("phantom_0", NONE)]
    assert len(worst_phantoms(ROWS, 2)) == 2


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """What an evaluation leaves: results, and the worst slice of each."""
    phantom = make_phantom(0, shape=(12, 60, 64), spacing=(14.0, 5.5, 5.5))
    axial = replace(phantom.ct, name="phantom").canonical()
    truth = replace(phantom.ct, hu=phantom.labels).canonical().hu
    for row in ROWS:
        case = Case(row["group"], row["name"], axial, truth, True, degradation=row["degradation"])
        save_worst_slice(case, axial, np.roll(truth, 3, axis=2), truth, tmp_path / "worst_slices")
    write_results(ROWS, {}, tmp_path)
    return tmp_path / "results.csv"


def test_the_card_shows_the_picture_and_says_the_dice_in_its_order(results: Path, tmp_path: Path) -> None:
    picture, record = tmp_path / "failures.png", tmp_path / "failures.json"
    picture_failures(results, picture, record)
    assert np.asarray(Image.open(picture).convert("RGB")).std() > 5
    assert [case["degradation"] for case in json.loads(record.read_text())] == ["ascites", "streaks", "as it is"]
    text = model_card(LiverModel.load().card, tmp_path)
    assert "(failures.png)" in text
    assert (
        text.index("ascites 0.830 (expected Dice 0.840)") < text.index("streaks 0.950") < text.index("as it is 0.970")
    )


def test_a_card_without_pictures_shows_none(tmp_path: Path) -> None:
    assert "failures.png" not in model_card(LiverModel.load().card, tmp_path)


def test_results_without_phantoms_are_refused(tmp_path: Path) -> None:
    write_results(ROWS[:1], {}, tmp_path)
    with pytest.raises(ValueError, match="holds no phantom"):
        picture_failures(tmp_path / "results.csv", tmp_path / "p.png", tmp_path / "r.json")
