"""All that can be asked for, of scans that make it hard: what is found adds up, and what cannot be told is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib import messages
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.evaluation.report import SegmentationReport
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from Training.data.catalogue import read_values
from Training.data.unenhanced import remove_contrast

ALL = SegmentOptions(tumour=True, segments=True, vessels=True, spleen=True)
FAT_HU = -100
# The slices of patient 20 that a_test_patient has.
SLICES = slice(112, 222)


@dataclass(frozen=True)
class Patient:
    """A scan with its reader's Couinaud segments, 0 outside the liver; both (k, j, i)."""

    ct: CTVolume
    segments: np.ndarray

    def with_hu(self, hu: np.ndarray) -> CTVolume:
        return replace(self.ct, hu=np.rint(hu).astype(np.int16))


@pytest.fixture(scope="module")
def patient(a_test_patient: CTVolume, shared_data: Path) -> Patient:
    return Patient(a_test_patient, read_values(shared_data / "anatomy" / "ircad_e20_couinaud.nii.gz")[SLICES])


def plain(patient: Patient) -> CTVolume:
    """Without contrast medium."""
    liver = torch.from_numpy((patient.segments > 0).astype(np.float32))
    hu = torch.from_numpy(patient.ct.hu.astype(np.float32))
    return patient.with_hu(remove_contrast(hu, liver, liver, np.random.default_rng(0)).numpy())


def after_right_hepatectomy(patient: Patient) -> CTVolume:
    return patient.with_hu(np.where(patient.segments > 4, FAT_HU, patient.ct.hu))


def cut_off(patient: Patient) -> CTVolume:
    slices = np.flatnonzero(patient.segments.any(axis=(1, 2)))
    return replace(patient.ct, hu=patient.ct.hu[slices[len(slices) // 2] :])


def single_slice(patient: Patient) -> CTVolume:
    k = int(np.argmax((patient.segments > 0).sum(axis=(1, 2))))
    return replace(patient.ct, hu=patient.ct.hu[k : k + 1])


def tip(patient: Patient) -> CTVolume:
    slices = np.flatnonzero(patient.segments.any(axis=(1, 2)))
    return replace(patient.ct, hu=patient.ct.hu[: slices[0] + 6])


OF_SO_LITTLE = (messages.NO_SEGMENTS_OF_SO_LITTLE, messages.NO_VESSELS_OF_SO_LITTLE)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda patient: patient.ct, ()),
        (plain, (messages.FAINT_VESSELS,)),
        (after_right_hepatectomy, ()),
        (cut_off, (messages.LIVER_CUT_AT_ENDS, messages.SEGMENTS_OF_A_PART, messages.VESSELS_OF_A_PART)),
        (single_slice, OF_SO_LITTLE),
        (tip, (messages.LIVER_CUT_AT_ENDS, *OF_SO_LITTLE)),
    ],
    ids=["as it is", "plain", "right hepatectomy", "cut off", "single slice", "tip"],
)
def test_a_hard_scan_gives_what_adds_up_or_a_reason(
    the_segmenter: Segmenter, patient: Patient, make: Callable[[Patient], CTVolume], expected: tuple[str, ...]
) -> None:
    ct = make(patient)
    found = the_segmenter.segment(ct, ALL)
    about_anatomy = {messages.FAINT_VESSELS, messages.NO_VESSELS, *OF_SO_LITTLE}
    assert set(expected) <= set(found.warnings)
    assert about_anatomy & set(found.warnings) <= set(expected)
    assert_adds_up(found, ct)


def assert_adds_up(found: Segmentation, ct: CTVolume) -> None:
    liver, anatomy = found.labels > 0, found.anatomy
    told = SegmentationReport.of(found, ct.spacing, input="", output="", hu=ct.hu, tumour=True).to_dict()
    if anatomy.segments is not None:
        assert np.array_equal(anatomy.segments > 0, liver)
        assert sum(told["segments_ml"].values()) == pytest.approx(told["liver_volume_ml"], abs=1e-9)
        assert sum(told["segments_percent"].values()) == pytest.approx(100, abs=1e-9)
        assert sum(told["segments_tumour_ml"].values()) == pytest.approx(told["tumour_volume_ml"], abs=1e-9)
    assert anatomy.vessels is None or not (anatomy.vessels & ~liver).any()
    if anatomy.spleen is not None:
        assert not (anatomy.spleen & liver).any() and "attenuation_remark" in told
        plain_or_thin = told["attenuation_hu"]["spleen"] is None or told["attenuation_hu"]["spleen"] <= 70
        assert plain_or_thin == (told["attenuation_remark"] != messages.CONTRAST_REMARK)
