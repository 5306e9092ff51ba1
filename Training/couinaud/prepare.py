"""Bring every scan with Couinaud segments to the voxels that training samples from, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.inference.liver_grid import CoarseScan
from LiverSegLib.io.files import read_ct

from ..data.catalogue import NEVER_TRAINED_ON, read_catalogue, read_values

# Where the segments of a folder's scans lie.
LABEL_FOLDERS = {"train": "anatomy", "more": "more"}


@dataclass(frozen=True)
class SegmentedScan:
    """Name, CT and file of the Couinaud segments of a scan."""

    name: str
    ct_file: Path
    segments_file: Path


def segmented_scans(data: Path) -> Iterator[SegmentedScan]:
    """All scans with segments, also those that never train."""
    for entry in read_catalogue(data, list(LABEL_FOLDERS)):
        segments = data / LABEL_FOLDERS[entry.folder.name] / f"{entry.name}_couinaud.nii.gz"
        if segments.exists():
            yield SegmentedScan(entry.name, entry.folder / f"{entry.name}_ct.nii.gz", segments)


def prepare(data: Path, output: Path) -> None:
    """Store each scan that may train as ``<name>.npz``; what is there stays."""
    output.mkdir(parents=True, exist_ok=True)
    for scan in tqdm([scan for scan in segmented_scans(data) if scan.name not in NEVER_TRAINED_ON], desc="scans"):
        path = output / f"{scan.name}.npz"
        if not path.exists():
            ct = read_ct(scan.ct_file).canonical()
            coarse = CoarseScan.of(ct.hu, read_values(scan.segments_file), ct.geometry)
            np.savez(path, hu=coarse.hu, labels=coarse.labels, affine=coarse.geometry.affine)


def read_prepared(path: Path) -> CoarseScan:
    """A scan that :func:`prepare` stored."""
    with np.load(path) as stored:
        return CoarseScan(stored["hu"], stored["labels"], Geometry(stored["labels"].shape, stored["affine"]))
