"""The bundled network of the vessels on patients that it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.inference.vessels import contrast_hu, find_vessels
from LiverSegLib.io.files import read_ct
from LiverSegLib.model.vessel_model import VesselModel
from Training.data.catalogue import read_values
from Training.data.degradation.contrast import no_contrast


@pytest.fixture(scope="module")
def patient_19(shared_data: Path) -> CTVolume:
    return read_ct(shared_data / "native" / "ircad_e19_ct.nii.gz")


@pytest.fixture(scope="module")
def found(the_segmenter: Segmenter, patient_19: CTVolume) -> Segmentation:
    return the_segmenter.segment(patient_19, SegmentOptions(vessels=True))


def test_vessels_are_a_bright_part_of_the_liver(found: Segmentation, patient_19: CTVolume) -> None:
    vessels = found.anatomy.vessels
    assert not (vessels & (found.labels == 0)).any()
    assert 0.01 < vessels.sum() / (found.labels > 0).sum() < 0.1
    assert contrast_hu(patient_19.hu, found.labels, vessels) > 25
    assert messages.FAINT_VESSELS not in found.warnings


@pytest.mark.parametrize("name", ["ircad_e19", "ircad_e20"])
def test_vessels_within_the_reference_agree_with_its_reader(shared_data: Path, name: str) -> None:
    ct = read_ct(shared_data / "train" / f"{name}_ct.nii.gz").canonical()
    liver = read_values(shared_data / "train" / f"{name}_liver.nii.gz")
    reference = read_values(shared_data / "anatomy" / f"{name}_vessels.nii.gz")
    box, vessels = find_vessels(VesselModel.load(), ct, liver, ProgressReporter())
    assert dice(vessels, (reference[box] > 0) & (liver[box] > 0)) > 0.7


def test_without_contrast_medium_there_is_a_warning(
    the_segmenter: Segmenter, found: Segmentation, patient_19: CTVolume
) -> None:
    canonical, labels = patient_19.canonical(), patient_19.geometry.to_canonical(found.labels)
    plain, _ = no_contrast(canonical, labels, np.random.default_rng(0))
    result = the_segmenter.segment(plain, SegmentOptions(vessels=True))
    assert {messages.FAINT_VESSELS, messages.NO_VESSELS} & set(result.warnings)
