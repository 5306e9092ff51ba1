"""What the network has to beat: growth from the clicks over the CT alone, and painting the clicked slices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra

from LiverSegLib.data.strokes import Stroke, indices_of
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.stroke_maps import REACH_MM

# Of the growth: a step over so many HU more or less costs as much as going a millimetre, and so far it goes.
HU_PER_MM, FARTHEST = 5.0, 60.0
# HU are averaged so far before, as noise would stop every growth, and paths lead through voxels of that width.
SMOOTHING_MM, VOXEL_MM = 1.5, 3.0


class Growth:
    """Turns what lies near a click, by paths along which the CT hardly changes, within the refiner's reach.

    The cost of a path is its length and how unlike the click's HU it is: a geodesic distance (as in DeepIGeoS; Wang et
    al., TPAMI 41, 2019), along the voxels' axes.

    Parameters
    ----------
    ct
        The scan as a canonical stack.
    """

    def __init__(self, ct: CTVolume) -> None:
        self._ct = ct
        sigma = [SMOOTHING_MM / mm for mm in ct.spacing]
        self._hu = ndimage.gaussian_filter(ct.hu.clip(-160, 240).astype(np.float32), sigma)

    def refine(self, labels: np.ndarray, strokes: Sequence[Stroke], reference: np.ndarray) -> np.ndarray:
        """New labels after the last stroke."""
        grid, stroke = self._ct.geometry, strokes[-1]
        middle = np.rint(indices_of(stroke.points_mm, grid)[0]).astype(int)
        steps = [max(1, round(VOXEL_MM / mm)) for mm in grid.spacing]
        reach = [int(REACH_MM / (mm * step)) * step for mm, step in zip(grid.spacing, steps, strict=True)]
        # From the click outwards, so that it is one of the coarse voxels.
        low = [int(at - min(far, at // step * step)) for at, far, step in zip(middle, reach, steps, strict=True)]
        high = np.minimum(middle + np.array(reach) + 1, grid.shape)
        box = tuple(slice(a, int(b)) for a, b in zip(low, high, strict=True))
        coarse = tuple(slice(a, int(b), step) for a, b, step in zip(low, high, steps, strict=True))
        seed = tuple((middle - low) // steps)
        path = _path_costs(self._hu[coarse], seed, np.multiply(steps, grid.spacing))
        places = np.meshgrid(*(np.arange(b - a) / s for a, b, s in zip(low, high, steps, strict=True)), indexing="ij")
        path = ndimage.map_coordinates(path, places, order=1, mode="nearest")
        away = sum(
            ((np.arange(a, b) - at) * mm)[(slice(None), *[None] * (2 - axis))] ** 2
            for axis, (a, b, at, mm) in enumerate(zip(low, high, middle, grid.spacing, strict=True))
        )
        result = labels.copy()
        result[box][(path <= FARTHEST) & (away < REACH_MM**2)] = stroke.is_liver
        for one in strokes:
            covered_box, covered = one.mask(grid)
            result[covered_box][covered] = one.is_liver
        return result


def _path_costs(hu: np.ndarray, seed: tuple[int, ...], spacing: np.ndarray) -> np.ndarray:
    """Of the cheapest path from a voxel to each other, float (k, j, i)."""
    number = np.arange(hu.size).reshape(hu.shape)
    unlike = 1 + np.abs(hu - hu[seed]) / HU_PER_MM
    first, second, costs = [], [], []
    for axis, mm in enumerate(spacing):
        here = number.take(np.arange(hu.shape[axis] - 1), axis).ravel()
        there = number.take(np.arange(1, hu.shape[axis]), axis).ravel()
        first.append(here)
        second.append(there)
        costs.append(mm * (unlike.flat[here] + unlike.flat[there]) / 2)
    graph = csr_array(
        (np.concatenate(costs), (np.concatenate(first), np.concatenate(second))), shape=(hu.size, hu.size)
    )
    found = dijkstra(graph, directed=False, indices=int(number[seed]), limit=2 * FARTHEST)
    return np.minimum(found, 2 * FARTHEST).reshape(hu.shape)


class Painting:
    """Makes each clicked slice what the reference says, and leaves all others."""

    def __init__(self, ct: CTVolume) -> None:
        self._ct = ct

    def refine(self, labels: np.ndarray, strokes: Sequence[Stroke], reference: np.ndarray) -> np.ndarray:
        """New labels after the last stroke."""
        k = round(float(indices_of(strokes[-1].points_mm, self._ct.geometry)[0, 0]))
        result = labels.copy()
        result[k] = reference[k]
        return result
