"""NRRD and MetaImage files through SimpleITK, and its LPS images as arrays with RAS affines."""

from __future__ import annotations

import errno
import locale
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from .. import messages
from ..errors import InputError
from . import headers
from .itk_header import check_header

# SimpleITK's axes run to left and posterior, ours to right and anterior.
LPS_TO_RAS = np.diag((-1.0, -1.0, 1.0, 1.0))

IMAGE_IO = {".nrrd": "NrrdImageIO", ".mha": "MetaImageIO"}

_language = threading.Lock()

# What ITK has to say reaches the user as one sentence of ours, not as its own lines on stderr.
sitk.ProcessObject.SetGlobalWarningDisplay(False)


def read(path: str | os.PathLike[str]) -> tuple[np.ndarray, np.ndarray, dict[str, str]]:
    """Read a .nrrd or .mha file.

    Returns
    -------
    values
        Voxels of the file's own dtype, shape (k, j, i), or (k, j, i, component) where a voxel has several values.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres.
    fields
        The header's key/value pairs.

    Raises
    ------
    InputError
        If the file cannot be read, is shorter than its header promises, is not 3D, holds complex numbers, or (NRRD
        only) does not say how it lies in the patient.
    MemoryError
        If there is too little for the voxels.
    """
    path = Path(path)
    check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    # Named, since ITK would not know an ending in capitals.
    reader.SetImageIO(IMAGE_IO[path.suffix.lower()])
    try:
        with _decimal_points():
            reader.ReadImageInformation()
            _check_header(reader, path)
            image = reader.Execute()
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(str(path)) from error
        raise headers.unreadable(path) from error
    # A damaged key is no text that SimpleITK would take back.
    fields = {key: image.GetMetaData(key) for key in image.GetMetaDataKeys() if key.isprintable()}
    return (
        _only_three_axes(sitk.GetArrayFromImage(image), image.GetNumberOfComponentsPerPixel()),
        affine_of(image),
        fields,
    )


def write(path: str | os.PathLike[str], values: np.ndarray, affine: np.ndarray, fields: Mapping[str, str]) -> None:
    """Write values (k, j, i), or (k, j, i, component), with their IJK→RAS affine and header fields, gzip-compressed.

    Raises
    ------
    OSError
        If SimpleITK cannot write the file.
    """
    lps = LPS_TO_RAS @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image = sitk.GetImageFromArray(np.ascontiguousarray(values), isVector=values.ndim == 4)
    image.SetOrigin(lps[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    for key, value in fields.items():
        image.SetMetaData(key, value)
    try:
        # The lowest level: labels shrink to a few percent at once, and higher levels only take longer.
        with _decimal_points():
            sitk.WriteImage(image, str(path), useCompression=True, compressionLevel=1)
    except RuntimeError as error:
        # Its own words are many lines about its insides, and do not hold what the system said.
        raise OSError(errno.EIO, os.strerror(errno.EIO)) from error


def affine_of(image: sitk.Image) -> np.ndarray:
    """IJK→RAS affine, 4×4 in mm, of a SimpleITK image; the first three axes where it has more."""
    n = image.GetDimension()
    direction = np.reshape(image.GetDirection(), (n, n))[:3, :3]
    lps = np.eye(4)
    lps[:3, :3] = direction * image.GetSpacing()[:3]
    lps[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ lps


@contextmanager
def _decimal_points() -> Iterator[None]:
    """Within it, ITK writes and reads numbers with points, also in a program that speaks a language with commas.

    Such a language is the whole process's, not the thread's; of several threads, each has to wait for the others.
    """
    with _language:
        before = locale.setlocale(locale.LC_NUMERIC)
        if locale.localeconv()["decimal_point"] != ".":
            locale.setlocale(locale.LC_NUMERIC, "C")
            try:
                yield
            finally:
                locale.setlocale(locale.LC_NUMERIC, before)
            return
    yield


def _check_header(reader: sitk.ImageFileReader, path: Path) -> None:
    size = reader.GetSize()
    headers.check_dimensions(size, path)
    if "complex" in sitk.GetPixelIDValueAsString(reader.GetPixelID()):
        raise InputError(messages.COMPLEX_NUMBERS.format(name=path))
    # SimpleITK does not say how many bytes a component has, nor whether they are compressed.
    headers.check_promise(size, reader.GetNumberOfComponents(), True, path)
    if path.suffix.lower() == ".nrrd" and not reader.HasMetaDataKey("NRRD_space"):
        raise headers.without_position(path, messages.MISSING_SPACE)


def _only_three_axes(array: np.ndarray, components: int) -> np.ndarray:
    """Drop leading axes of length 1 (a fourth ITK axis is numpy's first)."""
    wanted = 3 if components == 1 else 4
    return array.reshape(array.shape[array.ndim - wanted :])
