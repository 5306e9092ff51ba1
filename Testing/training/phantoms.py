"""Small phantoms as training finds them: prepared on disk, or drawn from."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from LiverSegLib.io.files import write_ct, write_labels
from LiverSegLib.phantom import make_phantom
from Training.data.catalogue import LabelledScan
from Training.data.classes import Classes
from Training.data.sample import Batch, SliceSampler
from Training.data.stored import PreparedScan, store
from Training.settings import Settings

LIVER = Classes.read("liver.json")
# Of which the second is held back.
SCANS = ("ircad_e01", "ircad_e10")


def a_phantom_scan(seed: int = 2000) -> LabelledScan:
    """A coarse phantom, its tumours labelled."""
    phantom = make_phantom(seed, shape=(12, 48, 48), spacing=(20.0, 7.5, 7.5))
    return LabelledScan(phantom.ct, phantom.labels)


def write_data(folder: Path, *names: str) -> Path:
    """A folder of data whose first data set has phantoms under these names; the folder."""
    (folder / "train").mkdir(parents=True)
    for seed, name in enumerate(names, start=2000):
        scan = a_phantom_scan(seed)
        write_ct(folder / "train" / f"{name}_ct.nii.gz", scan.ct)
        write_labels(folder / "train" / f"{name}_liver.nii.gz", scan.labels, scan.ct.affine)
    catalogue = [{"id": name, "tumour_labelled": True} for name in names]
    (folder / "train" / "catalogue.json").write_text(json.dumps(catalogue))
    return folder


def prepare_phantoms(folder: Path, *more: str) -> Path:
    """Prepare two as scans of 3D-IRCADb-01, and further ones by name, and one as phantom; the folder."""
    for seed, name in enumerate((*SCANS, "phantom_000", *more), start=2000):
        store(a_phantom_scan(seed), folder / name, "phantom" if name == "phantom_000" else "real", 2.5)
    return folder


def short_run(prepared: Path, run: Path) -> Settings:
    """Two steps of a tiny network on pixels of 2.5 mm, on the CPU."""
    return Settings(
        prepared=str(prepared),
        run=str(run),
        held_out=SCANS[1:],
        spacing_mm=2.5,
        steps=2,
        batch=2,
        size=32,
        sampled_size=40,
        base_width=4,
        depth=3,
        validate_every=2,
        save_every=1,
        accelerator="cpu",
    )


def even_scan(kind: str = "real", liver_hu: int = 110) -> PreparedScan:
    """A phantom whose liver has one HU all through, 64×64 pixels of 5.5 mm and slices of 8 mm."""
    phantom = make_phantom(1000, shape=(20, 64, 64), spacing=(8.0, 5.5, 5.5))
    return held(np.where(phantom.labels == 1, liver_hu, phantom.ct.hu), phantom.labels, kind=kind)


def held(hu: np.ndarray, labels: np.ndarray, slice_spacing: float = 8.0, kind: str = "real") -> PreparedScan:
    """A scan that is not on disk; labels are 0, 1 and 2, all told."""
    liver, tumour = (np.flatnonzero((labels >= value).any(axis=(1, 2))) for value in (1, 2))
    names, arrays = ["background", "liver", "tumour"], {"hu": hu, "labels": labels}
    return PreparedScan("scan", kind, slice_spacing, (True, True), liver, tumour, LIVER.translation(names), arrays)


def drawn(scans: list[PreparedScan], count: int, size: int = 64, seed: int = 0, **settings: object) -> Batch:
    """A batch of slices without neighbours, into which nothing is drawn but what the settings say."""
    nothing = {"unenhanced_share": 0.0, "density_share": 0.0, "end_share": 0.0, "tumour_share": 0.0}
    wanted = {"size": 32, "sampled_size": size, "offsets_mm": (0.0,), "liver_share": 1.0, **nothing, **settings}
    sampler = SliceSampler(scans, LIVER, replace(Settings(), **wanted), count, seed)
    return sampler.batch(np.random.default_rng(seed))


def batch_of(hu: torch.Tensor, labels: torch.Tensor, classes: Classes = LIVER) -> Batch:
    """A batch whose every region is labelled."""
    return Batch(hu, labels, torch.ones(len(hu), len(classes.regions), dtype=torch.bool), classes)
