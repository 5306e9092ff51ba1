"""Segments add up to the liver, and what a resection takes and leaves, too: in all that is written and printed."""

from __future__ import annotations

import csv
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.sr.codedict import codes

from LiverSegLib.data.resection import HEPATECTOMIES
from LiverSegLib.data.structures import COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io import files
from LiverSegLib.phantom import make_phantom
from Testing.anatomy_stand_in import anatomy_of
from Testing.cli.test_dicom_seg import masks_in
from Testing.dicom_files import save, slices_of

# pytest takes back the filters that LiverSegLib.dicom sets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]

ALL = ("--segments", "--vessels", "--spleen", "--tumour")
# Voxels of no round volume, so that rounding could spoil the sums.
SHAPE, SPACING = (6, 64, 64), (4.97, 6.013, 6.013)
WHOLE_NUMBER, PERCENT = r": (\d+) ml", r", (\d+) %"


@pytest.fixture(scope="module")
def a_series(tmp_path_factory) -> Path:
    """A slab of the phantom as DICOM."""
    ct = make_phantom(shape=SHAPE, spacing=SPACING).ct
    folder = tmp_path_factory.mktemp("series")
    save(slices_of(ct.hu, ct.affine), folder)
    return folder


@pytest.fixture(autouse=True)
def stand_in(monkeypatch):
    """The liver is found by the network, all else by plain geometry; the tumours are every seventh column of it."""
    find = Segmenter.segment

    def segment(self, ct, options=None, *arguments, **keywords):
        plain = replace(options, segments=False, vessels=False, spleen=False)
        found = find(self, ct, plain, *arguments, **keywords)
        labels = np.where((found.labels > 0) & (np.arange(ct.hu.shape[2]) % 7 == 0), 2, found.labels)
        return replace(found, labels=labels.astype(np.uint8), anatomy=anatomy_of(labels, options))

    monkeypatch.setattr(Segmenter, "segment", segment)


@pytest.fixture
def result(run, a_series, output_folder):
    """Segment the series with all that there is, into a file of this name: its path, and what was printed."""

    def result(name="liver.seg.nrrd", *options) -> tuple[Path, str]:
        outcome = run("segment", a_series, "-o", output_folder / name, *ALL, *options)
        assert (outcome.exit_code, outcome.errors) == (0, [])
        return output_folder / name, outcome.output

    return result


def assert_adds_up(masks: dict[str, np.ndarray]) -> None:
    """Of the masks of a result by the names of their structures."""
    segments = np.sum([masks[structure.name].astype(int) for structure in COUINAUD], axis=0)
    liver = masks[LIVER.name]
    assert liver.any() and np.array_equal(segments, liver.astype(int))
    for inside in (TUMOUR, VESSELS):
        assert masks[inside.name].any() and not (masks[inside.name] & ~liver).any()
    assert masks[SPLEEN.name].any() and not (masks[SPLEEN.name] & liver).any()


@pytest.mark.parametrize("name", ["liver.seg.nrrd", "liver.nii.gz", "liver.nrrd"])
def test_every_voxel_of_the_liver_in_a_file_is_in_one_segment(result, name):
    back = files.read_result(result(name)[0])
    anatomy = back.anatomy
    masks = {structure.name: anatomy.segments == structure.label for structure in COUINAUD}
    masks |= {LIVER.name: back.liver, TUMOUR.name: back.tumour, SPLEEN.name: anatomy.spleen}
    assert_adds_up({**masks, VESSELS.name: anatomy.vessels})


def test_every_voxel_of_the_liver_in_a_dicom_seg_is_in_one_segment(result, a_series):
    affine = files.read_ct(a_series).affine
    assert_adds_up(masks_in(result("liver.dcm")[0], SHAPE, affine))


