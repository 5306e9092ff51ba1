"""The report's numbers, its files and its lines for people."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.places import Place
from LiverSegLib.errors import OutputError
from LiverSegLib.evaluation.report import SegmentationReport

SPACING = (5.0, 2.0, 1.0)  # one voxel is 0.01 ml
KEYS = ["input", "output", "model", "device", "seconds", "liver_volume_ml", "tumour_volume_ml", "warnings"]
COMPARISON_KEYS = ["dice", "iou", "hd95_mm", "assd_mm", "volume_difference_percent"]


def segmentation(labels: np.ndarray, **changes) -> SimpleNamespace:
    """What the segmenter returns, without the network."""
    content = {
        "labels": labels,
        "affine": np.diag((-SPACING[2], -SPACING[1], SPACING[0], 1.0)),
        "warnings": ("The slices are thick.",),
        "seconds": {"load": 0.5, "preprocess": 1.25, "network": 5.0, "postprocess": 0.25},
        "device": "cpu",
        "model": SimpleNamespace(name="liver-unet", version="1.0", sha256="ab" * 32, modality="CT"),
        "quality": None,
        "anatomy": Anatomy(),
        "places": (),
        "corrections": 0,
    }
    return SimpleNamespace(**{**content, **changes})


@pytest.fixture
def labels() -> np.ndarray:
    """1000 voxels of liver, of which 100 tumour."""
    result = np.zeros((14, 14, 14), np.uint8)
    result[2:12, 2:12, 2:12] = 1
    result[5, 2:12, 2:12] = 2
    return result


def report_of(found: SimpleNamespace, **options) -> SegmentationReport:
    return SegmentationReport.of(found, SPACING, input="ct.nii.gz", output="liver.nii.gz", **options)


def test_it_has_exactly_the_keys_of_the_contract(labels: np.ndarray) -> None:
    content = report_of(segmentation(labels)).to_dict()
    assert list(content) == KEYS
    assert list(content["model"]) == ["name", "version", "sha256"]
    assert list(content["seconds"]) == ["load", "preprocess", "network", "postprocess", "write", "total"]
    compared = report_of(segmentation(labels), reference=labels).to_dict()
    assert list(compared) == KEYS + COMPARISON_KEYS


def test_of_mr_it_says_so_and_tells_of_the_liver_alone(labels: np.ndarray) -> None:
    card = SimpleNamespace(name="liver-mr", version="1.0", sha256="ab" * 32, modality="MR")
    found = segmentation((labels > 0).astype(np.uint8), model=card)
    report = report_of(found, tumour=True, hu=np.full(labels.shape, 60, np.int16))
    assert report.to_dict()["modality"] == "MR (experimental)" and report.to_row()["modality"] == "MR (experimental)"
    assert "MR (experimental)" in report.summary()
    assert report.tumour_volume_ml is None and not any("attenuation" in key for key in report.to_dict())
    assert report_of(segmentation(labels)).to_row()["modality"] == "CT"


def test_the_expected_dice_is_told_where_it_is_known(labels: np.ndarray) -> None:
    report = report_of(segmentation(labels, quality=0.91234))
    assert list(report.to_dict()) == [*KEYS, "quality"]
    assert report.to_dict()["quality"] == 0.912
    assert "0.91" in report.summary()
    assert report_of(segmentation(labels)).to_row()["quality"] is None


def test_places_to_check_are_told_in_every_form(labels: np.ndarray) -> None:
    place = Place(41, (-12.345, 6.0, 7.0), ml=12.3456, side="left", height="upper", inside=False)
    report = report_of(segmentation(labels, places=(place,)))
    [content] = report.to_dict()["places"]
    assert content["slice"] == 41 and content["position_mm"] == [-12.35, 6.0, 7.0] and content["ml"] == 12.35
    sentence = "slice 42, upper left part of the liver: 12 ml in doubt, mostly left out"
    assert sentence in report.summary() and report.to_row()["places"] == f"{sentence}."
    json.dumps(report.to_dict())


def test_volumes_are_voxels_times_the_voxel_volume(labels: np.ndarray) -> None:
    report = report_of(segmentation(labels))
    assert report.liver_volume_ml == pytest.approx(10.0)
    assert report.tumour_volume_ml == pytest.approx(1.0)


def test_the_volume_of_an_oblique_voxel_is_that_of_its_parallelepiped(labels: np.ndarray) -> None:
    sheared = np.diag((1.0, 2.0, 5.0, 1.0))
    sheared[0, 2] = 3.0  # as a tilted gantry's slices lie
    assert report_of(segmentation(labels, affine=sheared)).liver_volume_ml == pytest.approx(10.0)


def test_tumours_that_were_not_asked_for_have_no_volume(labels: np.ndarray) -> None:
    found = segmentation(np.minimum(labels, 1))
    assert report_of(found).to_dict()["tumour_volume_ml"] is None
    assert report_of(found, tumour=True).to_dict()["tumour_volume_ml"] == 0


def test_the_comparison_counts_tumours_as_liver(labels: np.ndarray) -> None:
    report = report_of(segmentation(labels), reference=np.minimum(labels, 1))
    assert report.dice == 1.0
    assert report.assd_mm == 0.0


def test_times_are_those_of_the_stages_with_writing_and_a_total(labels: np.ndarray) -> None:
    assert report_of(segmentation(labels), write_seconds=0.5).seconds == {
        "load": 0.5,
        "preprocess": 1.25,
        "network": 5.0,
        "postprocess": 0.25,
        "write": 0.5,
        "total": 7.5,
    }


def test_json_reads_back_as_it_was_written(labels: np.ndarray, tmp_path: Path) -> None:
    report = report_of(segmentation(labels), reference=labels)
    report.write_json(tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text(encoding="utf-8")) == report.to_dict()
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]


def test_infinite_distances_are_written_as_null(labels: np.ndarray, tmp_path: Path) -> None:
    report = report_of(segmentation(np.zeros_like(labels)), reference=labels)
    report.write_json(tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert content["dice"] == 0
    assert content["hd95_mm"] is None
    assert content["assd_mm"] is None


def test_numbers_are_rounded_to_what_they_mean(labels: np.ndarray) -> None:
    labels[2, 2, 2:5] = 0
    found = segmentation(labels, seconds={"load": 1 / 3, "preprocess": 0, "network": 0, "postprocess": 0})
    content = report_of(found, reference=np.ones_like(labels)).to_dict()
    assert content["seconds"]["load"] == 0.333
    assert content["dice"] == round(2 * 997 / (997 + 14**3), 4)
    assert content["liver_volume_ml"] == 9.97


def test_csv_has_the_same_columns_with_and_without_a_reference(labels: np.ndarray, tmp_path: Path) -> None:
    reports = {"with": report_of(segmentation(labels), reference=labels), "without": report_of(segmentation(labels))}
    tables = {}
    for name, report in reports.items():
        report.write_csv(tmp_path / name)
        with (tmp_path / name).open(encoding="utf-8-sig", newline="") as file:
            tables[name] = list(csv.DictReader(file))
    assert [len(rows) for rows in tables.values()] == [1, 1]
    assert list(tables["with"][0]) == list(tables["without"][0])
    row = tables["with"][0]
    assert {"model_name", "model_sha256", "seconds_network", "seconds_total"} <= set(row)
    assert (row["dice"], tables["without"][0]["dice"]) == ("1.0", "")
    assert float(row["liver_volume_ml"]) == 10.0
    assert row["warnings"] == "The slices are thick."


# ---- segments, vessels and spleen ------------------------------------------------------------------------------------


@pytest.fixture
def anatomy(labels: np.ndarray) -> Anatomy:
    """Segments 4, 5 and 8 from right to left, a spleen of 500 voxels that touches nothing, and vessels."""
    segments = np.where(labels > 0, np.array([4] * 5 + [5] * 4 + [8] * 5), 0).astype(np.uint8)
    spleen = np.zeros(labels.shape, bool)
    spleen[13, 13] = True
    return Anatomy(segments, spleen, (labels > 0) & (np.arange(14)[:, None, None] == 5))


def test_segments_vessels_spleen_and_tumours_are_told_where_they_were_asked_for(labels, anatomy) -> None:
    content = report_of(segmentation(labels, anatomy=anatomy)).to_dict()
    assert list(content) == [
        *KEYS,
        "segments_ml",
        "segments_percent",
        "segments_tumour_ml",
        "tumours",
        "vessels_volume_ml",
        "spleen_volume_ml",
    ]
    assert sum(content["segments_ml"].values()) == pytest.approx(content["liver_volume_ml"], abs=1e-9)
    assert content["segments_ml"] == {**dict.fromkeys("123", 0.0), "4": 3.0, "5": 4.0, "6": 0.0, "7": 0.0, "8": 3.0}
    assert content["segments_percent"]["5"] == 40.0 and content["spleen_volume_ml"] == 0.14
    assert content["tumours"] == [
        {"volume_ml": 1.0, "diameter_mm": pytest.approx(21.9, abs=0.2), "segments": [5, 4, 8]}
    ]
    for one in ("spleen", "vessels"):
        alone = segmentation(labels, anatomy=Anatomy(**{one: getattr(anatomy, one)}))
        assert list(report_of(alone).to_dict()) == [*KEYS, f"{one}_volume_ml"]


def test_tumours_that_were_asked_for_and_not_found_are_an_empty_list(labels, anatomy) -> None:
    found = segmentation(np.minimum(labels, 1), anatomy=anatomy)
    assert report_of(found, tumour=True).to_dict()["tumours"] == []
    assert "tumours" not in report_of(found).to_dict()


def test_attenuation_comes_with_a_remark_that_tells_of_contrast_medium(labels) -> None:
    wide = np.zeros((14, 14, 60), np.uint8)
    wide[2:12, :, 2:30] = 1
    spleen = np.roll(wide > 0, 30, axis=2)
    for bright, words in ((48, "Park"), (110, "use a scan without contrast medium")):
        hu = np.where(wide > 0, 55.26, 0) + np.where(spleen, bright, 0)
        report = report_of(segmentation(wide, anatomy=Anatomy(spleen=spleen)), hu=hu)
        content = report.to_dict()
        assert content["attenuation_hu"] == {"liver": 55.3, "spleen": bright, "difference": round(55.26 - bright, 1)}
        assert words in content["attenuation_remark"] and words in report.summary()


def test_the_columns_are_the_same_with_and_without_segments(labels, anatomy) -> None:
    timed = segmentation(labels, anatomy=anatomy, seconds={"network": 5.0, "segments": 2.5, "vessels": 1.5})
    plain, full = (report_of(found).to_row() for found in (segmentation(labels), timed))
    assert (plain["seconds_segments"], full["seconds_segments"], full["seconds_total"]) == (None, 2.5, 9.0)
    assert (plain["seconds_vessels"], full["seconds_vessels"]) == (None, 1.5)
    assert list(plain) == list(full)
    assert (full["segments_ml_5"], plain["segments_ml_5"]) == (4.0, None)
    assert full["tumours"].endswith("in segment 5, 4, 8") and plain["tumours"] is None


def test_the_summary_reads_like_a_report(labels, anatomy) -> None:
    summary = report_of(segmentation(labels, anatomy=anatomy)).summary()
    for line in (
        "Couinaud segment 5: 4 ml, 40 %",
        "Tumour 1: 1.0 ml, 22 mm, in segment 5, 4, 8",
        "Liver vessels: 1 ml",
        "Spleen: 0 ml",
    ):
        assert line in summary.split("\n")


@pytest.mark.parametrize("write", [SegmentationReport.write_json, SegmentationReport.write_csv])
def test_a_folder_that_is_not_there_is_told_in_one_sentence(labels: np.ndarray, tmp_path: Path, write) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        write(report_of(segmentation(labels)), tmp_path / "nowhere" / "report")


def test_the_summary_tells_the_main_things(labels: np.ndarray) -> None:
    summary = report_of(segmentation(labels), reference=labels, write_seconds=0.5).summary()
    for part in ("10 ml", "1.0 ml", "Dice: 1.000", "7.5 s on cpu", "network 5.0", "Warning: The slices are thick."):
        assert part in summary
    assert summary.endswith("For research use; not a certified medical device.")


def test_a_readers_corrections_are_counted_where_there_are_any(labels: np.ndarray) -> None:
    corrected, plain = (report_of(segmentation(labels, corrections=count)) for count in (3, 0))
    assert corrected.to_dict()["corrections"] == 3
    assert "Corrected by a reader, strokes: 3" in corrected.summary()
    assert "corrections" not in plain.to_dict() and "orrected" not in plain.summary()
