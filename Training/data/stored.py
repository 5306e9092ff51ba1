"""Slices of prepared scans, read from their files when they are asked for, so that no process holds the data set."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from zipfile import ZIP_STORED

import numpy as np
import torch
from torch import Tensor

# The local header of a zip file's member: its length, and where those of the two fields stand that follow it.
LOCAL_HEADER_BYTES, FIELD_LENGTHS = 30, (slice(26, 28), slice(28, 30))


@dataclass(frozen=True)
class StoredSlices:
    """An array (k, rows, columns) in an uncompressed .npz file: ``slices[3:8]`` reads five slices and keeps nothing.

    They are read, not mapped: the system's page cache serves both alike, and thousands of scans then cost neither a
    file handle nor a mapping each.

    Parameters
    ----------
    path
        The file.
    offset
        Where in it the first voxel stands, in bytes.
    dtype, shape
        Of the array.
    version
        Time of last change in ns and size in bytes that the file had when it was found.
    """

    path: Path
    offset: int
    dtype: np.dtype
    shape: tuple[int, ...]
    version: tuple[int, int]

    @classmethod
    def find(cls, path: Path, stored: np.lib.npyio.NpzFile, name: str) -> StoredSlices:
        """The array ``name`` of the opened file.

        Raises
        ------
        ValueError
            If it is compressed or lies column by column, so that a slice is not one run of bytes.
        """
        member = stored.zip.getinfo(f"{name}.npy")
        with stored.zip.open(member) as file:
            major, _ = np.lib.format.read_magic(file)
            read_header = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
            shape, by_columns, dtype = read_header(file)
            header_bytes = file.tell()
        if member.compress_type != ZIP_STORED or by_columns:
            raise ValueError(
                f"{path} cannot be streamed: {name} is compressed or lies column by column; "
                "run python -m Training.data.prepare again, or give --scans-in device"
            )
        with path.open("rb") as file:
            file.seek(member.header_offset)
            local = file.read(LOCAL_HEADER_BYTES)
            lengths = (int.from_bytes(local[field], "little") for field in FIELD_LENGTHS)
            offset = member.header_offset + LOCAL_HEADER_BYTES + sum(lengths) + header_bytes
            return cls(path, offset, dtype, shape, _version(file))

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, wanted: slice) -> Tensor:
        """The slices from ``wanted.start`` to ``wanted.stop``, in memory.

        Raises
        ------
        ValueError
            If the file is no longer the one that was found: what stands there now may be anything.
        """
        first, beyond, _ = wanted.indices(len(self))
        pixels = math.prod(self.shape[1:])
        with self.path.open("rb", buffering=0) as file:
            if _version(file) != self.version:
                raise ValueError(f"{self.path} was changed while it was in use; start again, from the last checkpoint")
            start = self.offset + first * pixels * self.dtype.itemsize
            values = np.fromfile(file, self.dtype, max(0, beyond - first) * pixels, offset=start)
        return torch.from_numpy(values.reshape(-1, *self.shape[1:]))


def _version(file: BinaryIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_mtime_ns, status.st_size


def find_slices(labels: Tensor) -> dict[str, Tensor]:
    """Indices of the slices with liver and of those with labelled tumour, under the names they are stored by."""
    return {
        "liver_slices": (labels > 0).flatten(1).any(1).nonzero()[:, 0].cpu(),
        "tumour_slices": (labels == 2).flatten(1).any(1).nonzero()[:, 0].cpu(),
    }
