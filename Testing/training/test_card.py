"""The model card for people tells what was measured, and of the rest that it was not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from LiverSegLib.model.liver_model import LiverModel, ModelCard
from Training.evaluation.card import NOT_MEASURED, model_card
from Training.evaluation.evaluate import TEXT_COLUMNS
from Training.evaluation.summary import LESION_COUNTS, WORST, summarise

CALIBRATION = {
    "intercept": -1.5,
    "slope": 1.1,
    "check_below": 0.92,
    "left_one_patient_out": {
        "patients": 29,
        "results": 272,
        "mean_absolute_error": 0.0123,
        "rank_correlation": 0.77,
        "poor_dice": 0.9,
        "poor": 9,
        "poor_flagged": 8,
        "others_flagged": 21,
        "worst_flagged": True,
    },
}


@pytest.fixture
def card() -> ModelCard:
    return LiverModel.load().card


def a_row(name: str, dice: float, degradation: str = "none", group: str = "test") -> dict:
    row: dict = dict.fromkeys(WORST, dice)
    row |= {name + suffix: 3 for name in LESION_COUNTS for suffix in ("", "_above_10mm")}
    texts = {"group": group, "name": name, "patient": name, "degradation": degradation}
    return {**row, **dict.fromkeys(TEXT_COLUMNS, ""), **texts}


def test_what_was_not_measured_is_said_not_to_be(card: ModelCard, tmp_path: Path) -> None:
    text = model_card(replace(card, calibration=None), tmp_path)
    assert text.count(NOT_MEASURED) >= 5
    assert "Not calibrated yet" in text


def test_numbers_are_those_of_the_record(card: ModelCard, tmp_path: Path) -> None:
    rows = [a_row("ircad_e19", 0.9512), a_row("ircad_e20", 0.9734), a_row("ircad_e20", 0.9534, "streaks")]
    (tmp_path / "evaluation.json").write_text(json.dumps(summarise(rows)))
    joined = summarise([a_row("lits_004", 0.9112, group="crossvalidation")])
    trained = [{"steps": 567, "batch": 4}, {"steps": 1234, "batch": 6}]
    joined["training"] = {"fold0of4": trained, "fold1of4": trained, "fold2of4": [{"steps": 89, "batch": 6}]}
    (tmp_path / "crossvalidation.json").write_text(json.dumps(joined))
    for name, dice in (("protocol_b", 0.8912), ("protocol_c_dice_liver", 0.9012)):
        protocol = summarise([a_row("ircad_e14", dice, group="crossvalidation")])
        protocol["training"] = {"protocol_b": [{"steps": 2000, "batch": 8}]}
        (tmp_path / f"{name}.json").write_text(json.dumps(protocol))
    text = model_card(replace(card, tumour_above=0.07), tmp_path)
    folds = "lits_004 0.911", "fold0of4, fold1of4 567 of 4, then 1234 of 6; fold2of4 89 of 6"
    protocols = (
        "near 0.87 | 0.891 | 0.891 | 0.891 | 0.891 | 2000 of 8 |",
        "weighted Dice | not stated | 0.901 | 0.901 | 0.901 |  | 2000 of 8 |",
    )
    for shown in ("0.962", "ircad_e19 0.951", "0.953 (-0.020)", *folds, *protocols):
        assert shown in text
    assert "| test | above 10 mm | 6 | 6 | 6 | 6 | 3.000 |" in text
    assert "a probability above\n0.07" in text
    assert "without the measured part alone" not in text


def test_a_data_set_that_was_left_out_has_a_row(card: ModelCard, tmp_path: Path) -> None:
    rows = [{**a_row(f"btcv_{n}", 0.90 + n / 100, group="crossvalidation"), "dataset": "btcv"} for n in range(7)]
    told = {"rank_correlation_as_they_are": 0.523, "poor": 3, "poor_flagged": 2}
    told |= {"good_as_they_are": 2, "good_as_they_are_flagged": 1}
    training = {"without_btcv": [{"steps": 120, "batch": 8}, {"steps": 35, "batch": 8}]}
    joined = {**summarise(rows), "training": training, "expected_dice": {"btcv": told}}
    (tmp_path / "left_out.json").write_text(json.dumps(joined))
    text = model_card(card, tmp_path)
    assert "made in steps of slices: 120 of 8, then 35 of 8;" in text
    assert "Dice of each: btcv_0 0.900, btcv_1 0.910" in text
    assert "| btcv | 7 | 0.930 | " in text and " | 0.930 | 0.900 | 0.52 | 1 of 2 | 2 of 3 |" in text


def test_networks_whose_last_stage_saw_more_of_their_fold_are_told_apart(card: ModelCard, tmp_path: Path) -> None:
    joined = summarise([a_row("lits_004", 0.9112, group="crossvalidation")])
    joined["training"] = {"fold0of4_part1of3": [{"steps": 600, "batch": 8}]}
    (tmp_path / "crossvalidation.json").write_text(json.dumps({**joined, "averaged_with_start": True}))
    text = model_card(card, tmp_path)
    assert "in it without the measured part alone. The mean of the last two stages' weights is measured. The" in text


def test_scans_that_only_a_late_stage_has_seen_show_what_the_network_was_before(
    card: ModelCard, tmp_path: Path
) -> None:
    after = summarise([a_row("ircad_e19", 0.9612), a_row("ircad_e19", 0.9512, "streaks")])
    rows = [a_row("ircad_e19", 0.9412), a_row("ircad_e19", 0.9312, "streaks")]
    rows += [
        a_row(name, 0.9712, degradation, "validation") for name in ("e10", "e16") for degradation in ("none", "streaks")
    ]
    (tmp_path / "evaluation.json").write_text(json.dumps(after))
    (tmp_path / "before_final.json").write_text(json.dumps({"model_sha256": "0123abcd", **summarise(rows)}))
    text = model_card(card, tmp_path)
    assert "Validation, before the fifth stage" in text and "0123abcd" in text and "e10 0.971, e16 0.971" in text
    assert "| streaks | 0.951 (-0.010) | 0.971 (+0.000) |" in text
    assert "| validation | any size | 6 |" in text
    assert "0.941" not in text


def test_the_calibration_is_judged_on_patients_left_out(card: ModelCard, tmp_path: Path) -> None:
    text = model_card(replace(card, calibration=CALIBRATION), tmp_path)
    assert "8 of 9 results with a Dice under 0.90 were flagged" in text


def test_licences_and_the_digest_of_the_weights_are_there(card: ModelCard, tmp_path: Path) -> None:
    text = model_card(card, tmp_path)
    assert card.sha256 in text
    assert all(entry["licence"] in text and entry["citation"] in text for entry in card.training_data)
    assert text.count("For research use") == 1
