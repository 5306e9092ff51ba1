"""A folder with one DICOM CT series as a CTVolume, through GDCM as SimpleITK brings it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from . import messages
from .errors import InputError
from .headers import without_position
from .itk import affine_of
from .volume import CTVolume

MODALITY = "0008|0060"
SERIES_DESCRIPTION = "0008|103e"
POSITION = "0020|0032"

# Rounding in the headers stays below this share of the slice spacing, a missing slice does not.
UNEVEN_SHARE = 0.1


def read_series(folder: str | os.PathLike[str], force: bool = False) -> CTVolume:
    """Read the one CT series of a folder, slices in order of their position, with rescale slope and intercept applied.

    Parameters
    ----------
    folder
        Folder that holds the files of the series, and not in subfolders.
    force
        Read a series of another modality as well.

    Raises
    ------
    InputError
        If the folder holds no series or several, another modality than CT, or slices with gaps between them.
    """
    folder = Path(folder)
    files = _files_of_the_one_series(folder)
    modality = _tag(files[0], MODALITY)
    if modality != "CT" and not force:
        raise InputError(messages.WRONG_MODALITY.format(folder=folder, modality=modality or messages.UNKNOWN))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(files)
    reader.MetaDataDictionaryArrayUpdateOn()
    try:
        image = reader.Execute()
    except RuntimeError as error:
        raise InputError(messages.UNREADABLE_SERIES.format(folder=folder)) from error
    if not all(reader.HasMetaDataKey(n, POSITION) for n in range(len(files))):
        raise without_position(folder, messages.MISSING_SLICE_POSITION)
    _check_slices([reader.GetMetaData(n, POSITION) for n in range(len(files))], folder)
    return CTVolume.from_array(sitk.GetArrayFromImage(image), affine_of(image), folder.resolve().name)


def _files_of_the_one_series(folder: Path) -> tuple[str, ...]:
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames
    series = sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))
    if not series:
        raise InputError(messages.NO_SERIES.format(folder=folder))
    if len(series) > 1:
        found = "; ".join(_describe(names(str(folder), uid)) for uid in series)
        raise InputError(messages.SEVERAL_SERIES.format(folder=folder, count=len(series), found=found))
    return tuple(names(str(folder), series[0]))


def _describe(files: tuple[str, ...]) -> str:
    text = messages.SERIES_OF_ONE_FILE if len(files) == 1 else messages.SERIES
    description = _tag(files[0], SERIES_DESCRIPTION) or messages.NO_DESCRIPTION
    return text.format(description=description, modality=_tag(files[0], MODALITY), count=len(files))


def _tag(file: str, tag: str) -> str:
    reader = sitk.ImageFileReader()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    return str(reader.GetMetaData(tag)).strip() if reader.HasMetaDataKey(tag) else ""


def _check_slices(positions: list[str], folder: Path) -> None:
    """ITK spreads slices evenly over their range; where they were not even, the liver would lie in the wrong place."""
    steps = np.linalg.norm(np.diff([np.array(text.split("\\"), float) for text in positions], axis=0), axis=1)
    if len(steps) and np.ptp(steps) > UNEVEN_SHARE * np.median(steps):
        raise InputError(messages.UNEVEN_SERIES.format(folder=folder))
