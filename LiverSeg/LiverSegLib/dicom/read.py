"""One DICOM series as a CTVolume."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from .. import messages
from ..data.modality import AUTO, CT, MR, UNKNOWN, is_wanted
from ..data.volume import CTVolume, to_whole_hu
from ..errors import InputError
from .frames import Frame, frames_of
from .header import DAMAGED, patient_key, read_dataset
from .pixels import NoTemporaryFile, UnknownCompression, stored_numbers
from .series import one_series
from .stack import Stack, to_stack

# Less is within what rounded positions make of an upright stack.
SMALLEST_TILT_DEGREES = 0.5
# Files may always hold so many bytes of voxels in any compression, and else so many times their own size: more is no CT
# but was made to take memory, which a few bytes of JPEG 2000 can do with gigabytes.
SMALL_BYTES, LARGEST_COMPRESSION = 1 << 28, 64


def read_series(place: str | os.PathLike[str], force: bool = False, modality: str = AUTO) -> CTVolume:
    """Read one series of CT or MR, slices in order of their position, with rescale slope and intercept applied.

    Parameters
    ----------
    place
        Folder that holds the files of the series, and not in subfolders; or one of several series' files there.
    force
        Read a series of another modality as well.
    modality
        "ct" or "mr" for one of these alone.

    Raises
    ------
    InputError
        If the folder holds no series or several, another modality, or what :func:`read_files` refuses.
    """
    series = one_series(place, force, modality)
    ct = read_files(series.files, force=force)
    return replace(ct, name=series.files[0].parent.resolve().name, warnings=(*series.warnings, *ct.warnings))


def read_files(files: Sequence[Path], name: str = "", force: bool = False) -> CTVolume:
    """Read the files of one series, given in any order: classic files with one slice each, or multi-frame files.

    Images that are there twice are taken once. A gantry tilt is kept: the volume's affine is sheared, its voxels are
    those of the scanner, and its warnings say so.

    Parameters
    ----------
    files
        As :func:`LiverSegLib.dicom.find_series` found them.
    name
        What to call the series, in messages too; without one, they call it by its folder.
    force
        Read a series of another modality as well.

    Raises
    ------
    InputError
        If a file cannot be read or holds implausibly much, slices are missing, unevenly spaced, unlike each other or
        without a position, two different images lie in one place, or the files belong to two patients or to another
        modality.
    """
    name = name or str(files[0].parent)
    headers = read_headers(files, name, force)
    modality = str(headers[files[0]].get("Modality", ""))
    is_mr = modality == MR
    stack = stack_of(headers, name)
    # They may be as large as all pixels.
    del headers
    _check_promise(stack, files, name)
    values = _in_order(_decoded(list(enumerate(stack.frames)), name, is_mr), len(stack.frames))
    for k, copy in _decoded(list(stack.copies), name, is_mr):
        if not np.array_equal(values[k], copy):
            raise InputError(messages.SAME_PLACE.format(series=name, first=stack.frames[k].path.name))
    known = modality if is_wanted(modality, AUTO) else UNKNOWN
    return CTVolume.from_array(values, stack.affine, name, _warnings(stack), known)


def read_headers(files: Sequence[Path], name: str, force: bool = False) -> dict[Path, FileDataset]:
    """All of the headers of one series; parameters and errors of :func:`read_files`."""
    headers = {}
    patients = set()
    for path in files:
        try:
            headers[path] = header = read_dataset(path)
            modality = str(header.get("Modality", ""))
            patients.add(patient_key(header))
        except DAMAGED as error:
            raise _unreadable(path, name) from error
        if modality not in (CT, MR) and not force:
            raise InputError(messages.WRONG_MODALITY.format(folder=name, modality=modality or messages.UNKNOWN))
    if len(patients) > 1:
        raise InputError(messages.PATIENTS_IN_SERIES.format(series=name, count=len(patients)))
    return headers


def stack_of(headers: Mapping[Path, Dataset], name: str) -> Stack:
    """The slices of a series in their places, out of its headers; errors of :func:`read_files`."""
    frames: list[Frame] = []
    for path, header in headers.items():
        try:
            frames += frames_of(header, path, name)
        except DAMAGED as error:
            raise _unreadable(path, name) from error
    return to_stack(frames, name)


def _check_promise(stack: Stack, files: Sequence[Path], name: str) -> None:
    """Refuse what takes far more memory than its files take on the disk, before it does."""
    frames = (*stack.frames, *(frame for _, frame in stack.copies))
    promised = sum(frame.bytes for frame in frames)
    held = sum(path.stat().st_size for path in files)
    if promised > max(SMALL_BYTES, LARGEST_COMPRESSION * held):
        raise InputError(messages.TOO_MUCH_PROMISED.format(series=name, promised=promised / 1e9, held=held / 1e6))


def _decoded(frames: list[tuple[int, Frame]], name: str, is_mr: bool) -> Iterator[tuple[int, np.ndarray]]:
    """The HU, int16 (j, i), of frames that are given with an index each; every file is decoded once.

    Of MR the signal, float32: what it is scaled by, only all slices tell.
    """
    for path, group in groupby(sorted(frames, key=lambda entry: str(entry[1].path)), lambda entry: entry[1].path):
        wanted = list(group)
        stored = _stored(path, name, wanted[0][1])
        for k, frame in wanted:
            values = stored[frame.number] * frame.slope + frame.intercept
            yield k, values.astype(np.float32) if is_mr else to_whole_hu(values, name)


def _in_order(decoded: Iterator[tuple[int, np.ndarray]], count: int) -> np.ndarray:
    """``count`` decoded frames, (k, j, i); what headers say of their size takes no memory before."""
    k, first = next(decoded)
    whole = np.empty((count, *first.shape), first.dtype)
    whole[k] = first
    for k, values in decoded:
        whole[k] = values
    return whole


def _stored(path: Path, name: str, frame: Frame) -> np.ndarray:
    try:
        dataset = read_dataset(path, pixel_bytes=frame.count * frame.bytes)
        return stored_numbers(dataset, frame.count)
    except UnknownCompression as error:
        raise InputError(messages.UNKNOWN_COMPRESSION.format(path=path.name, series=name, syntax=error)) from error
    except NoTemporaryFile as error:
        told = {"path": path.name, "series": name, "folder": tempfile.gettempdir(), "reason": error}
        raise InputError(messages.NO_TEMPORARY_FILE.format(**told)) from error
    except (*DAMAGED, RuntimeError) as error:
        raise _unreadable(path, name) from error


def _unreadable(path: Path, name: str) -> InputError:
    return InputError(messages.UNREADABLE_SLICE.format(path=Path(name, path.name)))


def _warnings(stack: Stack) -> tuple[str, ...]:
    found = []
    if stack.tilt_degrees >= SMALLEST_TILT_DEGREES:
        found.append(messages.TILTED_GANTRY.format(degrees=stack.tilt_degrees))
    if stack.told_apart:
        apart = float(np.linalg.norm(stack.affine[:3, 2]))
        found.append(messages.SPACING_CONTRADICTS_POSITIONS.format(told=stack.told_apart, apart=apart))
    return tuple(found)
