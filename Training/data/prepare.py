"""Bring every scan to the network's grid once: ``python -m Training.data.prepare``.

Besides each real scan are stored: a copy tilted about a random horizontal axis, since patients do not always lie
straight and oblique reformats exist; copies in which fluid may fill chest and abdomen; and phantoms of random anatomy,
so that the network recognises the phantom of demo and self-test.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import torch
from tqdm import tqdm

from LiverSegLib.atomic import replacing
from LiverSegLib.files import read_ct, read_labels
from LiverSegLib.grid import to_model_spacing
from LiverSegLib.phantom import make_phantom
from LiverSegLib.resample import resample
from LiverSegLib.volume import CTVolume

from ..spec import SPACING_MM
from .fluid import LEVELS_HU, draw_regions, find_air
from .splits import VALIDATION
from .stored import find_slices

STORED_HU = (-250, 260)
# The demo and the self-test use low seeds: those phantoms stay unseen.
FIRST_PHANTOM_SEED = 1000
# Of each scan, those in which fluid fills other parts of chest and abdomen.
FLUID_COPIES = 3


@dataclass(frozen=True)
class LabelledScan:
    """A CT with its label map, both (k, j, i) on one grid, and whether the tumours in it carry their own label."""

    ct: CTVolume
    labels: np.ndarray
    tumour_labelled: bool


def shared_data() -> Path:
    """The folder of the shared CT data, from LIVERSEG_DATA or beside the repository."""
    return Path(os.environ.get("LIVERSEG_DATA", Path(__file__).parents[3] / "shared" / "data"))


def read_catalogue(data: Path) -> list[dict]:
    """The entries of ``train/catalogue.json``: id, split, patient, tumour_labelled and more."""
    return json.loads((data / "train" / "catalogue.json").read_text())


def read_scan(data: Path, entry: dict) -> LabelledScan:
    """Read one scan of ``train/`` and its labels as a canonical axial stack."""
    ct = read_ct(data / "train" / f"{entry['id']}_ct.nii.gz").canonical()
    labels = CTVolume(*read_labels(data / "train" / f"{entry['id']}_liver.nii.gz")).canonical().hu
    return LabelledScan(ct, labels, bool(entry["tumour_labelled"]))


def tilt(scan: LabelledScan, rng: np.random.Generator) -> LabelledScan:
    """Resample the scan on a grid of 3 mm slices, tilted by 5 to 20 degrees about a random horizontal axis."""
    angle = np.radians(rng.uniform(5, 20) * rng.choice((-1, 1)))
    heading = rng.uniform(0, np.pi)
    axis = np.array((np.cos(heading), np.sin(heading), 0.0))
    cross = np.array(((0, -axis[2], axis[1]), (axis[2], 0, -axis[0]), (-axis[1], axis[0], 0)))
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross  # Rodrigues' formula
    size = np.array(scan.ct.hu.shape[::-1], dtype=float)
    spacing = np.array(scan.ct.spacing[::-1])
    slices = max(1, round(size[2] * spacing[2] / 3.0))
    target_size = np.array((size[0], size[1], slices))
    target_spacing = np.array((spacing[0], spacing[1], size[2] * spacing[2] / slices))
    centre = scan.ct.affine[:3, :3] @ ((size - 1) / 2) + scan.ct.affine[:3, 3]
    affine = np.eye(4)
    affine[:3, :3] = rotation @ (scan.ct.affine[:3, :3] / spacing) * target_spacing
    affine[:3, 3] = centre - affine[:3, :3] @ ((target_size - 1) / 2)
    shape = tuple(int(n) for n in target_size[::-1])
    hu = resample(scan.ct.hu.astype(np.float32), scan.ct.affine, shape, affine, order=1, fill=STORED_HU[0])
    labels = resample(scan.labels, scan.ct.affine, shape, affine, order=0, fill=0)
    ct = CTVolume(np.rint(hu).astype(np.int16), affine, f"{scan.ct.name}_tilted")
    return LabelledScan(ct, labels.astype(np.uint8), scan.tumour_labelled)


def save_on_model_grid(
    scan: LabelledScan,
    path: Path,
    split: str,
    kind: str,
    spacing_mm: float = SPACING_MM,
    regions: np.ndarray | None = None,
) -> None:
    """Store HU (int16), labels and, if given, regions (uint8), all (k, rows, columns) with pixels of ``spacing_mm``.

    They are not compressed, so that training can read single slices; where liver and tumour are is stored beside them.
    ``split`` ("train" or "validation") counts only for scans that :mod:`Training.data.splits` does not name: phantoms
    and scans of your own.
    """
    spacing = scan.ct.spacing
    hu = torch.from_numpy(scan.ct.hu.astype(np.float32)).clamp(*STORED_HU)
    hu = to_model_spacing(hu, spacing[1:], spacing_mm)

    def on_grid(mask: np.ndarray) -> torch.Tensor:
        # A label goes where it covers the larger part of a pixel.
        return to_model_spacing(torch.from_numpy(mask.astype(np.float32)), spacing[1:], spacing_mm) >= 0.5

    # Tumour before liver.
    liver, tumour = on_grid(scan.labels > 0), on_grid(scan.labels == 2)
    labels = liver.to(torch.uint8) + (liver & tumour).to(torch.uint8)
    others = find_slices(labels)
    if regions is not None:
        others["regions"] = torch.zeros_like(labels)
        for region in LEVELS_HU:
            others["regions"][on_grid(regions == region)] = region
    with replacing(path) as temporary:
        np.savez(
            temporary,
            hu=hu.round().to(torch.int16).numpy(),
            labels=labels.numpy(),
            slice_spacing=spacing[0],
            spacing_mm=spacing_mm,
            tumour_labelled=scan.tumour_labelled,
            split=split,
            kind=kind,
            **{name: tensor.numpy() for name, tensor in others.items()},
        )


def prepare(data: Path, output: Path, phantoms: int, seed: int, spacing_mm: float = SPACING_MM) -> None:
    """Write ``<id>.npz`` for every scan that is not a test patient, its copies, and the phantoms.

    Every split of :mod:`Training.data.splits` draws from this one folder.
    """
    output.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    entries = [entry for entry in read_catalogue(data) if entry["split"] == "train"]
    # The bundled network's validation scans come last: so the others are tilted as they were for its training.
    for entry in tqdm(sorted(entries, key=lambda entry: entry["id"] in VALIDATION), desc="scans"):
        scan = read_scan(data, entry)
        split = "validation" if entry["id"] in VALIDATION else "train"
        save_on_model_grid(scan, output / f"{entry['id']}.npz", split, "real", spacing_mm)
        save_on_model_grid(tilt(scan, rng), output / f"{entry['id']}_tilted.npz", split, "tilted", spacing_mm)
        save_fluid_copies(scan, entry["id"], output, split, spacing_mm)
    for number in tqdm(range(phantoms), desc="phantoms"):
        phantom = make_phantom(FIRST_PHANTOM_SEED + number)
        scan = LabelledScan(phantom.ct, phantom.labels, True)
        save_on_model_grid(scan, output / f"phantom_{number:03d}.npz", "train", "phantom", spacing_mm)


def save_fluid_copies(scan: LabelledScan, name: str, output: Path, split: str, spacing_mm: float = SPACING_MM) -> None:
    """Write ``<id>_fluid0.npz`` and so on; what they show depends on the scan's name alone, not on those before it."""
    air = find_air(scan.ct)
    for copy in range(FLUID_COPIES):
        copy_name = f"{name}_fluid{copy}"
        regions, labels = draw_regions(scan.ct, scan.labels, air, np.random.default_rng(crc32(copy_name.encode())))
        filled = replace(scan, labels=labels)
        save_on_model_grid(filled, output / f"{copy_name}.npz", split, "fluid", spacing_mm, regions)


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--data", type=Path, default=shared_data(), help="folder that holds train/ (default: LIVERSEG_DATA)"
    )
    parser.add_argument("--output", type=Path, default=Path("prepared"))
    parser.add_argument("--phantoms", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--spacing-mm", type=float, default=SPACING_MM, help="size of the pixels in-plane")
    options = parser.parse_args(argv)
    prepare(options.data, options.output, options.phantoms, options.seed, options.spacing_mm)


if __name__ == "__main__":
    main()
