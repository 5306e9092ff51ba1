"""Small sound files of every format that is read, as bytes: what the mutations start from.

Nothing in them is left to chance, so that a seed gives the same mutation in every run and on every computer. Each seed
has voxels of its own: those of another file, left behind in memory, are noticed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import FileDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from LiverSegLib.io import files
from Testing.dicom_files import multi_frame_of, save, slices_of, stored_as
from Testing.models import OFFSETS, card_of, weights_of

SHAPE = (4, 9, 11)
AFFINE = np.array([[-1.5, 0, 0, 20.25], [0, -1.25, 0, 30.5], [0, 0, 3, -100], [0, 0, 0, 1.0]])
# About the patient's axis from left to right, by a slope that is exact in binary.
OBLIQUE = np.array([[1.0, 0, 0, 0], [0, 0.8, -0.6, 0], [0, 0.6, 0.8, 0], [0, 0, 0, 1]]) @ AFFINE


@dataclass(frozen=True)
class Sample:
    """A sound input.

    Parameters
    ----------
    kind
        What it is read as: "ct", "labels" or "model".
    target
        The file or, "." for all of them, the folder to read.
    files
        Content of each file by name.
    """

    kind: str
    target: str
    files: dict[str, bytes]


def write(sample: Sample, folder: Path) -> None:
    """The files of a sample into a folder, made if missing."""
    folder.mkdir(exist_ok=True, parents=True)
    for name, content in sample.files.items():
        (folder / name).write_bytes(content)


def hu(seed: int = 0) -> np.ndarray:
    """Noise that passes for tissue and fat, int16 (k, j, i)."""
    return np.random.default_rng(seed).integers(-150, 200, SHAPE).astype(np.int16)


def labels(seed: int) -> np.ndarray:
    """A block of liver with a tumour, uint8 (k, j, i)."""
    found = np.zeros(SHAPE, np.uint8)
    found[1:3, 2:7, 2:8] = 1
    found[1:3, 3:5, 4:6] = 2
    return np.roll(found, seed % 4, axis=2)


# ---- NIfTI -----------------------------------------------------------------------------------------------------------


def _nifti(folder: Path, seed: int, name: str, affine: np.ndarray = AFFINE, scaled: bool = False) -> Sample:
    image = nibabel.Nifti1Image(hu(seed).transpose(2, 1, 0), affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    if scaled:
        image.header.set_slope_inter(0.5, -24.0)
    nibabel.save(image, folder / name)
    if not name.endswith(".gz"):
        return _sample("ct", name, folder)
    # Compressed anew, since nibabel notes the time.
    return Sample("ct", name, {name: files_gzip(nibabel.load(folder / name))})


def files_gzip(image: nibabel.Nifti1Image) -> bytes:
    import gzip

    return gzip.compress(image.to_bytes(), mtime=0)


# ---- NRRD and MetaImage ----------------------------------------------------------------------------------------------


def _image(seed: int, affine: np.ndarray) -> sitk.Image:
    image = sitk.GetImageFromArray(hu(seed))
    lps = np.diag((-1.0, -1.0, 1.0, 1.0)) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    return image


def _itk(folder: Path, seed: int, name: str, compressed: bool, affine: np.ndarray = AFFINE) -> Sample:
    sitk.WriteImage(_image(seed, affine), str(folder / name), compressed)
    return _sample("ct", name, folder)


def _detached_nrrd(folder: Path, seed: int) -> Sample:
    whole = _itk(folder, seed, "ct.nrrd", False).files["ct.nrrd"]
    header, _, voxels = whole.partition(b"\n\n")
    return Sample("ct", "ct.nrrd", {"ct.nrrd": header + b"\ndata file: ct.raw\n\n", "ct.raw": voxels})


def _segments(folder: Path, seed: int) -> Sample:
    files.write_labels(folder / "labels.seg.nrrd", labels(seed), AFFINE)
    return _sample("labels", "labels.seg.nrrd", folder)


def _labels_of_nifti(folder: Path, seed: int) -> Sample:
    files.write_labels(folder / "labels.nii", labels(seed), AFFINE)
    return _sample("labels", "labels.nii", folder)


# ---- DICOM -----------------------------------------------------------------------------------------------------------


def _named(images: list[FileDataset], seed: int) -> list[FileDataset]:
    """The same images with UIDs that do not change from run to run."""
    uids = [UID(f"1.2.826.0.1.3680043.8.498.{seed + 1}.{number}") for number in range(1, 4 + len(images))]
    for image, uid in zip(images, uids[3:], strict=True):
        image.StudyInstanceUID, image.SeriesInstanceUID, image.FrameOfReferenceUID = uids[:3]
        image.SOPInstanceUID = uid
    return images


def _series(folder: Path, seed: int, syntax: UID = ExplicitVRLittleEndian) -> Sample:
    images = _named(slices_of(hu(seed), AFFINE), seed)
    save([stored_as(image, syntax) for image in images], folder)
    return _sample("ct", ".", folder)


def _multi_frame(folder: Path, seed: int) -> Sample:
    save(_named([multi_frame_of(hu(seed), AFFINE, slopes=(1, 2, 1, 2))], seed), folder)
    return _sample("ct", ".", folder)


# ---- the model -------------------------------------------------------------------------------------------------------

WIDTHS = (2, 3, 4)
CALIBRATION = {"intercept": 0.1, "slope": 0.9, "check_below": 0.8}


def _model(folder: Path, seed: int) -> Sample:
    del seed  # one network is enough
    weights = weights_of(WIDTHS, OFFSETS)
    card = card_of(weights, WIDTHS, block="plain", patch=1, calibration=CALIBRATION)
    return Sample("model", "model.pt", {"model.pt": weights, "model.json": card})


# ---- all of them -----------------------------------------------------------------------------------------------------


def _sample(kind: str, target: str, folder: Path) -> Sample:
    return Sample(kind, target, {path.name: path.read_bytes() for path in sorted(folder.iterdir())})


_MAKERS: dict[str, Callable[[Path, int], Sample]] = {
    "nii": lambda folder, seed: _nifti(folder, seed, "ct.nii"),
    "nii oblique, scaled": lambda folder, seed: _nifti(folder, seed, "ct.nii", OBLIQUE, scaled=True),
    "nii.gz": lambda folder, seed: _nifti(folder, seed, "ct.nii.gz"),
    "nii labels": _labels_of_nifti,
    "nrrd": lambda folder, seed: _itk(folder, seed, "ct.nrrd", False, OBLIQUE),
    "nrrd gzip": lambda folder, seed: _itk(folder, seed, "ct.nrrd", True),
    "nrrd detached": _detached_nrrd,
    "seg.nrrd": _segments,
    "mha": lambda folder, seed: _itk(folder, seed, "ct.mha", False, OBLIQUE),
    "mha zlib": lambda folder, seed: _itk(folder, seed, "ct.mha", True),
    "dicom": _series,
    "dicom RLE": lambda folder, seed: _series(folder, seed, RLELossless),
    "dicom JPEG": lambda folder, seed: _series(folder, seed, JPEGLosslessSV1),
    "dicom JPEG-LS": lambda folder, seed: _series(folder, seed, JPEGLSLossless),
    "dicom JPEG 2000": lambda folder, seed: _series(folder, seed, JPEG2000Lossless),
    "dicom multi-frame": _multi_frame,
    "model": _model,
}
FORMATS = tuple(_MAKERS)


def sample_of(name: str, seed: int = 0) -> Sample:
    """The sound input of one of :data:`FORMATS`."""
    with tempfile.TemporaryDirectory() as folder:
        return _MAKERS[name](Path(folder), seed)