def test_volumes_in_a_structured_report_add_up_and_are_those_of_the_report(result, output_folder):
    report = output_folder / "report.json"
    path, _ = result("liver.dcm", "--measurements", output_folder / "sr.dcm", "--report", report)
    labels = {segment.SegmentNumber: segment.SegmentLabel for segment in pydicom.dcmread(path).SegmentSequence}
    groups = MeasurementReport.from_sequence(
        [pydicom.dcmread(output_folder / "sr.dcm")]
    ).get_volumetric_roi_measurement_groups()
    volumes = {
        labels[group.referenced_segment.referenced_segment_numbers[0]]: float(
            group.get_measurements(name=codes.SCT.Volume)[0].value
        )
        for group in groups
    }
    assert sum(volumes[structure.name] for structure in COUINAUD) == pytest.approx(volumes[LIVER.name], abs=1e-9)
    told = json.loads(report.read_text())
    keys = {
        LIVER: "liver_volume_ml",
        TUMOUR: "tumour_volume_ml",
        VESSELS: "vessels_volume_ml",
        SPLEEN: "spleen_volume_ml",
    }
    assert {name: volumes[name.name] for name in keys} == {name: told[key] for name, key in keys.items()}


def test_what_is_reported_and_printed_adds_up(result, output_folder):
    _, printed = result("liver.nii.gz", "--report", output_folder / "report.json")
    told = json.loads((output_folder / "report.json").read_text())
    assert sum(told["segments_ml"].values()) == pytest.approx(told["liver_volume_ml"], abs=1e-9)
    assert sum(told["segments_percent"].values()) == pytest.approx(100, abs=1e-9)
    assert sum(told["segments_tumour_ml"].values()) == pytest.approx(told["tumour_volume_ml"], abs=1e-9)
    hu = told["attenuation_hu"]
    assert hu["difference"] is None or hu["difference"] == pytest.approx(hu["liver"] - hu["spleen"], abs=1e-9)
    assert_printed_adds_up(printed)


def assert_printed_adds_up(printed: str) -> None:
    [liver] = re.findall(f"Liver{WHOLE_NUMBER}", printed)
    segments = re.findall(f"Couinaud segment \\d{WHOLE_NUMBER}{PERCENT}", printed)
    assert len(segments) == 8 and sum(int(ml) for ml, _ in segments) == int(liver)
    assert sum(int(percent) for _, percent in segments) == 100


@pytest.mark.parametrize("name", ["liver.seg.nrrd", "liver.nii.gz"])
def test_what_goes_and_what_stays_are_the_liver_whatever_is_removed(run, result, output_folder, name):
    path, _ = result(name)
    for hepatectomy in HEPATECTOMIES:
        plan = output_folder / "plan.json"
        printed = run("volumetry", path, "--resection", hepatectomy, "--json", plan).output
        assert_printed_adds_up(printed)
        told = json.loads(plan.read_text())
        planned = told["resection"]
        assert planned["removed_ml"] + planned["remnant_ml"] == pytest.approx(told["liver_volume_ml"], abs=1e-9)
        removed = sum(told["segments_ml"][str(number)] for number in planned["removed_segments"])
        assert planned["removed_ml"] == pytest.approx(removed, abs=1e-9)
        parts = [re.findall(f"{words}{WHOLE_NUMBER}{PERCENT}", printed)[0] for words in ("Removed", "liver remnant")]
        assert sum(int(ml) for ml, _ in parts) == int(re.findall(f"Liver{WHOLE_NUMBER}", printed)[0])
        assert sum(int(percent) for _, percent in parts) == 100


def test_the_tables_of_a_batch_add_up(run, a_series, output_folder):
    assert run("batch", a_series, "-o", output_folder, *ALL, "--no-pictures").exit_code == 0
    with (output_folder / "results.csv").open(encoding="utf-8-sig", newline="") as table:
        [row] = csv.DictReader(table)
    volumes = [float(row[f"segments_ml_{structure.label}"]) for structure in COUINAUD]
    assert sum(volumes) == pytest.approx(float(row["liver_volume_ml"]), abs=1e-9)
