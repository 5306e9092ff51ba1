"""Where to look: regions in which the network doubts more than the ordinary rim of an outline."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import ndimage

from ..data.bounding_box import Box, box_of
from ..data.geometry import Geometry
from ..data.places import Place
from ..data.resample import resample
from .confidence import ConfidenceMap
from .label_writer import LabelWriter

# More of them nobody looks at, and less than that is not worth a look.
MOST_PLACES, LEAST_ML = 5, 1.0
# A place is a cube of that side, of what a reader sees at a glance.
PLACE_MM = 40.0
# What counts there is where more than this share of a smaller cube is expected to be wrong: along a sharp outline it is
# less. On 20 patients of a hospital that training never saw, 37 % of what was wrong by more than two pixels lay in five
# such places, and 9 % in five cubes laid on the outline by chance.
DOUBT, DOUBT_MM = 0.1, 9.0
# Farther from the liver, other organs are in doubt.
FARTHEST_MM = 20.0
# Of a piece that the network found, the result holds less than this if clean-up took it away.
REMOVED_SHARE = 0.1


def places_to_check(writer: LabelWriter, affine: np.ndarray) -> tuple[Place, ...]:
    """The places that a reader should look at, most in doubt first.

    Parameters
    ----------
    writer
        A result, cleaned up, and the confidence in it.
    affine
        The input's, 4×4, voxel indices (i, j, k) to RAS mm; the writer's own is another if it has the mirror image.
    """
    confidence = writer.confidence
    box = confidence.box_near_liver(FARTHEST_MM)
    near = confidence.is_near_liver(box, FARTHEST_MM)
    if not near.any():
        return ()
    k, row, column = (side.start for side in box)
    cells = confidence.cells.part((k, row, column), near.shape)
    kept = resample(writer.labels, writer.canonical.geometry, cells, order=0) > 0
    wrongly_in, wrongly_out = _expected_errors(confidence, box, kept)
    wrong = wrongly_in + wrongly_out
    density = ndimage.uniform_filter(wrong, _cube(DOUBT_MM, cells), mode="constant")
    left = np.where((density > DOUBT) & near, wrong, 0)
    frame = _Frame(cells, confidence.liver[box], writer.own, affine)
    places: list[Place] = []
    for around in _worst_cubes(left, _cube(PLACE_MM, cells)):
        doubtful = left[around] > 0
        ml, ml_in = (share[around][doubtful].sum() * cells.voxel_volume_ml for share in (wrong, wrongly_in))
        if ml < LEAST_ML:
            break
        peak = np.unravel_index((density[around] * doubtful).argmax(), doubtful.shape)
        cell = tuple(int(n) + side.start for n, side in zip(peak, around, strict=True))
        places.append(frame.place(cell, float(ml), bool(2 * ml_in > ml)))
        left[around] = 0
    return tuple(places)


def _cube(side_mm: float, cells: Geometry) -> list[int]:
    """A cube's size in cells, odd so that it has a middle."""
    return [max(1, round(side_mm / mm)) | 1 for mm in cells.spacing]


def _worst_cubes(left: np.ndarray, size: list[int]) -> Iterator[Box]:
    """Where a cube holds most of what is left, again and again; the caller takes it out of the array."""
    for _ in range(MOST_PLACES):
        middle = np.unravel_index(ndimage.uniform_filter(left, size, mode="constant").argmax(), left.shape)
        starts = [int(n) - side // 2 for n, side in zip(middle, size, strict=True)]
        k, row, column = (slice(max(0, start), start + side) for start, side in zip(starts, size, strict=True))
        yield k, row, column


def _expected_errors(confidence: ConfidenceMap, box: Box, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of each cell that are wrongly in and wrongly out of the result; what clean-up took away is out of it."""
    pieces, _ = ndimage.label(confidence.found[box])
    sizes = np.bincount(pieces.ravel())
    left = np.bincount(pieces[kept], minlength=len(sizes))
    removed = (left < REMOVED_SHARE * sizes)[pieces] & confidence.found[box]
    wrongly_in, wrongly_out = confidence.wrongly_in[box], confidence.wrongly_out[box]
    return np.where(removed, 0, wrongly_in), np.where(removed, confidence.probability[box], wrongly_out)


class _Frame:
    """Names cells by where they lie in the input and in the liver."""

    def __init__(self, cells: Geometry, liver: np.ndarray, own: Geometry, affine: np.ndarray) -> None:
        self._to_index = np.linalg.solve(own.affine, cells.affine)
        self._last = own.shape[0] - 1
        self._affine = affine
        edges = [(side.start, side.stop - 1) for side in box_of(liver)]
        ends = np.array([self._ras(tuple(edge[n] for edge in edges))[1] for n in (0, 1)])
        self._low, self._high = ends.min(axis=0), ends.max(axis=0)

    def place(self, cell: tuple[int, ...], ml: float, inside: bool) -> Place:
        """A region whose doubt is largest in a cell (k, row, column)."""
        index, ras = self._ras(cell)
        across, up = ((ras - self._low) / np.maximum(self._high - self._low, 1e-3))[[0, 2]]
        return Place(
            slice=int(np.clip(round(index[2]), 0, self._last)),
            position_mm=(float(ras[0]), float(ras[1]), float(ras[2])),
            ml=ml,
            side="right" if across > 0.5 else "left",
            height="lower" if up < 1 / 3 else "upper" if up > 2 / 3 else "middle",
            inside=inside,
        )

    def _ras(self, cell: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
        """A cell's index (i, j, k) in the input, and its place in the patient."""
        index = self._to_index @ (*cell[::-1], 1.0)
        return index[:3], (self._affine @ index)[:3]
