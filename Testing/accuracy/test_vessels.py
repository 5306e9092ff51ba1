"""The bundled network of the vessels on patients that it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.inference.vessels import are_faint, find_vessels
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


def test_vessels_are_a_part_of_the_liver(found: Segmentation) -> None:
    vessels = found.anatomy.vessels
    assert not (vessels & (found.labels == 0)).any()
    assert 0.01 < vessels.sum() / (found.labels > 0).sum() < 0.1
    assert messages.FAINT_VESSELS not in found.warnings


@pytest.mark.parametrize("name", ["ircad_e19", "ircad_e20"])
def test_vessels_within_the_reference_agree_with_its_reader(shared_data: Path, name: str) -> None:
    ct = read_ct(shared_data / "train" / f"{name}_ct.nii.gz").canonical()
    liver = read_values(shared_data / "train" / f"{name}_liver.nii.gz")
    reference = read_values(shared_data / "anatomy" / f"{name}_vessels.nii.gz")
    box, vessels = find_vessels(VesselModel.load(), ct, liver, ProgressReporter())
    assert dice(vessels, (reference[box] > 0) & (liver[box] > 0)) > 0.7


@pytest.mark.parametrize("name", ["ircad_e19", "ircad_e20"])
def test_vessels_are_faint_without_contrast_medium_alone(shared_data: Path, name: str) -> None:
    ct = read_ct(shared_data / "train" / f"{name}_ct.nii.gz").canonical()
    labels = read_values(shared_data / "train" / f"{name}_liver.nii.gz")
    around = box_of(labels)
    liver, inside = labels[around], CTVolume(ct.hu[around], ct.affine)
    plain, _ = no_contrast(inside, liver, np.random.default_rng(0))
    for scan, faint in ((inside, False), (plain, True)):
        box, vessels = find_vessels(VesselModel.load(), scan, liver, ProgressReporter())
        assert are_faint(scan.hu[box], liver[box], vessels) == faint
