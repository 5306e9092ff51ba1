"""Images and labels from and to files outside Slicer: the ending of the name chooses the format."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from .. import messages
from ..data import structures
from ..data.reference import label_values
from ..data.volume import CTVolume, check_position
from ..errors import InputError, OutputError
from . import headers, nifti
from .atomic import replacing
from .paths import objection_to

NIFTI_SUFFIXES = (".nii", ".nii.gz")
ITK_SUFFIXES = (".nrrd", ".mha")
SEGMENTATION_SUFFIX = ".seg.nrrd"
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", SEGMENTATION_SUFFIX)


def read_ct(path: str | os.PathLike[str], force: bool = False) -> CTVolume:
    """Read a CT from .nii, .nii.gz, .nrrd, .mha or a folder with one DICOM series.

    ``force`` reads a DICOM series of another modality as well.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or is not one 3D volume of numbers with a position in the patient.
    """
    path = _checked(path)
    if os.path.isdir(path):
        from .. import dicom

        return dicom.read_series(path, force)
    values, affine, _ = _read(path)
    return CTVolume.from_array(values, affine, path.name)


def read_labels(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray]:
    """Read a labelmap from .nii, .nii.gz, .nrrd, .mha or Slicer's .seg.nrrd.

    Returns
    -------
    labels
        uint8, shape (k, j, i): 0 background, 1 liver, 2 tumour. A mask of one other value, say 255, is the liver;
        the segments of a .seg.nrrd file are told by their names.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is not 3D, or holds labels other than these.
    """
    path = _checked(path)
    if os.path.isdir(path):
        raise InputError(messages.FOLDER_AS_LABELMAP.format(path=path))
    values, affine, fields = _read(path)
    check_position(affine, str(path))
    if not values.size:
        raise InputError(messages.NO_VOXELS.format(name=path, shape=values.shape))
    if "Segment0_LabelValue" in fields:
        layers = values if values.ndim == 4 else values[..., np.newaxis]
        try:
            return structures.to_labels(layers, fields, str(path)), affine
        except (ValueError, IndexError) as error:
            raise headers.unreadable(path) from error
    if values.ndim != 3:
        raise InputError(messages.SEVERAL_VALUES.format(path=path, count=values.shape[3]))
    if not np.isfinite(values).all():
        raise InputError(messages.LABELS_NOT_FINITE.format(path=path))
    return label_values(values, str(path)), affine


def write_labels(path: str | os.PathLike[str], labels: np.ndarray, affine: np.ndarray) -> None:
    """Write labels, uint8 (k, j, i) with their IJK→RAS affine, as .nii.gz, .nii, .nrrd or Slicer's .seg.nrrd.

    A crash leaves the file that was there before whole.

    Raises
    ------
    OutputError
        If the format is not one of these or the file cannot be written.
    """
    suffix = check_output_suffix(path)
    with replacing(path) as temporary:
        if suffix in NIFTI_SUFFIXES:
            nifti.write(temporary, labels, affine)
        else:
            from . import itk

            as_segments = suffix == SEGMENTATION_SUFFIX
            values, fields = structures.to_layers(labels) if as_segments else (labels, {})
            itk.write(temporary, values, affine, fields)


def write_ct(path: str | os.PathLike[str], ct: CTVolume) -> None:
    """Write a CT as .nii.gz or .nii, int16 HU; OutputError if it cannot be written."""
    with replacing(path) as temporary:
        nifti.write(temporary, ct.hu, ct.affine)


def check_output_suffix(path: str | os.PathLike[str]) -> str:
    """The format's ending, in lower case, of a file to be written; OutputError where it is not one of ours."""
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    if not suffix:
        raise OutputError(messages.FORMAT_NOT_WRITABLE.format(path=path, formats=_one_of(WRITABLE_SUFFIXES)))
    return suffix


def _checked(path: str | os.PathLike[str]) -> Path:
    objection = objection_to(path)
    if objection:
        raise InputError(objection)
    return Path(path)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    suffix = _suffix(path, NIFTI_SUFFIXES + ITK_SUFFIXES)
    # Unlike pathlib's, this is False as well where the user may not look, or the name is too long.
    if not os.path.isfile(path):
        raise InputError(messages.NO_FILE.format(path=path))
    if not suffix:
        raise InputError(messages.UNKNOWN_FORMAT.format(path=path, formats=_one_of(NIFTI_SUFFIXES + ITK_SUFFIXES)))
    if path.stat().st_size == 0:
        raise InputError(messages.EMPTY_FILE.format(path=path))
    if suffix in NIFTI_SUFFIXES:
        return *nifti.read(path), {}
    from . import itk

    return itk.read(path)


def _suffix(path: str | os.PathLike[str], known: tuple[str, ...]) -> str:
    """The longest known ending of the name, whatever its case; empty if it has none."""
    name = Path(path).name.lower()
    return max((suffix for suffix in known if name.endswith(suffix)), key=len, default="")


def _one_of(suffixes: tuple[str, ...]) -> str:
    return messages.ONE_OF.format(others=", ".join(suffixes[:-1]), last=suffixes[-1])
