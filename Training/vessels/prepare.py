"""Bring every scan with labelled vessels to the pixels that training samples from, once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from LiverSegLib.data.bounding_box import box_of
from LiverSegLib.inference.preprocess import to_model_spacing
from LiverSegLib.io.files import read_ct

from ..data.catalogue import FIRST_FOLDER, NEVER_TRAINED_ON, read_catalogue, read_values
from .settings import SPACING_MM

LABEL_FOLDER = "anatomy"
LIVER, VESSEL = 1, 2
# What is kept of a scan round its liver.
AROUND_MM = 40.0


@dataclass(frozen=True)
class VesselScan:
    """Name and files of a scan whose vessels are labelled."""

    name: str
    ct_file: Path
    liver_file: Path
    vessels_file: Path

    def labels(self) -> np.ndarray:
        """Liver 1 and, in it, vessel 2: uint8 (k, j, i) of the canonical axial stack."""
        liver, vessels = read_values(self.liver_file) > 0, read_values(self.vessels_file) > 0
        return liver.astype(np.uint8) + (liver & vessels)


@dataclass(frozen=True, eq=False)
class PreparedLiver:
    """A scan round its liver with square pixels of :data:`SPACING_MM`.

    Parameters
    ----------
    hu, labels
        int16 and uint8 (k, j, i): 0 outside the liver, 1 liver, 2 vessel.
    slice_spacing
        Distance in mm between slices.
    liver_hu
        The liver's median.
    """

    hu: np.ndarray
    labels: np.ndarray
    slice_spacing: float
    liver_hu: float

    @cached_property
    def liver_slices(self) -> np.ndarray:
        """Indices of the slices with liver."""
        return np.flatnonzero(self.labels.any(axis=(1, 2)))


def vessel_scans(data: Path) -> Iterator[VesselScan]:
    """All scans with vessels, also those that never train."""
    for entry in read_catalogue(data, [FIRST_FOLDER]):
        vessels = data / LABEL_FOLDER / f"{entry.name}_vessels.nii.gz"
        if vessels.exists():
            ct, liver = (entry.folder / f"{entry.name}_{kind}.nii.gz" for kind in ("ct", "liver"))
            yield VesselScan(entry.name, ct, liver, vessels)


def prepare(data: Path, output: Path) -> None:
    """Store each scan that may train as ``<name>.npz``; what is there stays."""
    output.mkdir(parents=True, exist_ok=True)
    for scan in tqdm([scan for scan in vessel_scans(data) if scan.name not in NEVER_TRAINED_ON], desc="scans"):
        path = output / f"{scan.name}.npz"
        if not path.exists():
            np.savez(path, **vars(prepared_liver(scan)))


def prepared_liver(scan: VesselScan) -> PreparedLiver:
    """A scan on the network's pixels; vessels keep their smooth outlines, as the share of each pixel decides."""
    ct, labels = read_ct(scan.ct_file).canonical(), scan.labels()
    box = tuple(
        slice(max(0, side.start - round(AROUND_MM / mm)), side.stop + round(AROUND_MM / mm))
        for side, mm in zip(box_of(labels), ct.spacing, strict=True)
    )
    hu, liver, vessels = (
        to_model_spacing(torch.from_numpy(values[box].astype(np.float32)), ct.spacing[1:], SPACING_MM).numpy()
        for values in (ct.hu, labels > 0, labels == VESSEL)
    )
    inside = liver >= 0.5
    stored = inside.astype(np.uint8) + (inside & (vessels >= 0.5))
    return PreparedLiver(hu.round().astype(np.int16), stored, ct.spacing[0], float(np.median(ct.hu[labels > 0])))


def read_prepared(path: Path) -> PreparedLiver:
    """A scan that :func:`prepare` stored."""
    with np.load(path) as stored:
        return PreparedLiver(stored["hu"], stored["labels"], float(stored["slice_spacing"]), float(stored["liver_hu"]))
