"""What is in a file, read a second time by others: nibabel for NIfTI, SimpleITK for NRRD and MetaImage, pydicom.

Python's zlib unpacks what is compressed, and nothing passes by its checks; SimpleITK is given the unpacked voxels. What
these readers do not understand is not for them to judge, but what cannot be unpacked nobody may take for an image.
"""

from __future__ import annotations

import re
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.uid import JPEGLosslessSV1

RAS = np.diag((-1.0, -1.0, 1.0, 1.0))
GZIP, GZIP_OR_ZLIB = 16 + zlib.MAX_WBITS, 32 + zlib.MAX_WBITS
MILLIMETRES = {1: 1000.0, 3: 0.001}


class Unsound(Exception):
    """The voxels are damaged beyond doubt: whoever reads them has to say so."""


@dataclass(frozen=True)
class Image:
    """Values (k, j, i), or (k, j, i, component), their IJK→RAS affine in mm, and the header's key/value pairs."""

    values: np.ndarray
    affine: np.ndarray
    fields: dict[str, str] = field(default_factory=dict)

    @property
    def layers(self) -> np.ndarray:
        """The values with an axis of components, (k, j, i, component), also where there is one."""
        return self.values if self.values.ndim == 4 else self.values[..., np.newaxis]


def expected_image(path: Path) -> Image | None:
    """The image in a NIfTI, NRRD or MetaImage file, None where its reader finds none; or Unsound is raised."""
    content = path.read_bytes()
    try:
        if ".nii" in path.name:
            return _nifti(_unpacked(content, GZIP) if path.name.endswith(".gz") else content)
        return _itk(_plain_metaimage(content) if path.suffix == ".mha" else _plain_nrrd(content), path.suffix)
    except Unsound:
        raise
    except Exception:  # whatever a reader says of a damaged file
        return None


def _unpacked(packed: bytes, kind: int) -> bytes:
    """All of the members of a stream, each with its checksum."""
    content = b""
    while not content or packed.startswith(b"\x1f\x8b"):
        member = zlib.decompressobj(kind)
        try:
            content += member.decompress(packed)
        except zlib.error as error:
            raise Unsound(error) from error
        if not member.eof:
            raise Unsound("no end")
        packed = member.unused_data
        if not content:
            break
    return content


def _nifti(content: bytes) -> Image:
    image = nibabel.Nifti1Image.from_bytes(content)
    factor = MILLIMETRES.get(int(image.header["xyzt_units"]) & 7, 1.0)
    with np.errstate(all="ignore"):
        values = image.get_fdata()
    return Image(_three(values.T), np.diag((factor, factor, factor, 1.0)) @ image.affine)


def _plain_nrrd(content: bytes) -> bytes:
    header, gap, voxels = re.split(rb"(\r?\n\r?\n)", content, maxsplit=1)
    header, is_packed = re.subn(rb"(?im)^encoding: *(?:gz|gzip)(?= *\r?$)", b"encoding: raw", header)
    return header + gap + (_unpacked(voxels, GZIP) if is_packed else voxels)


def _plain_metaimage(content: bytes) -> bytes:
    header, last, voxels = re.split(rb"(?m)(^ElementDataFile = [^\n]*\n)", content, maxsplit=1)
    header, is_packed = re.subn(rb"(?m)^CompressedData *= *[Tt1][^\n]*", b"CompressedData = False", header)
    if is_packed:
        header, voxels = re.sub(rb"(?m)^CompressedDataSize[^\n]*\n", b"", header), _unpacked(voxels, GZIP_OR_ZLIB)
    return header + last + voxels


def _itk(content: bytes, suffix: str) -> Image:
    with tempfile.NamedTemporaryFile(suffix=suffix) as file:
        file.write(content)
        file.flush()
        image = sitk.ReadImage(file.name)
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.isprintable()}
    values = sitk.GetArrayFromImage(image)
    return Image(values if image.GetNumberOfComponentsPerPixel() > 1 else _three(values), _affine_of(image), fields)


def affine_in_itk(path: Path) -> np.ndarray | None:
    """Where ITK, and so Slicer, sees a file: IJK→RAS in mm, by its header alone; None where it refuses the file."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError:
        return None
    return _affine_of(reader)


def _affine_of(image: sitk.Image | sitk.ImageFileReader) -> np.ndarray:
    n = image.GetDimension()
    lps = np.eye(4)
    lps[:3, :3] = (np.reshape(image.GetDirection(), (n, n)) * image.GetSpacing())[:3, :3]
    lps[:3, 3] = image.GetOrigin()[:3]
    return RAS @ lps


def _three(values: np.ndarray) -> np.ndarray:
    """Without leading axes of length 1, which are none."""
    return values.reshape(values.shape[-3:])


@dataclass(frozen=True)
class Slice:
    """HU (j, i) of a DICOM slice, and its IJK→RAS affine, of which the third column means nothing."""

    values: np.ndarray
    affine: np.ndarray


def expected_slices(folder: Path) -> list[Slice]:
    """The slices of those DICOM files in a folder that pydicom understands, in any order."""
    slices: list[Slice] = []
    for path in sorted(folder.iterdir()):
        try:
            slices += list(_slices(pydicom.dcmread(path, force=True), path))
        except Exception:  # whatever pydicom and its decoders say of a damaged file
            continue
    return slices


def _slices(image: pydicom.Dataset, path: Path) -> Iterator[Slice]:
    is_rescaled = image.file_meta.TransferSyntaxUID == JPEGLosslessSV1
    # For this one pydicom has no free decoder; SimpleITK rescales at once.
    stored = sitk.GetArrayFromImage(sitk.ReadImage(path)) if is_rescaled else image.pixel_array
    frames = stored.reshape(-1, image.Rows, image.Columns)
    shared = image.get("SharedFunctionalGroupsSequence", [image])[0]
    own = image.get("PerFrameFunctionalGroupsSequence", [image] * len(frames))
    for groups, stored in zip(own, frames, strict=True):

        def of(keyword: str, sequence: str, groups: pydicom.Dataset = groups) -> pydicom.DataElement:
            inner = groups.get(sequence) or shared.get(sequence) or [image]
            return inner[0].get(keyword)

        affine = np.eye(4)
        cosines = np.reshape(np.array(of("ImageOrientationPatient", "PlaneOrientationSequence"), float), (2, 3))
        affine[:3, :2] = cosines.T * np.array(of("PixelSpacing", "PixelMeasuresSequence"), float)[::-1]
        affine[:3, 3] = np.array(of("ImagePositionPatient", "PlanePositionSequence"), float)
        slope, intercept = (of(f"Rescale{part}", "PixelValueTransformationSequence") for part in ("Slope", "Intercept"))
        rescaled = stored if is_rescaled else stored * float(1 if slope is None else slope) + float(intercept or 0)
        yield Slice(rescaled, RAS @ affine)
