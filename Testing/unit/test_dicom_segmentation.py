"""DICOM SEG and structured report: the labels come back voxel for voxel, and everything says where it comes from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from highdicom.sr import MeasurementReport
from pydicom.sr.codedict import codes

from LiverSegLib import __version__
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.structures import COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS, masks_of
from LiverSegLib.dicom import one_series, read_files
from LiverSegLib.dicom.measurements import write_measurements
from LiverSegLib.dicom.segmentation import check_can_write, write_segmentation
from LiverSegLib.errors import OutputError
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import make_phantom
from Testing.dicom_files import LPS_TO_RAS, multi_frame_of, save, slices_of

# pytest takes back the filters that LiverSegLib.dicom sets.
pytestmark = [
    pytest.mark.filterwarnings("ignore::UserWarning:pydicom"),
    pytest.mark.filterwarnings("ignore::UserWarning:highdicom"),
]


@pytest.fixture(scope="module")
def a_phantom_slab():
    """A slab of the phantom with liver and tumour."""
    phantom = make_phantom(shape=(10, 48, 40), spacing=(16.0, 7.0, 8.0))
    phantom.labels[4:6, 20:24, 12:15] = 2
    phantom.labels[[0, 9]] = 0
    return phantom


@pytest.fixture(scope="module")
def card():
    """The card of the bundled network."""
    return LiverModel.load().card


@pytest.fixture
def series(a_phantom_slab, tmp_path):
    """The slab as files."""
    return save(slices_of(a_phantom_slab.ct.hu, a_phantom_slab.ct.affine), tmp_path / "ct")


@pytest.fixture(scope="module")
def an_anatomy(a_phantom_slab):
    """Segments 1 to 8 without 6, as slabs of the liver, vessels in it, and a spleen beside it."""
    liver = a_phantom_slab.labels > 0
    columns = np.array([1, 2, 3, 4, 5, 7, 8])[np.arange(liver.shape[2]) // 3 % 7]
    vessels = liver & (np.arange(liver.shape[1]) % 5 == 0)[:, None]
    return Anatomy(np.where(liver, columns, 0).astype(np.uint8), np.roll(liver, 5, axis=0) & ~liver, vessels)


@pytest.fixture
def written(series, a_phantom_slab, card, tmp_path):
    """Labels of the slab written as a SEG for its series, or for others."""

    def written(labels=a_phantom_slab.labels, files=series, anatomy=None) -> Path:
        path = tmp_path / "liver.dcm"
        write_segmentation(path, labels, files, card, anatomy=anatomy)
        return path

    return written


def labels_in(path: Path, like: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """The labels of a SEG on a grid, each frame put where it says it lies; tumours count in the liver as well."""
    segmentation = highdicom.seg.segread(path)
    labels = np.zeros_like(like)
    to_index = np.linalg.inv(affine) @ LPS_TO_RAS
    for frame, groups in zip(
        segmentation.pixel_array.reshape(-1, *like.shape[1:]),
        segmentation.PerFrameFunctionalGroupsSequence,
        strict=True,
    ):
        number = groups.SegmentIdentificationSequence[0].ReferencedSegmentNumber
        place = to_index @ (*groups.PlanePositionSequence[0].ImagePositionPatient, 1)
        assert np.allclose(place, np.rint(place), atol=1e-3)
        k = round(place[2])
        labels[k] = np.maximum(labels[k], frame * number)
    return labels


def sequences_of(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path)


def test_the_labels_come_back_voxel_for_voxel(written, a_phantom_slab, series):
    back = labels_in(written(), a_phantom_slab.labels, read_files(series).affine)
    assert np.array_equal(back, a_phantom_slab.labels)


def test_a_tilted_gantry_keeps_every_label_on_its_slice(a_phantom_slab, written, tmp_path):
    c, s = np.cos(0.3), np.sin(0.3)
    affine = a_phantom_slab.ct.affine.copy()
    affine[:3, :2] = np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ affine[:3, :2]
    files = save(slices_of(a_phantom_slab.ct.hu, affine), tmp_path / "tilted")
    assert np.array_equal(labels_in(written(files=files), a_phantom_slab.labels, affine), a_phantom_slab.labels)


def test_the_frames_of_a_multi_frame_image_are_referred_to_by_number(a_phantom_slab, written, tmp_path):
    ct = a_phantom_slab.ct
    order = np.random.default_rng(0).permutation(len(ct.hu)).tolist()
    image = multi_frame_of(ct.hu, ct.affine, order)
    files = save([image], tmp_path / "multi")

    path = written(files=files)

    assert np.array_equal(labels_in(path, a_phantom_slab.labels, ct.affine), a_phantom_slab.labels)
    for groups in sequences_of(path).PerFrameFunctionalGroupsSequence:
        source = groups.DerivationImageSequence[0].SourceImageSequence[0]
        assert source.ReferencedSOPInstanceUID == image.SOPInstanceUID
        there = image.PerFrameFunctionalGroupsSequence[int(source.ReferencedFrameNumber) - 1]
        assert there.PlanePositionSequence == groups.PlanePositionSequence


def test_groups_that_only_the_frames_of_a_multi_frame_image_have_do(a_phantom_slab, written, tmp_path):
    ct = a_phantom_slab.ct
    image = multi_frame_of(ct.hu, ct.affine)
    shared = image.SharedFunctionalGroupsSequence[0]
    for groups in image.PerFrameFunctionalGroupsSequence:
        groups.PlaneOrientationSequence = shared.PlaneOrientationSequence
        groups.PixelMeasuresSequence = shared.PixelMeasuresSequence
    del image.SharedFunctionalGroupsSequence
    files = save([image], tmp_path / "multi")
    assert np.array_equal(labels_in(written(files=files), a_phantom_slab.labels, ct.affine), a_phantom_slab.labels)


def test_every_frame_refers_to_the_slice_that_it_lies_on(written, series):
    slices = {dataset.SOPInstanceUID: dataset for dataset in map(pydicom.dcmread, series)}
    segmentation = sequences_of(written())
    for groups in segmentation.PerFrameFunctionalGroupsSequence:
        source = slices[groups.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID]
        assert source.ImagePositionPatient == groups.PlanePositionSequence[0].ImagePositionPatient
    referred = segmentation.ReferencedSeriesSequence[0]
    first = next(iter(slices.values()))
    assert referred.SeriesInstanceUID == first.SeriesInstanceUID
    assert {item.ReferencedSOPInstanceUID for item in referred.ReferencedInstanceSequence} == set(slices)
    assert segmentation.StudyInstanceUID == first.StudyInstanceUID
    assert segmentation.FrameOfReferenceUID == first.FrameOfReferenceUID
    assert segmentation.SeriesInstanceUID != first.SeriesInstanceUID


def test_the_segments_are_coded_and_say_which_network_made_them(written, card):
    segmentation = sequences_of(written())
    liver, tumour = segmentation.SegmentSequence
    code = lambda sequence: (sequence[0].CodingSchemeDesignator, sequence[0].CodeValue)  # noqa: E731
    assert code(liver.SegmentedPropertyCategoryCodeSequence) == ("SCT", "123037004")
    assert code(liver.SegmentedPropertyTypeCodeSequence) == ("SCT", "10200004")
    assert code(tumour.SegmentedPropertyCategoryCodeSequence) == ("SCT", "49755003")
    assert code(tumour.SegmentedPropertyTypeCodeSequence) == ("SCT", "4147007")
    assert code(tumour.AnatomicRegionSequence) == ("SCT", "10200004")
    for segment in (liver, tumour):
        algorithm = segment.SegmentationAlgorithmIdentificationSequence[0]
        assert segment.SegmentAlgorithmType == "AUTOMATIC"
        assert (algorithm.AlgorithmName, algorithm.AlgorithmVersion) == (card.name, card.version)
        assert card.sha256 in algorithm.AlgorithmParameters
    assert (segmentation.SegmentationType, segmentation.Modality) == ("BINARY", "SEG")
    assert segmentation.SoftwareVersions == __version__
    assert "Liver" in segmentation.SeriesDescription
    assert segmentation.ContentCreatorName


def test_patient_and_study_are_those_of_the_ct(written, series):
    ct, segmentation = pydicom.dcmread(series[0]), sequences_of(written())
    for keyword in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyID"):
        assert segmentation[keyword] == ct[keyword]


def test_without_a_tumour_there_is_no_segment_for_it(written, a_phantom_slab):
    segmentation = sequences_of(written((a_phantom_slab.labels > 0).astype(np.uint8)))
    assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["Liver"]


def test_slices_without_a_liver_have_no_frame(written, a_phantom_slab):
    masks = [a_phantom_slab.labels > 0, a_phantom_slab.labels == 2]
    frames = sum(int(mask.any(axis=(1, 2)).sum()) for mask in masks)
    assert sequences_of(written()).NumberOfFrames == frames


def test_no_liver_at_all_is_an_empty_segment(written, a_phantom_slab):
    nothing = np.zeros_like(a_phantom_slab.labels)
    path = written(nothing)
    assert [segment.SegmentLabel for segment in sequences_of(path).SegmentSequence] == ["Liver"]
    assert not highdicom.seg.segread(path).pixel_array.any()


def test_copies_of_slices_in_the_folder_change_nothing(series, written, a_phantom_slab, tmp_path):
    for path in series[2:5]:
        shutil.copy(path, path.with_name(f"copy_{path.name}"))
    files = one_series(series[0].parent).files
    assert len(files) == len(series) + 3
    back = labels_in(written(files=files), a_phantom_slab.labels, a_phantom_slab.ct.affine)
    assert np.array_equal(back, a_phantom_slab.labels)


@pytest.mark.parametrize("keyword", ["FrameOfReferenceUID", "StudyInstanceUID"])
def test_a_series_that_nothing_can_refer_to_is_told_before_the_work(a_phantom_slab, card, tmp_path, keyword):
    images = slices_of(a_phantom_slab.ct.hu, a_phantom_slab.ct.affine, **{keyword: ""})
    files = save(images, tmp_path / "ct")
    with pytest.raises(OutputError, match=f"{keyword}.*choose .nii.gz"):
        check_can_write(files)
    with pytest.raises(OutputError, match=keyword):
        write_segmentation(tmp_path / "liver.dcm", a_phantom_slab.labels, files, card)
    assert not (tmp_path / "liver.dcm").exists()


def test_several_multi_frame_files_are_told_before_the_work(a_phantom_slab, tmp_path):
    ct = a_phantom_slab.ct
    images = [multi_frame_of(ct.hu[:5], ct.affine), multi_frame_of(ct.hu[5:], shifted(ct.affine, 5))]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(images[1], keyword, images[0][keyword].value)
    files = save(images, tmp_path / "ct")
    assert np.array_equal(read_files(files).hu, ct.hu)
    with pytest.raises(OutputError, match="2 multi-frame files"):
        check_can_write(files)


def shifted(affine: np.ndarray, slices: int) -> np.ndarray:
    """The affine of what remains when the first slices are taken away."""
    rest = affine.copy()
    rest[:3, 3] = (affine @ (0, 0, slices, 1))[:3]
    return rest


def test_a_missing_highdicom_is_told_before_the_work(series, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(OutputError, match="pip install highdicom"):
        check_can_write(series)


def test_when_writing_fails_the_old_file_stays_whole(written, series, a_phantom_slab, card, monkeypatch):
    path = written()
    before = path.read_bytes()

    def disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(highdicom.seg.Segmentation, "save_as", disk_full)
    with pytest.raises(OutputError, match="No space left"):
        write_segmentation(path, a_phantom_slab.labels, series, card)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir() if entry.is_file()] == [path.name]


def test_the_report_gives_the_volumes_in_millilitres_and_refers_to_the_segments(written, series, card, tmp_path):
    segmentation, path = written(), tmp_path / "volumes.dcm"
    write_measurements(path, segmentation, series, card, {LIVER: 1234.5678, TUMOUR: 12.3})

    report = pydicom.dcmread(path)
    content = MeasurementReport.from_sequence([report])
    groups = content.get_volumetric_roi_measurement_groups()
    volumes = {}
    for group in groups:
        (measurement,) = group.get_measurements(name=codes.SCT.Volume)
        assert measurement.unit == pydicom.sr.coding.Code("ml", "UCUM", "ml")
        assert {site.value for site in group.finding_sites} == {codes.SCT.Liver}
        volumes[group.finding_type.value] = float(measurement.value)
    assert volumes == {"10200004": 1234.568, "4147007": 12.3}

    segments = pydicom.dcmread(segmentation)
    assert [group.tracking_uid for group in groups] == [segment.TrackingUID for segment in segments.SegmentSequence]
    referred = [group.reference_type for group in groups]
    assert referred == [codes.DCM.ReferencedSegment] * 2
    evidence = {
        instance.ReferencedSOPInstanceUID
        for study in report.CurrentRequestedProcedureEvidenceSequence
        for entry in study.ReferencedSeriesSequence
        for instance in entry.ReferencedSOPSequence
    }
    assert segments.SOPInstanceUID in evidence
    assert evidence - {segments.SOPInstanceUID} <= {pydicom.dcmread(file).SOPInstanceUID for file in series}
    assert (report.Modality, report.PatientID) == ("SR", segments.PatientID)


def test_couinaud_segments_vessels_and_spleen_come_back_with_their_codes(written, a_phantom_slab, an_anatomy):
    expected = dict(masks_of(a_phantom_slab.labels, an_anatomy))
    segmentation = highdicom.seg.segread(written(anatomy=an_anatomy))
    assert segmentation.number_of_segments == len(expected) == 11
    for number, (structure, mask) in enumerate(expected.items(), start=1):
        described = segmentation.get_segment_description(number)
        assert described.segment_label == structure.name
        assert described.segmented_property_type.value == structure.code
        assert segmentation.get_volume(segment_numbers=[number]).array.sum() == mask.sum()


def test_the_report_measures_each_segment_the_vessels_and_the_spleen(written, series, card, an_anatomy, tmp_path):
    volumes = {
        LIVER: 1500.0,
        TUMOUR: None,
        SPLEEN: 210.0,
        VESSELS: 60.0,
        **{found: 100.0 + found.label for found in COUINAUD},
    }
    write_measurements(tmp_path / "volumes.dcm", written(anatomy=an_anatomy), series, card, volumes)
    content = MeasurementReport.from_sequence([pydicom.dcmread(tmp_path / "volumes.dcm")])
    told = {
        (group.finding_type.value, group.finding_sites[0].value.value): float(group.get_measurements()[0].value)
        for group in content.get_volumetric_roi_measurement_groups()
    }
    liver, spleen = codes.SCT.Liver.value, codes.SCT.Spleen.value
    segments = {(found.code, liver): 100.0 + found.label for found in COUINAUD if found.label != 6}
    vessels = {(VESSELS.code, liver): 60.0}
    assert told == {(liver, liver): 1500.0, (spleen, spleen): 210.0, **vessels, **segments}


def test_tumours_that_were_not_asked_for_or_not_found_are_not_in_the_report(
    written, series, card, a_phantom_slab, tmp_path
):
    segmentation = written((a_phantom_slab.labels > 0).astype(np.uint8))
    for tumour in (None, 0.0):
        write_measurements(tmp_path / "volumes.dcm", segmentation, series, card, {LIVER: 1000.0, TUMOUR: tumour})
        content = MeasurementReport.from_sequence([pydicom.dcmread(tmp_path / "volumes.dcm")])
        assert len(content.get_volumetric_roi_measurement_groups()) == 1


@pytest.mark.skipif(not shutil.which("dciodvfy"), reason="needs dciodvfy (Debian: apt-get install dicom3tools)")
@pytest.mark.parametrize("full", [True, False])
def test_dciodvfy_finds_no_error(written, series, card, a_phantom_slab, an_anatomy, tmp_path, full):
    labels = a_phantom_slab.labels
    segmentation = written(anatomy=an_anatomy) if full else written(np.zeros_like(labels))
    volumes = dict.fromkeys((LIVER, TUMOUR, *COUINAUD, SPLEEN, VESSELS) if full else (LIVER,), 10.0)
    write_measurements(tmp_path / "volumes.dcm", segmentation, series, card, volumes)
    for path in (segmentation, tmp_path / "volumes.dcm"):
        checked = subprocess.run(["dciodvfy", path], capture_output=True, text=True, timeout=60, check=False)
        assert "Error" not in checked.stderr + checked.stdout


def test_a_readers_corrections_are_told(series, a_phantom_slab, card, tmp_path):
    write_segmentation(tmp_path / "liver.dcm", a_phantom_slab.labels, series, card, corrections=3)
    segmentation = pydicom.dcmread(tmp_path / "liver.dcm")
    assert segmentation.ContentDescription == "Liver, corrected by a reader; strokes: 3"
    assert segmentation.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
