"""Prepared scans on disk: arrays that are mapped, so that no process holds the data set, and a word about each."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from LiverSegLib.inference.preprocess import to_model_spacing
from LiverSegLib.io.atomic import replacing

from .catalogue import LabelledScan
from .classes import Classes
from .fluid import LEVELS_HU

LOWEST_HU, HIGHEST_HU = -250, 260
# At the dome and at the lower tip, where a slice shows little of the liver, most mistakes are made.
LIVER_END_MM = 15.0
ABOUT = "scan.json"


def is_stored(folder: Path) -> bool:
    """Whether a folder holds a whole scan: what is told of it is written last."""
    return (folder / ABOUT).is_file()


def store(scan: LabelledScan, folder: Path, kind: str, spacing_mm: float, regions: np.ndarray | None = None) -> None:
    """Write HU (int16), labels and, if given, regions (uint8), all (k, rows, columns) with pixels of ``spacing_mm``.

    ``kind`` is "real", "tilted", "fluid", "slices", "phantom" or "mr".
    """
    spacing = scan.ct.spacing
    hu = torch.from_numpy(scan.ct.hu.astype(np.float32)).clamp(LOWEST_HU, HIGHEST_HU)

    def on_grid(mask: np.ndarray) -> np.ndarray:
        # A label goes where it covers the larger part of a pixel.
        return (to_model_spacing(torch.from_numpy(mask.astype(np.float32)), spacing[1:], spacing_mm) >= 0.5).numpy()

    arrays = {"hu": to_model_spacing(hu, spacing[1:], spacing_mm).round().to(torch.int16).numpy()}
    arrays["labels"] = np.zeros(arrays["hu"].shape, np.uint8)
    # The whole liver first: a tumour's rim belongs to it.
    if "liver" in scan.names:
        arrays["labels"][on_grid(scan.liver)] = scan.names.index("liver")
    for value, name in enumerate(scan.names):
        if name not in ("background", "liver") and (scan.labels == value).any():
            arrays["labels"][on_grid(scan.labels == value)] = value
    if regions is not None:
        arrays["regions"] = np.zeros(arrays["hu"].shape, np.uint8)
        for region in LEVELS_HU:
            arrays["regions"][on_grid(regions == region)] = region
    folder.mkdir(parents=True, exist_ok=True)
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    about = {
        "kind": kind,
        "spacing_mm": spacing_mm,
        "slice_spacing": spacing[0],
        "names": scan.names,
        "labelled": scan.labelled,
        "modality": scan.modality,
        "slices": {name: _slices_with(arrays["labels"], scan.names, name) for name in ("liver", "tumour")},
    }
    with replacing(folder / ABOUT) as temporary:
        temporary.write_text(json.dumps(about) + "\n", encoding="utf-8")


def _slices_with(labels: np.ndarray, names: tuple[str, ...], wanted: str) -> list[int]:
    """Indices of the slices with this class; with tumour is with liver."""
    values = [names.index(name) for name in {wanted, "tumour"} if name in names]
    return np.flatnonzero(np.isin(labels, values).any(axis=(1, 2))).tolist()


@dataclass(frozen=True)
class PreparedScan:
    """One scan on the network's grid: HU, labels and regions (k, rows, columns), mapped; spacing of its slices in mm.

    ``hu`` of MR is signal on the scale of the network's window.
    ``labels`` are those of the network's classes, ``labelled`` says which regions of its loss the scan shows.
    ``regions`` are those that :mod:`Training.data.fluid` fills, of a copy that has such.
    """

    name: str
    kind: str
    slice_spacing: float
    labelled: tuple[bool, ...]
    liver_slices: np.ndarray
    tumour_slices: np.ndarray
    translation: Tensor
    arrays: dict[str, np.ndarray]
    modality: str = "CT"

    @classmethod
    def open(cls, folder: Path, classes: Classes, spacing_mm: float) -> PreparedScan:
        """Map a stored scan.

        Raises
        ------
        ValueError
            If it was prepared with other pixels than ``spacing_mm``.
        """
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        if abs(about["spacing_mm"] - spacing_mm) > 1e-6:
            raise ValueError(
                f"{folder} has pixels of {about['spacing_mm']} mm, not {spacing_mm}; "
                f"run python -m Training.data.prepare --spacing-mm {spacing_mm} into a folder of its own"
            )
        return cls(
            folder.name,
            about["kind"],
            about["slice_spacing"],
            classes.labelled_regions(about["labelled"]),
            np.array(about["slices"]["liver"], int),
            np.array(about["slices"]["tumour"], int),
            classes.translation(about["names"]),
            {path.stem: np.load(path, mmap_mode="r") for path in folder.glob("*.npy")},
            about.get("modality", "CT"),
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """Slices, rows, columns."""
        return self.arrays["hu"].shape

    def hu(self, low: int, high: int) -> Tensor:
        """Slices from ``low`` to ``high``, float32."""
        return torch.from_numpy(self.arrays["hu"][low:high].astype(np.float32))

    def labels(self, low: int, high: int) -> Tensor:
        """Labels of these slices, uint8."""
        return self.translation[torch.from_numpy(self.arrays["labels"][low:high].astype(np.int64))]

    def regions(self, low: int, high: int) -> Tensor | None:
        """What may be filled in these slices, uint8; None in a scan that is no copy with fluid."""
        stored = self.arrays.get("regions")
        return None if stored is None else torch.from_numpy(np.array(stored[low:high]))

    @property
    def end_slices(self) -> np.ndarray:
        """Indices of the slices, in the liver or beyond it, within 15 mm of its highest or lowest slice."""
        if not len(self.liver_slices):
            return self.liver_slices
        position = np.arange(self.shape[0])
        distance = np.abs(position[:, None] - self.liver_slices[[0, -1]]).min(axis=1)
        return np.flatnonzero(distance * self.slice_spacing <= LIVER_END_MM)
