"""Bring every scan and single slice with Couinaud segments to the voxels that training samples from, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.inference.liver_grid import AVERAGED_MM, CoarseScan
from LiverSegLib.io.files import read_ct

from ..data.catalogue import NEVER_TRAINED_ON, read_catalogue, read_values

# Where the segments of a folder's scans lie.
LABEL_FOLDERS = {"train": "anatomy", "more": "more"}
# Of single slices, in the data and within the folder of what is prepared.
SLICES = "slices"


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


def segmented_slices(data: Path) -> Iterator[SegmentedScan]:
    """All single slices with segments, each by itself."""
    for entry in read_catalogue(data, [SLICES]):
        for name in entry.ids:
            segments = entry.folder / f"{name}_couinaud.nii.gz"
            if segments.exists():
                yield SegmentedScan(name, entry.folder / f"{name}_ct.nii.gz", segments)


def prepare(data: Path, output: Path) -> None:
    """Store each scan that may train as ``<name>.npz``, single slices in a folder beside them; what is there stays."""
    scans = [scan for scan in segmented_scans(data) if scan.name not in NEVER_TRAINED_ON]
    for some, folder in ((scans, output), (list(segmented_slices(data)), output / SLICES)):
        folder.mkdir(parents=True, exist_ok=True)
        for scan in tqdm(some, desc=folder.name):
            path = folder / f"{scan.name}.npz"
            if not path.exists():
                coarse = coarse_scan(scan)
                np.savez(path, hu=coarse.hu, labels=coarse.labels, affine=coarse.geometry.affine)


def coarse_scan(scan: SegmentedScan) -> CoarseScan:
    """A scan in the voxels that its network sees; a single slice in its pixels."""
    ct = read_ct(scan.ct_file).canonical()
    geometry = ct.geometry
    if len(ct.hu) == 1:  # of any thickness: there is nothing to average it with
        thickness = np.diag((1.0, 1.0, AVERAGED_MM / geometry.spacing[0], 1.0))
        geometry = Geometry(geometry.shape, geometry.affine @ thickness)
    return CoarseScan.of(ct.hu, read_values(scan.segments_file), geometry)


def read_prepared(path: Path) -> CoarseScan:
    """A scan that :func:`prepare` stored."""
    with np.load(path) as stored:
        return CoarseScan(stored["hu"], stored["labels"], Geometry(stored["labels"].shape, stored["affine"]))
