"""The stored numbers of DICOM images: pydicom reads the uncompressed ones and RLE, GDCM decodes the JPEG family.

GDCM, as SimpleITK brings it, knows all of JPEG that CT comes in, lossless JPEG above all, for which pydicom has no free
decoder. Of a multi-frame file it gets neither spacing nor rescaling right: hence it is given single frames.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.encaps import encapsulate, generate_fragmented_frames
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
from .lossless_jpeg import check_all_decoded

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


class NoTemporaryFile(Exception):
    """A temporary file that GDCM reads could not be written; ``str(error)`` tells why."""


def stored_numbers(dataset: FileDataset, count: int) -> np.ndarray:
    """The numbers in a file's pixels before rescaling, shape (frame, j, i), of as many frames as its header tells.

    Raises
    ------
    UnknownCompression
        If they are compressed in a way that neither pydicom nor GDCM knows.
    NoTemporaryFile
        If there is no space for temporary files.
    RuntimeError, ValueError, AttributeError, EOFError
        If they are missing, damaged or truncated, or of more or fewer frames.
    """
    if dataset.BitsStored < dataset.BitsAllocated and dataset.HighBit != dataset.BitsStored - 1:
        raise ValueError("which bits hold the numbers is not clear")
    syntax = transfer_syntax(dataset)
    if dataset["PixelData"].is_undefined_length and not syntax.is_encapsulated:
        raise ValueError("the pixels are compressed, and how is not told")
    if syntax in DECODED_BY_GDCM:
        return _decoded_by_gdcm(dataset, count)
    if not _is_known(syntax):
        raise UnknownCompression(syntax.name)
    if syntax == RLELossless and any(len(fragments) > 1 for fragments in _fragments(dataset, count)):
        raise ValueError("run-length encoding does not go on in a second fragment")
    stored = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
    if len(stored) != count:
        raise ValueError("other frames than the header tells")
    return stored


def transfer_syntax(dataset: FileDataset) -> UID:
    """How the file's pixels are stored; files without the usual preamble do not say it, and are uncompressed."""
    return dataset.file_meta.setdefault("TransferSyntaxUID", ExplicitVRLittleEndian).value


def _fragments(dataset: FileDataset, count: int) -> list[tuple[bytes, ...]]:
    """The compressed pieces of each frame."""
    frames = list(generate_fragmented_frames(dataset.PixelData, number_of_frames=count))
    if len(frames) != count:
        raise ValueError("other frames than the header tells")
    return frames


def _is_known(syntax: UID) -> bool:
    try:
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _decoded_by_gdcm(dataset: FileDataset, count: int) -> np.ndarray:
    frames = [b"".join(fragments) for fragments in _fragments(dataset, count)]
    with _temporary_folder() as folder:
        path = Path(folder, "frame.dcm")
        return np.stack([_decode(frame, dataset, path) for frame in frames])


@contextmanager
def _temporary_folder() -> Iterator[str]:
    """A folder that is gone afterwards; what goes wrong with writing there is not taken for a fault of the pixels."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
    except OSError as error:
        raise NoTemporaryFile(error.strerror) from error


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
    # Not at once into the file: pydicom would say in its own words that the disk is full.
    content = BytesIO()
    single.save_as(content, enforce_file_format=True)
    path.write_bytes(content.getvalue())
    values = sitk.GetArrayFromImage(sitk.ReadImage(path, imageIO="GDCMImageIO"))
    values = values.reshape(dataset.Rows, dataset.Columns)
    check_all_decoded(frame, values, dataset.BitsStored)
    return _without_unused_bits(values, dataset)


def _without_unused_bits(values: np.ndarray, dataset: FileDataset) -> np.ndarray:
    """The values of the lowest bits; overlays may have been drawn into those above, and GDCM leaves some there."""
    unused = 8 * values.itemsize - dataset.BitsStored
    if dataset.BitsStored == dataset.BitsAllocated or unused <= 0:
        return values
    whole = values.view(np.dtype(f"{'i' if dataset.PixelRepresentation else 'u'}{values.itemsize}"))
    return whole << unused >> unused
