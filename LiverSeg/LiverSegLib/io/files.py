"""Images and labels from and to files outside Slicer: the ending of the name chooses the format."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from .. import messages
from ..data import structures
from ..data.anatomy import Anatomy
from ..data.geometry import Geometry
from ..data.labels import LabelVolume
from ..data.modality import AUTO, UNKNOWN
from ..data.reference import label_values
from ..data.volume import CTVolume, check_position
from ..errors import InputError, OutputError
from . import headers, metaimage, nifti, nrrd
from .atomic import replacing
from .paths import check_there
from .voxels import StoredImage

T = TypeVar("T")

NIFTI_SUFFIXES = (".nii", ".nii.gz")
READABLE_SUFFIXES = (*NIFTI_SUFFIXES, ".nrrd", ".mha")
SEGMENTATION_SUFFIX = ".seg.nrrd"
WRITABLE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", SEGMENTATION_SUFFIX)

# What a file is, its first bytes tell better than its name; only where they tell nothing, the name counts.
START_BYTES = 16
READERS = {
    **dict.fromkeys((n.to_bytes(4, order) for n in nifti.KINDS for order in ("little", "big")), nifti.read),
    b"NRRD": nrrd.read,
    b"ObjectType": metaimage.read,
}
READERS_BY_SUFFIX = {
    **dict.fromkeys(NIFTI_SUFFIXES, nifti.read),
    **dict.fromkeys((".nrrd", ".nhdr"), nrrd.read),
    **dict.fromkeys((".mha", ".mhd"), metaimage.read),
}
GZIP = "gzip"
ARCHIVES = {
    b"\x1f\x8b": GZIP,
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x1f\x9d": "compress",
}


def read_ct(path: str | os.PathLike[str], force: bool = False, modality: str = AUTO) -> CTVolume:
    """Read a CT or MR from .nii, .nii.gz, .nrrd, .mha, a folder with one DICOM series, or a slice of one in a folder.

    ``force`` reads a DICOM series of another modality as well; ``modality``, "ct" or "mr", believes no other.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, or is not one 3D volume of numbers with a position in the patient.
    """
    path = check_there(path)
    if os.path.isdir(path) or not _suffix(path, tuple(READERS_BY_SUFFIX)):
        from .. import dicom

        if dicom.is_dicom(path):
            return dicom.read_series(path, force, modality)
    image = _read(path)
    known = UNKNOWN if modality == AUTO else modality.upper()
    ct = CTVolume.from_array(image.values, image.affine, path.name, image.warnings, known)
    return replace(ct, header=image.place)


def read_labels(path: str | os.PathLike[str]) -> LabelVolume:
    """Read a labelmap from .nii, .nii.gz, .nrrd, .mha or Slicer's .seg.nrrd.

    Its labels are 0 background, 1 liver, 2 tumour. A mask of one other value, say 255, is the liver; the segments of a
    .seg.nrrd file are told by their names.

    Raises
    ------
    InputError
        If the file is missing, cannot be read, is not 3D, or holds labels other than these.
    """
    path = check_there(path)
    image = _read_labelmap(path)
    affine = check_position(image.affine, str(path))
    if not _holds_segments(image):
        return LabelVolume(label_values(image.values, str(path)), affine, warnings=image.warnings)
    try:
        labels = structures.to_labels(_layers(image), image.fields, str(path))
        anatomy = structures.to_anatomy(_layers(image), image.fields)
    except (ValueError, IndexError) as error:
        raise headers.unreadable(path) from error
    return LabelVolume(labels, affine, warnings=image.warnings, anatomy=anatomy)


def read_result(path: str | os.PathLike[str]) -> LabelVolume:
    """Read a result with its anatomy: of other files than .seg.nrrd from :func:`anatomy_file`.

    Raises
    ------
    InputError
        As :func:`read_labels`, or if the file beside it cannot be used or lies on another grid.
    """
    result, beside = read_labels(path), anatomy_file(path)
    if beside is None or not os.path.isfile(beside):
        return result
    image = _read_labelmap(beside)
    geometry = Geometry(image.values.shape, check_position(image.affine, str(beside)))
    known = np.isin(image.values, structures.MAP_VALUES)
    if _holds_segments(image) or not geometry.is_same_as(result.geometry) or not known.all():
        raise InputError(messages.ANATOMY_UNLIKE_RESULT.format(path=beside, result=path))
    return replace(result, anatomy=structures.from_map(image.values))


def anatomy_file(path: str | os.PathLike[str]) -> Path | None:
    """Where segments, 1 to 8, spleen, 9, and vessels, 10 to 18, lie: for liver.nii.gz in liver_anatomy.nii.gz.

    None where the file itself holds them, as .seg.nrrd and DICOM SEG do.
    """
    path = Path(path)
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    if suffix in ("", SEGMENTATION_SUFFIX):
        return None
    stem, ending = path.name[: -len(suffix)], path.name[-len(suffix) :]
    return path.with_name(f"{stem}_anatomy{ending}")


def is_anatomy_file(path: Path) -> bool:
    """Whether a file is by its name one of :func:`anatomy_file`, which tells nothing of the liver's outline."""
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    return path.name.lower().endswith(f"_anatomy{suffix}")


