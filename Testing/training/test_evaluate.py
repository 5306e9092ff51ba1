"""Evaluation measures what it says it measures, of every case and over them; the network is a stand-in."""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.io.files import write_ct, write_labels
from LiverSegLib.phantom import make_phantom
from Training.data.degradation import DEGRADATIONS
from Training.evaluation.evaluate import (
    Case,
    degradation_names,
    evaluate,
    evaluate_case,
    folder_cases,
    held_out_cases,
    named_cases,
    with_degradations,
)
from Training.evaluation.scores import slice_dice, slice_dice_all, surface_dice
from Training.evaluation.summary import bootstrap_interval, summarise


class Stub:
    """Stands in for the segmenter: answers with ``labels_of`` the CT."""

    model = SimpleNamespace(card=SimpleNamespace(sha256="0" * 64, tumour_above=0.5))
    device = "cpu"

    def __init__(self, labels_of: Callable[[CTVolume], np.ndarray]) -> None:
        self.labels_of = labels_of

    def segment(self, ct: CTVolume, options: SegmentOptions) -> SimpleNamespace:
        assert options.tumour and options.force
        return SimpleNamespace(labels=self.labels_of(ct), self_agreement=0.9, quality=None)


def bright(ct: CTVolume) -> np.ndarray:
    return (ct.hu > 50).astype(np.uint8)


@pytest.fixture
def case() -> Case:
    """A liver of 100 HU in fat, with a tumour of 125 voxels, 2 mm pixels and 4 mm slices."""
    labels = np.zeros((12, 30, 30), np.uint8)
    labels[2:10, 5:25, 8:24] = 1
    labels[4:9, 10:15, 12:17] = 2
    hu = np.where(labels > 0, 100, -80).astype(np.int16)
    return Case("test", "one", CTVolume(hu, np.diag((-2.0, -2.0, 4.0, 1.0)), "one"), labels, True, "ircad", "p1")


def moved_box(spacing: tuple[float, float, float], up_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """A cube of 80 mm and the same cube ``up_mm`` higher, sampled at the spacing."""
    z, y, x = (np.arange(round(140 / mm))[:, None, None].swapaxes(0, axis) * mm for axis, mm in enumerate(spacing))

    def cube(height: float) -> np.ndarray:
        return (abs(z - height) < 40.1) & (abs(y - 70) < 40.1) & (abs(x - 70) < 40.1)

    return cube(70), cube(70 + up_mm)


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (5.0, 1.0, 1.0), (2.5, 2.0, 2.0)])
def test_surface_dice_is_a_share_of_area_at_any_spacing(spacing: tuple[float, float, float]) -> None:
    # Top and bottom, two of six faces, lie 5 mm off; the others lie on each other.
    assert surface_dice(*moved_box(spacing, 5.0), spacing) == pytest.approx(4 / 6, abs=0.03)


def test_surface_dice_forgives_its_tolerance_and_no_more() -> None:
    spacing = (1.0, 1.0, 1.0)
    assert surface_dice(*moved_box(spacing, 2.0), spacing) == 1
    assert surface_dice(*moved_box(spacing, 3.0), spacing) < 0.7


def test_surface_dice_of_empty_masks() -> None:
    empty, full = np.zeros((3, 4, 5), bool), np.ones((3, 4, 5), bool)
    assert surface_dice(empty, empty, (1, 1, 1)) == 1
    assert surface_dice(empty, full, (1, 1, 1)) == 0
    assert surface_dice(full, full, (1, 1, 1)) == 1


def test_slices_are_averaged_in_both_ways() -> None:
    truth, found = np.zeros((2, 4, 4, 4), bool)
    truth[1], found[1] = True, True  # Dice 1
    truth[2, :2], found[2, 1:3] = True, True  # Dice 0.5; slices 0 and 3 are empty in both
    assert slice_dice(found, truth) == pytest.approx(0.75)
    assert slice_dice_all(found, truth) == pytest.approx((1 + 1 + 0.5 + 1) / 4)


def test_a_perfect_answer_scores_full_marks(case: Case) -> None:
    row = evaluate_case(case, Stub(lambda ct: case.reference))
    for name in ("dice", "iou", "slice_dice", "slice_dice_all", "surface_dice_2mm", "tumour_dice"):
        assert row[name] == 1
    assert row["hd95_mm"] == row["assd_mm"] == row["volume_difference_percent"] == 0
    assert (row["lesions"], row["lesions_found"], row["lesions_false"]) == (1, 1, 0)
    assert row["volume_ml"] == row["reference_volume_ml"] == pytest.approx(8 * 20 * 16 * 0.016)


