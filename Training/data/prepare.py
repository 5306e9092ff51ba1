"""Bring every scan to the network's grid once: ``python -m Training.data.prepare``.

Besides each real scan are stored: a copy tilted about a random horizontal axis, since patients do not always lie
straight and oblique reformats exist; copies in which fluid may fill chest and abdomen; and phantoms of random anatomy,
so that the network recognises the phantom of demo and self-test. What is there already is left as it is.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from zlib import crc32

import numpy as np
from tqdm import tqdm

from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.modality import MR
from LiverSegLib.data.resample import resample
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.phantom import make_phantom

from ..settings import SPACING_MM
from .catalogue import FIRST_FOLDER, NEVER_TRAINED_ON, LabelledScan, read_catalogue, shared_data
from .fluid import draw_regions, find_air
from .stored import LOWEST_HU, is_stored, store

# The demo and the self-test use low seeds: those phantoms stay unseen.
FIRST_PHANTOM_SEED = 1000
PHANTOMS = 30
# Of each scan, those in which fluid fills other parts of chest and abdomen.
FLUID_COPIES = 3

Maker = Callable[[], tuple[LabelledScan, np.ndarray | None]]


def prepare(
    data: Path,
    output: Path,
    folders: list[str],
    spacing_mm: float = SPACING_MM,
    phantoms: int = PHANTOMS,
    fluid_copies: int = FLUID_COPIES,
) -> None:
    """Store every scan of the folders that may train, its copies, and the phantoms; all runs draw from there."""
    made = {path.name for path in output.glob("*") if is_stored(path)}
    # Scans before their copies: a short run can do without these.
    wanted = sorted(_wanted(data, folders, phantoms, fluid_copies), key=lambda one: one[1] in ("tilted", "fluid"))
    for name, kind, make in tqdm(wanted, desc="scans and copies"):
        if name not in made:
            scan, regions = make()
            store(scan, output / name, kind, spacing_mm, regions)


def _wanted(data: Path, folders: list[str], phantoms: int, fluid_copies: int) -> Iterator[tuple[str, str, Maker]]:
    """Name and kind of all that is to be stored, and what makes it."""
    for entry in read_catalogue(data, folders):
        if entry.name in NEVER_TRAINED_ON:
            continue
        if entry.single_slices:
            yield entry.name, "slices", partial(_plain, entry.read)
            continue
        if entry.modality == MR:
            yield entry.name, "mr", partial(_plain, entry.read)
            continue
        yield entry.name, "real", partial(_plain, entry.read)
        name = f"{entry.name}_tilted"
        yield name, "tilted", partial(_tilted, entry.read, name)
        for copy in range(fluid_copies):
            name = f"{entry.name}_fluid{copy}"
            yield name, "fluid", partial(_with_fluid, entry.read, name)
    for number in range(phantoms):
        yield f"phantom_{number:03d}", "phantom", partial(_phantom, FIRST_PHANTOM_SEED + number)


def _plain(read: Callable[[], LabelledScan]) -> tuple[LabelledScan, None]:
    return read(), None


def _tilted(read: Callable[[], LabelledScan], name: str) -> tuple[LabelledScan, None]:
    return tilt(read(), _chance_of(name)), None


def _with_fluid(read: Callable[[], LabelledScan], name: str) -> tuple[LabelledScan, np.ndarray]:
    scan = read()
    regions, shrunk = draw_regions(scan.ct, scan.liver, find_air(scan.ct), _chance_of(name))
    return replace(scan, labels=np.where(scan.liver & ~shrunk, 0, scan.labels).astype(np.uint8)), regions


def _phantom(seed: int) -> tuple[LabelledScan, None]:
    phantom = make_phantom(seed)
    return LabelledScan(phantom.ct, phantom.labels), None


def _chance_of(name: str) -> np.random.Generator:
    """What is random in a copy depends on its name alone, not on those before it."""
    return np.random.default_rng(crc32(name.encode()))


def tilt(scan: LabelledScan, rng: np.random.Generator) -> LabelledScan:
    """Resample the scan on a grid of 3 mm slices, tilted by 5 to 20 degrees about a random horizontal axis."""
    rotation = _rotation(np.radians(rng.uniform(5, 20) * rng.choice((-1, 1))), rng.uniform(0, np.pi))
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
    grid = Geometry(shape, affine)
    hu = resample(scan.ct.hu.astype(np.float32), scan.ct.geometry, grid, fill=LOWEST_HU)
    labels = resample(scan.labels, scan.ct.geometry, grid, order=0)
    ct = CTVolume(np.rint(hu).astype(np.int16), affine, f"{scan.ct.name}_tilted")
    return replace(scan, ct=ct, labels=labels.astype(np.uint8))


def _rotation(angle: float, heading: float) -> np.ndarray:
    """A turn about a horizontal axis, by Rodrigues' formula; both in radians."""
    axis = np.array((np.cos(heading), np.sin(heading), 0.0))
    cross = np.array(((0, -axis[2], axis[1]), (axis[2], 0, -axis[0]), (-axis[1], axis[0], 0)))
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def main(argv: list[str] | None = None) -> None:
    """Command line of the step."""
    parser = argparse.ArgumentParser(prog="python -m Training.data.prepare", description=__doc__)
    parser.add_argument("--data", type=Path, default=shared_data(), help="holds the folders (default: LIVERSEG_DATA)")
    parser.add_argument("--folders", nargs="+", default=[FIRST_FOLDER], help="of datasets.json")
    parser.add_argument("--output", type=Path, default=Path("prepared"))
    parser.add_argument("--spacing-mm", type=float, default=SPACING_MM, help="size of the pixels in-plane")
    parser.add_argument("--phantoms", type=int, default=PHANTOMS)
    parser.add_argument("--fluid-copies", type=int, default=FLUID_COPIES, help="of each scan")
    prepare(**vars(parser.parse_args(argv)))


if __name__ == "__main__":
    main()
