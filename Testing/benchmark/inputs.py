"""The three CTs of the speed benchmark: a native trunk, the same in thin slices, and a whole body that holds it.

The native one is the test patient of the shared data, or a phantom of the same size where those are not at hand. The
thin-slice trunk is interpolated from it along the patient. For the whole body the trunk's own pelvis is added below,
mirrored to and fro, and its own neck above: as long as legs and head, real tissue without liver, broader than either.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.io import files

ROOT = Path(__file__).parents[2]
NATIVE, TRUNK, BODY = NAMES = ("native", "trunk", "body")
# Slices, rows and columns.
SHAPES = {NATIVE: (124, 512, 512), TRUNK: (600, 512, 512), BODY: (1200, 512, 512)}
SPACING_MM = (4.0, 0.7, 0.7)
# Of what is added to a trunk, below it; and what is repeated there and above: neither holds liver or kidneys.
BELOW_SHARE = 2 / 3
PELVIS_MM, NECK_MM = 124.0, 48.0


def make(name: str, folder: str, divisor: int = 1) -> dict[str, Any]:
    """One of the three, written into a folder unless it is the patient as it came: path, shape (k, j, i) and source.

    With a divisor, so many times fewer voxels along each axis, for a trial.
    """
    native = _shared_native()
    source = "test patient 3D-IRCADb-01 19" if native else "phantom, since the native test patient is not at hand"
    if name == NATIVE and native and divisor == 1:
        return of_file(native, source)
    path = Path(folder) / f"{name}.nii.gz"
    ct = _native(native, divisor)
    if name != NATIVE:
        ct = stretched(ct, SHAPES[TRUNK][0] // divisor)
        source += ", interpolated along the patient"
    if name == BODY:
        ct = prolonged(ct, SHAPES[BODY][0] // divisor)
        source += ", pelvis and neck repeated"
    files.write_ct(path, ct)
    return {"path": str(path), "shape": ct.hu.shape, "source": source}


def of_file(path: str | Path, source: str = "a CT of your own") -> dict[str, Any]:
    """The same description of a CT that is there already."""
    return {"path": str(path), "shape": files.read_ct(path).hu.shape, "source": source}


def stretched(ct: CTVolume, slices: int) -> CTVolume:
    """The same patient in another number of slices, interpolated linearly from the first slice to the last."""
    last = len(ct.hu) - 1
    hu = np.empty((slices, *ct.hu.shape[1:]), np.int16)
    for k, exact in enumerate(np.linspace(0, last, slices)):
        below = min(int(exact), last - 1)
        weight = exact - below
        hu[k] = np.rint((1 - weight) * ct.hu[below] + weight * ct.hu[below + 1])
    return CTVolume(hu, ct.affine @ np.diag((1.0, 1.0, last / (slices - 1), 1.0)), ct.name)


def prolonged(trunk: CTVolume, slices: int) -> CTVolume:
    """So many slices in all: an axial trunk, its voxels as they are, between its own pelvis and neck to and fro."""
    count, slice_mm = len(trunk.hu), trunk.spacing[0]
    added = slices - count
    below = round(added * BELOW_SHARE)
    pelvis, neck = (min(count, max(2, round(mm / slice_mm))) for mm in (PELVIS_MM, NECK_MM))
    order = [_to_and_fro(distance, pelvis) for distance in range(below, 0, -1)]
    order += range(count)
    order += [count - 1 - _to_and_fro(distance, neck) for distance in range(1, added - below + 1)]
    down = np.eye(4)
    down[2, 3] = -below
    return CTVolume(trunk.hu[order], trunk.affine @ down, trunk.name)


def _to_and_fro(distance: int, count: int) -> int:
    """Which of ``count`` slices is met after a distance of so many, when one turns round at the first and the last."""
    there_and_back = 2 * (count - 1)
    return min(distance % there_and_back, -distance % there_and_back)


def _native(path: Path | None, divisor: int) -> CTVolume:
    """The native trunk along the canonical axes."""
    slices, rows, columns = (max(2, n // divisor) for n in SHAPES[NATIVE])
    if path is None:
        from LiverSegLib.phantom import make_phantom

        k, j, i = (mm * divisor for mm in SPACING_MM)
        return make_phantom(shape=(slices, rows, columns), spacing=(k, j, i)).ct
    ct = files.read_ct(path).canonical()
    hu = np.ascontiguousarray(ct.hu[::divisor, ::divisor, ::divisor])
    return CTVolume(hu, ct.affine @ np.diag((divisor, divisor, divisor, 1.0)), ct.name)


def _shared_native() -> Path | None:
    data = Path(os.environ.get("LIVERSEG_DATA", ROOT.parent / "shared" / "data"))
    path = data / "native" / "ircad_e19_ct.nii.gz"
    return path if path.exists() else None
