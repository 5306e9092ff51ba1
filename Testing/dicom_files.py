"""DICOM files for the tests, made from voxels: a classic series, a multi-frame image, every compression of CT."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import (
    UID,
    CTImageStorage,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    generate_uid,
)

LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))
INTERCEPT = -1024
PATIENT = {"PatientName": "Doe^Jane", "PatientID": "4711", "PatientBirthDate": "19500102", "PatientSex": "F"}
# What SimpleITK calls the compressions that pydicom cannot write.
WRITTEN_BY_GDCM = {JPEGLosslessSV1: "JPEG", JPEG2000Lossless: "JPEG2000"}


def slices_of(hu: np.ndarray, affine: np.ndarray, **changes: object) -> list[FileDataset]:
    """A CT (k, j, i) with its IJK→RAS affine as classic DICOM images, from k = 0; ``changes`` are attributes by name.

    Stored numbers are HU + 1024, unsigned, with the rescale intercept that says so.
    """
    shared = {
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "FrameOfReferenceUID": generate_uid(),
        **changes,
    }
    return [_slice(hu[k], affine, k, shared) for k in range(len(hu))]


def multi_frame_of(
    hu: np.ndarray, affine: np.ndarray, order: Iterable[int] | None = None, slopes: Iterable[float] | None = None
) -> FileDataset:
    """A CT as one enhanced image, its slices in this order in the file; ``slopes`` are the rescale slopes of each k."""
    order = list(range(len(hu)) if order is None else order)
    slopes = [1.0] * len(hu) if slopes is None else list(slopes)
    image = _image(EnhancedCTImageStorage, hu[0], {"FrameOfReferenceUID": generate_uid()})
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.ContentDate, image.ContentTime = "20200102", "101112"
    image.NumberOfFrames = len(hu)
    orientation, spacing, _ = _geometry(affine, 0)
    shared = Dataset()
    shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=orientation)]
    shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing, SliceThickness=2.5)]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = [_groups(affine, k, slopes[k]) for k in order]
    stored = np.stack([np.rint((hu[k] - INTERCEPT) / slopes[k]) for k in order]).astype("<u2")
    image.PixelData = stored.tobytes()
    return image


def stored_as(image: FileDataset, syntax: UID) -> FileDataset:
    """The same image in another transfer syntax."""
    little, implicit = syntax.is_little_endian, syntax.is_implicit_VR
    if syntax in WRITTEN_BY_GDCM:
        frames = [_compressed_by_gdcm(frame, WRITTEN_BY_GDCM[syntax]) for frame in _frames(image)]
        image.PixelData = encapsulate(frames)
        image["PixelData"].VR = "OB"
    elif syntax.is_encapsulated:
        image.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        image.PixelData = np.frombuffer(image.PixelData, "<u2").astype(">u2").tobytes()
    image.file_meta.TransferSyntaxUID = syntax
    # What pydicom goes by when it writes what it has not read.
    image.set_original_encoding(implicit, little, "utf-8")
    return image


def save(images: Iterable[FileDataset], folder: Path, name: str = "slice") -> list[Path]:
    """Write images into a folder, the last one first, so that no order of files is that of places."""
    folder.mkdir(parents=True, exist_ok=True)
    images = list(images)
    paths = [folder / f"{name}_{len(images) - n:03d}.dcm" for n in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        syntax = image.file_meta.TransferSyntaxUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        encoding = {"little_endian": syntax.is_little_endian, "implicit_vr": syntax.is_implicit_VR}
        pydicom.dcmwrite(path, image, enforce_file_format=True, **({} if syntax.is_compressed else encoding))
    return paths


def _slice(hu: np.ndarray, affine: np.ndarray, k: int, attributes: dict[str, object]) -> FileDataset:
    image = _image(CTImageStorage, hu, {})
    image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.InstanceNumber = k + 1
    image.ImageOrientationPatient, image.PixelSpacing, image.ImagePositionPatient = _geometry(affine, k)
    image.SliceThickness = 2.5
    image.RescaleIntercept, image.RescaleSlope = INTERCEPT, 1
    image.PixelData = (hu - INTERCEPT).astype("<u2").tobytes()
    for keyword, value in attributes.items():
        setattr(image, keyword, value)
    return image


def _image(kind: UID, hu: np.ndarray, attributes: dict[str, object]) -> FileDataset:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": kind,
        "SOPInstanceUID": generate_uid(),
        "StudyInstanceUID": generate_uid(),
        "SeriesInstanceUID": generate_uid(),
        "Modality": "CT",
        "SeriesDescription": "portal venous",
        "SeriesNumber": 3,
        "StudyDate": "20200102",
        "StudyTime": "101112",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "Manufacturer": "phantom",
        "KVP": 120,
        "PositionReferenceIndicator": "",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": hu.shape[0],
        "Columns": hu.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 0,
        **PATIENT,
        **attributes,
    }
    for keyword, value in values.items():
        setattr(image, keyword, value)
    return image


def _geometry(affine: np.ndarray, k: int) -> tuple[list[float], list[float], list[float]]:
    """Orientation, pixel spacing (rows first) and position of a slice, as DICOM writes them."""
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :2], axis=0)
    orientation = (lps[:3, :2] / spacing).T.ravel()
    position = (lps @ (0, 0, k, 1))[:3]
    return [round(v, 9) for v in orientation], [float(spacing[1]), float(spacing[0])], [round(v, 6) for v in position]


def _groups(affine: np.ndarray, k: int, slope: float) -> Dataset:
    groups = Dataset()
    groups.PlanePositionSequence = [_item(ImagePositionPatient=_geometry(affine, k)[2])]
    groups.PixelValueTransformationSequence = [
        _item(RescaleIntercept=INTERCEPT, RescaleSlope=slope, RescaleType="HU"),
    ]
    groups.FrameContentSequence = [_item(StackID="1", InStackPositionNumber=k + 1, DimensionIndexValues=[1, k + 1])]
    return groups


def _item(**values: object) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def _frames(image: FileDataset) -> np.ndarray:
    return np.frombuffer(image.PixelData, "<u2").reshape(-1, image.Rows, image.Columns)


def _compressed_by_gdcm(frame: np.ndarray, compressor: str) -> bytes:
    with TemporaryDirectory() as folder:
        path = Path(folder, "frame.dcm")
        writer = sitk.ImageFileWriter()
        writer.SetFileName(path)
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.Execute(sitk.GetImageFromArray(frame))
        written = pydicom.dcmread(path)
        assert written.file_meta.TransferSyntaxUID in WRITTEN_BY_GDCM
        return next(generate_frames(written.PixelData, number_of_frames=1))
