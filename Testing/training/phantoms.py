"""A phantom to train on and one to validate on, and a short run, for tests that only ask whether a run works."""

from __future__ import annotations

from pathlib import Path

from LiverSegLib.phantom import make_phantom
from Training.data.prepare import LabelledScan, save_on_model_grid
from Training.settings import Settings
from Training.spec import SPACING_MM


def prepare_phantoms(folder: Path, spacing_mm: float = SPACING_MM) -> Path:
    """Prepare both into the folder, which is made if it is not there; the folder."""
    folder.mkdir(exist_ok=True)
    for seed, split in enumerate(("train", "validation"), start=2000):
        phantom = make_phantom(seed, shape=(12, 48, 48), spacing=(20.0, 7.5, 7.5))
        scan = LabelledScan(phantom.ct, phantom.labels, True)
        save_on_model_grid(scan, folder / f"{seed}.npz", split, "real", spacing_mm)
    return folder


def short_run(prepared: Path, run: Path) -> Settings:
    """Two steps of a tiny network on pixels of 2.5 mm, on the CPU."""
    return Settings(
        prepared=str(prepared),
        run=str(run),
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