def test_too_small_a_liver_without_its_tumour_shows_in_the_row(case: Case) -> None:
    found = np.minimum(case.reference, 1)
    found[9] = 0
    row = evaluate_case(case, Stub(lambda ct: found))
    assert row["volume_difference_percent"] == pytest.approx(-100 / 8)
    assert row["tumour_dice"] == 0
    # 125 voxels of 16 mm³: a ball of 15.6 mm.
    assert (row["lesions_missed"], row["lesions_missed_above_10mm"]) == (1, 1)


def test_nothing_is_said_of_tumours_where_none_are_labelled(case: Case) -> None:
    row = evaluate_case(replace(case, tumour_labelled=False), Stub(lambda ct: case.reference))
    assert row["tumour_dice"] is None and row["lesions"] is None and row["lesions_false_above_10mm"] is None


def test_slices_are_axial_however_the_file_is_ordered(case: Case) -> None:
    found = case.reference.copy()
    found[5] = 0
    straight = evaluate_case(case, Stub(lambda ct: found))
    # The same voxels with i and k exchanged: a stack of sagittal slices.
    affine = case.ct.affine[:, [2, 1, 0, 3]]
    turned = replace(case, ct=CTVolume(case.ct.hu.T.copy(), affine, "one"), reference=case.reference.T.copy())
    sagittal = evaluate_case(turned, Stub(lambda ct: found.T.copy()))
    assert sagittal["slice_dice"] == straight["slice_dice"]
    assert sagittal["slices"] == straight["slices"] == 12


def test_the_worst_slice_is_stored_with_both_masks(case: Case, tmp_path: Path) -> None:
    found = case.reference.copy()
    found[6, 5:15] = 0
    evaluate_case(case, Stub(lambda ct: found), worst_slices=tmp_path)
    shown = np.load(tmp_path / "test_one.npz")
    assert shown["k"] == 6
    assert shown["hu"].shape == shown["found"].shape == shown["truth"].shape
    assert (shown["truth"] > 0).sum() == 20 * 16 and (shown["found"] > 0).sum() == 10 * 16
    assert shown["dice"] == pytest.approx(2 / 3)


def test_each_case_is_repeated_under_each_degradation(case: Case) -> None:
    cases = list(with_degradations(iter([case]), ["slices_07mm", "shift_plus_30"]))
    assert [c.degradation for c in cases] == ["none", "slices_07mm", "shift_plus_30"]
    assert cases[0] is case
    assert all(c.ct.hu.shape == c.reference.shape and c.name == "one" for c in cases)
    assert (cases[2].ct.hu == case.ct.hu + 30).all()


def test_results_and_summary_are_written(case: Case, tmp_path: Path) -> None:
    other = replace(case, name="two", dataset="lits", patient="p2")
    cases = with_degradations(iter([case, other]), ["shift_plus_30", "shift_minus_30"])
    summary = evaluate(cases, Stub(bright), tmp_path)
    assert summary == json.loads((tmp_path / "summary.json").read_text())
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["degradation"] for row in rows[:3]] == ["none", "shift_plus_30", "shift_minus_30"]
    # What earlier versions wrote is still there.
    assert {"group", "name", "dice", "iou", "hd95_mm", "assd_mm", "slice_dice", "tumour_dice", "seconds"} <= set(
        rows[0]
    )
    assert summary["test"]["cases"] == 2 and summary["test"]["per_case"]["one"]["dice"] == 1
    assert set(summary["by_dataset"]) == {"ircad", "lits"}
    assert summary["by_degradation"]["shift_minus_30"]["test"]["dice_mean_change"] == 0
    assert len(list((tmp_path / "worst_slices").glob("*.npz"))) == 6


def test_slices_of_an_earlier_evaluation_do_not_stay(case: Case, tmp_path: Path) -> None:
    evaluate(iter([replace(case, name="old")]), Stub(bright), tmp_path)
    evaluate(iter([case]), Stub(bright), tmp_path)
    assert [path.name for path in (tmp_path / "worst_slices").iterdir()] == ["test_one.npz"]


def row_of(name: str, dice: float, degradation: str = "none", **more: object) -> dict:
    return {"group": "test", "name": name, "dataset": "ircad", "patient": name, "degradation": degradation,
            "dice": dice, **more}  # fmt: skip


def test_a_summary_has_mean_median_worst_and_interval() -> None:
    rows = [row_of(str(n), score, hd95_mm=10 * score) for n, score in enumerate((0.9, 0.95, 0.97, 0.98))]
    measured = summarise(rows)["test"]["metrics"]
    assert (measured["dice"]["mean"], measured["dice"]["median"], measured["dice"]["worst"]) == (0.95, 0.96, 0.9)
    assert measured["hd95_mm"]["worst"] == 9.8
    low, high = measured["dice"]["mean_interval_95"]
    assert 0.9 < low < 0.95 < high < 0.98