def _read_labelmap(path: Path) -> StoredImage:
    if os.path.isdir(path):
        raise InputError(messages.FOLDER_AS_LABELMAP.format(path=path))
    image = _read(path)
    if not image.values.size:
        raise InputError(messages.NO_VOXELS.format(name=path, shape=image.values.shape))
    if not _holds_segments(image):
        if image.values.ndim != 3:
            raise InputError(messages.SEVERAL_VALUES.format(path=path, count=image.values.shape[3]))
        if not np.isfinite(image.values).all():
            raise InputError(messages.LABELS_NOT_FINITE.format(path=path))
    return image


def _holds_segments(image: StoredImage) -> bool:
    return "Segment0_LabelValue" in image.fields


def _layers(image: StoredImage) -> np.ndarray:
    return image.values if image.values.ndim == 4 else image.values[..., np.newaxis]


def write_labels(
    path: str | os.PathLike[str],
    labels: np.ndarray,
    affine: np.ndarray,
    header: Mapping[str, Any] | None = None,
    anatomy: Anatomy | None = None,
) -> None:
    """Write labels, uint8 (k, j, i) with their IJK→RAS affine, as .nii.gz, .nii, .nrrd or Slicer's .seg.nrrd.

    With the ``header`` of the :class:`CTVolume` that they belong to, a NIfTI file lies on that CT's in every reader. A
    .seg.nrrd holds the ``anatomy`` as segments; beside other files, :func:`anatomy_file` is for it. A crash leaves the
    file that was there before whole.

    Raises
    ------
    OutputError
        If the format is not one of these or the file cannot be written.
    """
    suffix = check_output_suffix(path)
    with replacing(path) as temporary:
        if suffix in NIFTI_SUFFIXES:
            nifti.write(temporary, labels, affine, header)
        else:
            as_segments = suffix == SEGMENTATION_SUFFIX
            values, fields = structures.to_layers(labels, anatomy or Anatomy()) if as_segments else (labels, {})
            nrrd.write(temporary, values, affine, fields)


def write_ct(path: str | os.PathLike[str], ct: CTVolume) -> None:
    """Write a CT as .nii.gz or .nii, int16 HU; OutputError if it cannot be written."""
    with replacing(path) as temporary:
        nifti.write(temporary, ct.hu, ct.affine, ct.header)


def check_output_suffix(path: str | os.PathLike[str]) -> str:
    """The format's ending, in lower case, of a file to be written; OutputError where it is not one of ours."""
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    if not suffix:
        raise OutputError(messages.FORMAT_NOT_WRITABLE.format(path=path, formats=_one_of(WRITABLE_SUFFIXES)))
    return suffix


def _read(path: Path) -> StoredImage:
    if not os.path.isfile(path):
        raise InputError(messages.NO_FILE.format(path=path))
    try:
        return _reader_of(path)(path)
    except OSError as error:
        raise InputError(messages.NOT_READ_BECAUSE.format(path=path, reason=error.strerror)) from error


def _reader_of(path: Path) -> Callable[[Path], StoredImage]:
    with path.open("rb") as file:
        start = file.read(START_BYTES)
    if not start:
        raise InputError(messages.EMPTY_FILE.format(path=path))
    suffix = _suffix(path, tuple(READERS_BY_SUFFIX))
    kind = _told_by(start, ARCHIVES)
    if kind and not (kind == GZIP and suffix in NIFTI_SUFFIXES):
        raise InputError(messages.ARCHIVE.format(path=path, kind=kind))
    read = _told_by(start, READERS) or READERS_BY_SUFFIX.get(suffix)
    if read is None:
        raise InputError(messages.UNKNOWN_FORMAT.format(path=path, formats=_one_of(READABLE_SUFFIXES)))
    return read


def _told_by(start: bytes, known: Mapping[bytes, T]) -> T | None:
    """What begins with these bytes."""
    return next((thing for magic, thing in known.items() if start.startswith(magic)), None)


def _suffix(path: str | os.PathLike[str], known: tuple[str, ...]) -> str:
    """The longest known ending of the name, whatever its case; empty if it has none."""
    name = Path(path).name.lower()
    return max((suffix for suffix in known if name.endswith(suffix)), key=len, default="")


def _one_of(suffixes: tuple[str, ...]) -> str:
    return messages.ONE_OF.format(others=", ".join(suffixes[:-1]), last=suffixes[-1])
