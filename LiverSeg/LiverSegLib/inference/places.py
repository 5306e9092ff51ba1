"""Where to look: regions in which the network doubts more than the ordinary rim of an outline."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..data.bounding_box import Box, box_of
from ..data.geometry import Geometry
from ..data.places import Place
from ..data.resample import resample
from .confidence import ConfidenceMap
from .label_writer import LabelWriter

# More of them nobody looks at, and less than that is not worth a look.
MOST_PLACES, LEAST_ML = 5, 0.5
# A place is where more than this share of a cube of that side is expected to be wrong; along a sharp outline it is
# less (Training/EXPERIMENTS.md).
DOUBT, CUBE_MM = 0.13, 9.0
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
    cube = [max(1, round(CUBE_MM / mm)) | 1 for mm in cells.spacing]
    density = ndimage.uniform_filter(wrong, cube, mode="constant")
    regions, count = ndimage.label((density > DOUBT) & near)
    ml = ndimage.sum_labels(wrong, regions, range(1, count + 1)) * cells.voxel_volume_ml
    ml_in = ndimage.sum_labels(wrongly_in, regions, range(1, count + 1)) * cells.voxel_volume_ml
    frame = _Frame(cells, confidence.liver[box], writer.own, affine)
    worst = np.argsort(-ml, kind="stable")[:MOST_PLACES]
    return tuple(
        frame.place(ndimage.maximum_position(density, regions, n + 1), float(ml[n]), bool(2 * ml_in[n] > ml[n]))
        for n in worst
        if ml[n] >= LEAST_ML
    )


def _expected_errors(confidence: ConfidenceMap, box: Box, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares of each cell that are wrongly in and wrongly out of the result; what clean-up took away is out of it."""
    pieces, count = ndimage.label(confidence.found[box])
    removed = (ndimage.mean(kept, pieces, range(count + 1)) < REMOVED_SHARE)[pieces] & confidence.found[box]
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