def test_the_worst_volume_difference_is_the_largest_either_way() -> None:
    rows = [row_of("a", 0.9, volume_difference_percent=-12.0), row_of("b", 0.9, volume_difference_percent=5.0)]
    assert summarise(rows)["test"]["metrics"]["volume_difference_percent"]["worst"] == -12


def test_degraded_scans_count_in_no_group_but_their_own() -> None:
    summary = summarise(
        [row_of("a", 0.96), row_of("a", 0.5, "streaks"), row_of("b", 0.94), row_of("b", 0.7, "streaks")]
    )
    assert (summary["test"]["cases"], summary["test"]["dice_mean"]) == (2, 0.95)
    assert summary["by_dataset"]["ircad"]["dice_worst"] == 0.94
    streaks = summary["by_degradation"]["streaks"]["test"]
    assert (streaks["dice_mean"], streaks["dice_mean_change"]) == (0.6, -0.35)


def test_a_liver_not_found_leaves_valid_json() -> None:
    rows = [row_of("a", 0.0, hd95_mm=float("inf")), row_of("b", 0.9, hd95_mm=2.0)]
    summary = summarise(rows)
    json.dumps(summary, allow_nan=False)
    assert summary["test"]["metrics"]["hd95_mm"]["mean"] is None
    assert "hd95_mm" not in summary["test"]["per_case"]["a"]


def test_the_interval_of_the_mean_is_about_two_standard_errors() -> None:
    scores = np.random.default_rng(0).normal(0.95, 0.02, 100)
    interval = bootstrap_interval(scores, map(str, range(100)))
    assert interval is not None
    assert interval[1] - interval[0] == pytest.approx(2 * 1.96 * scores.std(ddof=1) / 10, rel=0.1)
    assert interval == bootstrap_interval(scores, map(str, range(100)))


def test_copies_of_a_patient_s_scan_make_the_interval_no_narrower() -> None:
    scores, patients = [0.9, 0.95, 0.97, 0.99], ["a", "b", "c", "d"]
    assert bootstrap_interval(scores * 5, patients * 5) == pytest.approx(bootstrap_interval(scores, patients))


def test_one_patient_has_no_interval() -> None:
    assert bootstrap_interval([0.9, 0.95], ["a", "a"]) is None


def test_a_folder_of_anyone_s_scans_is_read(tmp_path: Path) -> None:
    for seed, name in enumerate(("b", "a")):
        phantom = make_phantom(seed, shape=(8, 32, 32), spacing=(24.0, 11.0, 11.0))
        write_ct(tmp_path / f"{name}_ct.nii.gz", phantom.ct)
        write_labels(tmp_path / f"{name}_liver.nii.gz", np.minimum(phantom.labels, 1), phantom.ct.affine)
    write_ct(tmp_path / "alone_ct.nii.gz", phantom.ct)
    cases = list(folder_cases(tmp_path))
    assert [case.name for case in cases] == ["a", "b"]
    assert not cases[0].tumour_labelled
    assert cases[0].ct.hu.shape == cases[0].reference.shape


def test_an_empty_folder_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no case"):
        evaluate(folder_cases(tmp_path), Stub(bright), tmp_path / "out")


def test_degradations_are_chosen_by_name() -> None:
    assert degradation_names("all") == list(DEGRADATIONS)
    assert degradation_names("streaks,cropped") == ["streaks", "cropped"]
    with pytest.raises(argparse.ArgumentTypeError, match="no degradation 'fog'"):
        degradation_names("fog")


def test_the_held_out_scans_are_test_validation_native_and_phantoms(shared_data: Path) -> None:
    cases = [(case.group, case.name, case.dataset) for case in held_out_cases(shared_data, ["lits_023"])]
    assert ("test", "ircad_e19", "ircad") in cases and ("test", "ircad_e20", "ircad") in cases
    assert {group for group, _, _ in cases} == {"test", "validation", "native", "phantom"}
    assert ("native", "ircad_e19", "native") in cases


def test_scans_of_any_catalogue_are_found_by_name(shared_data: Path) -> None:
    cases = list(named_cases(shared_data, ["train", "more", "slices"], ["btcv_000[34]", "lits_017*"]))
    assert [(case.name, case.group, case.tumour_labelled) for case in cases] == [
        ("btcv_0003", "btcv", False),
        ("btcv_0004", "btcv", False),
    ]
