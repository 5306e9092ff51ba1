"""DICOM series of MR: read as what they are, beside CT only if asked for, and a SEG that refers to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, generate_uid

from LiverSegLib.batch.find import search_cases
from LiverSegLib.data.modality import MR
from LiverSegLib.data.structures import LIVER
from LiverSegLib.dicom import find_series, read_files, read_series
from LiverSegLib.dicom.measurements import write_measurements
from LiverSegLib.dicom.segmentation import check_can_write, write_segmentation
from LiverSegLib.errors import InputError
from LiverSegLib.model.liver_model import LiverModel
from Testing.dicom_files import multi_frame_of, save, slices_of

# pytest takes back the filters that LiverSegLib.dicom sets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]

AFFINE = np.diag((-1.5, -1.5, 6.0, 1.0))
SIGNAL = np.random.default_rng(0).integers(0, 1500, (6, 8, 9)).astype(np.int16)
AS_MR = {"Modality": "MR", "SOPClassUID": MRImageStorage}


def mr_slices(signal: np.ndarray = SIGNAL, **changes: object) -> list[pydicom.FileDataset]:
    """MR as scanners write it: stored numbers are the signal, and no rescaling is told."""
    images = slices_of(signal, AFFINE, **AS_MR, **changes)
    for image in images:
        image.PixelData = signal[image.InstanceNumber - 1].astype("<u2").tobytes()
        del image.RescaleIntercept, image.RescaleSlope
    return images


def test_a_series_of_mr_is_read_and_known_as_one(tmp_path: Path) -> None:
    save(mr_slices(), tmp_path)
    mr = read_series(tmp_path)
    assert mr.modality == MR and np.allclose(mr.affine, AFFINE)
    assert np.corrcoef(mr.hu.ravel(), SIGNAL.ravel())[0, 1] > 0.999999


def test_slopes_that_differ_from_slice_to_slice_are_applied_before_anything_is_rounded(tmp_path: Path) -> None:
    images = mr_slices()
    slopes = np.linspace(1e-4, 3e-4, len(images))
    for image, slope in zip(images, slopes, strict=True):
        image.RescaleSlope, image.RescaleIntercept = f"{slope:.8f}", 0
    save(images, tmp_path)
    signal = SIGNAL * slopes[:, None, None]
    assert np.corrcoef(read_series(tmp_path).hu.ravel(), signal.ravel())[0, 1] > 0.99999


def test_an_enhanced_mr_is_read(tmp_path: Path) -> None:
    image = multi_frame_of(SIGNAL, AFFINE)
    image.Modality, image.SOPClassUID = "MR", EnhancedMRImageStorage
    save([image], tmp_path)
    mr = read_series(tmp_path)
    assert mr.modality == MR and mr.hu.shape == SIGNAL.shape


def test_beside_a_ct_the_ct_is_meant_unless_mr_is_asked_for(tmp_path: Path) -> None:
    save(slices_of(SIGNAL, AFFINE), tmp_path, "ct")
    save(mr_slices(), tmp_path, "mr")
    assert read_series(tmp_path).modality == "CT"
    assert read_series(tmp_path, modality="mr").modality == MR


def test_what_was_not_asked_for_is_refused_by_name(tmp_path: Path) -> None:
    paths = save(mr_slices(), tmp_path)
    for place in (tmp_path, paths[0]):
        with pytest.raises(InputError, match="modality MR"):
            read_series(place, modality="ct")


def test_several_series_of_mr_are_told_apart(tmp_path: Path) -> None:
    save(mr_slices(SeriesDescription="T2"), tmp_path, "a")
    save(mr_slices(SeriesDescription="T1"), tmp_path, "b")
    with pytest.raises(InputError, match=r"T1, MR.*T2, MR|T2, MR.*T1, MR"):
        read_series(tmp_path)
    assert [series.modality for series in find_series(tmp_path).series] == ["MR", "MR"]


@pytest.mark.parametrize("choice, found", [("auto", 2), ("ct", 1), ("mr", 1)])
def test_a_batch_takes_what_was_asked_for(tmp_path: Path, choice: str, found: int) -> None:
    save(slices_of(SIGNAL, AFFINE), tmp_path / "a")
    save(mr_slices(), tmp_path / "b")
    search = search_cases(tmp_path, modality=choice)
    assert len(search.cases) == found and len(search.left_out) == (2 - found)


def test_a_seg_and_a_report_of_mr_say_what_they_are_of(tmp_path: Path) -> None:
    files = save(mr_slices(SeriesInstanceUID=generate_uid()), tmp_path / "mr")
    card = replace(LiverModel.load().card, name="liver_mr_unet", modality=MR)
    labels = np.zeros(SIGNAL.shape, np.uint8)
    labels[2:4, 2:6, 3:7] = 1
    check_can_write(files)
    write_segmentation(tmp_path / "liver.dcm", labels, files, card)
    segmentation = highdicom.seg.segread(tmp_path / "liver.dcm")
    assert segmentation.SeriesDescription.endswith("MR (experimental)")
    assert segmentation.get_volume(segment_numbers=[1]).array.sum() == labels.sum()
    assert np.allclose(read_files(files).affine, AFFINE)
    referred = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    assert {instance.ReferencedSOPClassUID for instance in referred} == {MRImageStorage}
    write_measurements(tmp_path / "volumes.dcm", tmp_path / "liver.dcm", files, card, {LIVER: 12.0})
    report = pydicom.dcmread(tmp_path / "volumes.dcm")
    procedures = [item for item in report.ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "121058"]
    assert procedures[0].ConceptCodeSequence[0].CodeValue == codes.LN.MRIUnspecifiedBodyRegion.value
