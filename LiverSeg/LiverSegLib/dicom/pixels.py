"""The stored numbers of DICOM images: pydicom reads the uncompressed ones and RLE, GDCM decodes the JPEG family.

GDCM, as SimpleITK brings it, knows all of JPEG that CT comes in, lossless JPEG above all, for which pydicom has no free
decoder. Of a multi-frame file it gets neither spacing nor rescaling right: hence it is given single frames.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    CTImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

from .codestream import check_codestream

DECODED_BY_GDCM = {
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    JPEG2000Lossless,
    JPEG2000,
}
# A run of 128 equal bytes takes two (DICOM PS3.5, annex G).
LARGEST_RUN_SHARE = 64
_IMAGE_PIXEL = (
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)

# What ITK has to say of a frame reaches the user as one sentence of ours.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


class UnknownCompression(NotImplementedError):
    """Neither pydicom nor GDCM knows how to decode the pixels; ``str(error)`` names the transfer syntax."""


def stored_numbers(dataset: FileDataset) -> np.ndarray:
    """The numbers in a file's pixels before rescaling, shape (frame, j, i).

    Raises
    ------
    UnknownCompression
        If they are compressed in a way that neither pydicom nor GDCM knows.
    RuntimeError, ValueError, AttributeError, EOFError
        If they are missing, damaged or truncated.
    """
    syntax = transfer_syntax(dataset)
    if syntax in DECODED_BY_GDCM:
        return _decoded_by_gdcm(dataset)
    if not _is_known(syntax):
        raise UnknownCompression(syntax.name)
    if syntax == RLELossless:
        _check_run_lengths(dataset)
    return dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)


def transfer_syntax(dataset: FileDataset) -> UID:
    """How the file's pixels are stored; files without the usual preamble do not say it, and are uncompressed."""
    return dataset.file_meta.setdefault("TransferSyntaxUID", ExplicitVRLittleEndian).value


def _check_run_lengths(dataset: FileDataset) -> None:
    """pydicom takes memory for all that the header promises before it looks what there is."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    promised = frames * dataset.Rows * dataset.Columns * (dataset.BitsAllocated // 8)
    if promised > LARGEST_RUN_SHARE * len(dataset.PixelData):
        raise ValueError("run-length encoding cannot hold so many pixels in so few bytes")


def _is_known(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _decoded_by_gdcm(dataset: FileDataset) -> np.ndarray:
    frames = generate_frames(dataset.PixelData, number_of_frames=int(dataset.get("NumberOfFrames") or 1))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "frame.dcm")
        return np.stack([_decode(frame, dataset, path) for frame in frames])


def _decode(frame: bytes, dataset: FileDataset, path: Path) -> np.ndarray:
    """One compressed frame by GDCM, through a file with this frame and nothing of the patient; shape (j, i)."""
    check_codestream(frame, dataset.Rows, dataset.Columns, dataset.BitsAllocated)
    single = Dataset()
    for keyword in _IMAGE_PIXEL:
        setattr(single, keyword, dataset[keyword].value)
    single.SOPClassUID, single.SOPInstanceUID = CTImageStorage, generate_uid()
    single.PixelData = encapsulate([frame])
    single["PixelData"].VR = "OB"
    single.file_meta = FileMetaDataset()
    single.file_meta.TransferSyntaxUID = transfer_syntax(dataset)
    single.save_as(path, enforce_file_format=True)
    return sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO")).reshape(dataset.Rows, dataset.Columns)
