"""The scans at hand, as the catalogues of their folders and ``datasets.json`` tell: adding a data set is a line there.

A folder holds ``<id>_ct.nii.gz``, or ``<id>_mr.nii.gz`` of MR, label files such as ``<id>_liver.nii.gz``, and
``catalogue.json``, a list of entries with at least ``id``. ``"tumour_labelled": false`` in an entry says that a class
is not labelled in that scan.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import nibabel
import numpy as np

from LiverSegLib.data.modality import CT, MR
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.mr_signal import on_network_scale
from LiverSegLib.io.files import read_ct

from ..settings import WINDOW_HU
from .classes import BACKGROUND

DATA_SETS: dict = json.loads(Path(__file__).with_name("datasets.json").read_text(encoding="utf-8"))
NEVER_TRAINED_ON = tuple(DATA_SETS["never_trained_on"])
FIRST_FOLDER = "train"


@dataclass(frozen=True)
class LabelledScan:
    """A CT or MR and its labels, (k, j, i) on one grid: what each label means, which classes are labelled throughout.

    MR is on the scale of the network's window (:mod:`LiverSegLib.inference.mr_signal`).
    """

    ct: CTVolume
    labels: np.ndarray
    names: tuple[str, ...] = (BACKGROUND, "liver", "tumour")
    labelled: tuple[str, ...] = ("liver", "tumour")
    modality: str = CT

    @property
    def liver(self) -> np.ndarray:
        """The liver, its tumours included, bool."""
        return np.isin(self.labels, [self.names.index(name) for name in ("liver", "tumour") if name in self.names])


@dataclass(frozen=True)
class Entry:
    """One scan of a folder: its files' stem, its name in training, and which classes it has labelled."""

    folder: Path
    ids: tuple[str, ...]
    name: str
    labels: dict[str, dict[str, str]]
    unlabelled: tuple[str, ...] = ()
    single_slices: bool = False
    modality: str = CT

    def read(self) -> LabelledScan:
        """The scan as a canonical axial stack; single slices as a stack whose slices are infinitely far apart."""
        parts = [self._read_one(stem) for stem in self.ids]
        if not self.single_slices:
            return parts[0]
        ct = parts[0].ct
        affine = ct.affine.copy()
        affine[:3, 2] *= 1e6 / ct.spacing[0]
        stack = CTVolume(np.concatenate([part.ct.hu for part in parts]), affine, self.name)
        return LabelledScan(stack, np.concatenate([part.labels for part in parts]), parts[0].names, parts[0].labelled)

    def _read_one(self, stem: str) -> LabelledScan:
        ct = read_ct(self.folder / f"{stem}_{self.modality.lower()}.nii.gz").canonical()
        if self.modality == MR:
            ct = on_network_scale(ct, WINDOW_HU)
        names = [BACKGROUND]
        labels = np.zeros(ct.hu.shape, np.uint8)
        for kind, meaning in self.labels.items():
            path = self.folder / f"{stem}_{kind}.nii.gz"
            if not path.exists():
                continue
            stored = read_values(path)
            for value, name in meaning.items():
                names.append(name)
                labels[(stored == int(value)) & (labels == 0)] = len(names) - 1
        labelled = tuple(name for name in names[1:] if name not in self.unlabelled)
        return LabelledScan(_without_floor(ct, stem), labels, tuple(names), labelled, self.modality)


def shared_data() -> Path:
    """The folder of the shared CT data, from LIVERSEG_DATA or beside the repository."""
    return Path(os.environ.get("LIVERSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def read_catalogue(data: Path, folders: Sequence[str] = (FIRST_FOLDER,)) -> list[Entry]:
    """The scans of these folders of ``data``; single slices of one patient are one scan, ``<patient>_slices``."""
    entries = []
    for folder in folders:
        about = DATA_SETS["folders"][folder]
        listed = json.loads((data / folder / "catalogue.json").read_text(encoding="utf-8"))
        if about.get("single_slices"):
            patients: dict[str, list[str]] = {}
            for one in listed:
                patients.setdefault(patient_of(one["id"]), []).append(one["id"])
            entries += [
                Entry(data / folder, tuple(ids), f"{patient}_slices", about["labels"], ("tumour",), True)
                for patient, ids in patients.items()
            ]
            continue
        for one in listed:
            unlabelled = tuple(key.removesuffix("_labelled") for key, value in one.items() if value is False)
            modality = about.get("modality", CT)
            entries.append(
                Entry(data / folder, (one["id"],), one["id"], about["labels"], unlabelled, modality=modality)
            )
    return entries


def patient_of(name: str) -> str:
    """The patient of a scan, a copy or a slice: what its name begins with, as ``lits_127`` of ``lits_127_z533``."""
    # The star in ``chaos_t2_*`` stands for the third word.
    words = data_set_of(name).get("scans", "_").count("_") + 1
    return "_".join(name.split("_")[:words])


def person_of(name: str) -> str:
    """One name for all scans that are, or may be, of one person."""
    patient = patient_of(name)
    return next((group[0] for group in DATA_SETS["one_person"] if patient in group), patient)


def data_set_of(name: str) -> dict[str, str]:
    """What ``datasets.json`` says of the data set of a scan; nothing of one that it does not know."""
    return next((one for one in DATA_SETS["data_sets"] if fnmatchcase(name, one["scans"])), {"name": ""})


def read_values(path: Path) -> np.ndarray:
    """A labelmap of any number of labels on its canonical axial stack."""
    image = nibabel.load(path)
    return CTVolume(np.asanyarray(image.dataobj).T, image.affine).canonical().hu


def _without_floor(ct: CTVolume, name: str) -> CTVolume:
    """Air in a scan that was clipped between air and fat as it is in other scans: what reads the lowest value."""
    lowest = data_set_of(name).get("lowest_hu")
    if lowest is None:
        return ct
    return CTVolume(np.where(ct.hu <= int(lowest), -1000, ct.hu).astype(np.int16), ct.affine, ct.name)
