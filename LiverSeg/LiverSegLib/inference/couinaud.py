"""The Couinaud segments of a liver: each voxel gets the likeliest.

One network looks at all of it on a coarse grid, another at each slice of that alone, in finer pixels.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from .. import messages
from ..data.bounding_box import Box, box_of
from ..data.geometry import Geometry
from ..data.volume import CTVolume
from ..model.couinaud_model import SEGMENTS, CouinaudModel
from .liver_grid import CoarseScan, finer_slices, grid_round, heights_in, network_input, slice_input
from .progress import ProgressReporter

# What is found of a segment that was taken out is less; the smallest of the reference data has 9 ml.
SMALLEST_SEGMENT_ML = 2.0
# How sure the networks are of the likeliest segment, in the mean over the liver: 0.782 to 0.864 in 58 whole livers that
# they never saw, and less in 32 of 38 from which a right hepatectomy was drawn.
LEAST_SURE = 0.78
# Less is the tip of a liver, in which nothing tells the segments apart.
SMALLEST_LIVER_ML = 50.0
# The networks have learnt nothing about what lies outside the liver, so that counts only where there is nothing else.
WEIGHT_OUTSIDE = 1e-3
# At a time, between two looks at whether somebody cancelled.
_VOXELS_AT_A_TIME = 500_000
_FACES = ndimage.generate_binary_structure(3, 1)


@torch.inference_mode()
def find_segments(
    model: CouinaudModel,
    ct: CTVolume,
    labels: np.ndarray,
    progress: ProgressReporter,
    warnings: list[str] | None = None,
) -> tuple[Box, np.ndarray]:
    """The segment of each voxel of a liver.

    The networks are small and run on the CPU, so these are the same whatever device found the liver.

    Parameters
    ----------
    model
        The networks and their card.
    ct
        The scan, as an axial stack.
    labels
        bool or uint8 (k, j, i) on its grid; what is not 0 is liver, at least :data:`SMALLEST_LIVER_ML`.
    progress
        Is asked whether somebody cancelled.
    warnings
        Gets a sentence where the network is unsure of most of it, as after a resection.

    Returns
    -------
    The liver's box, and uint8 (k, j, i) in it: 1 to 8 in the liver, 0 outside. Each segment is one piece, but for
    pieces of the liver that touch no other; what is smaller than :data:`SMALLEST_SEGMENT_ML` belongs to its neighbours.

    Raises
    ------
    Cancelled
        If somebody cancelled.
    """
    coarse = CoarseScan.of(ct.hu, labels, ct.geometry)
    grid = grid_round(coarse.liver_mm(), model.card.shape, model.card.finest_mm)
    probabilities = _probabilities(model, coarse, grid)
    if warnings is not None and sureness(probabilities) < LEAST_SURE:
        warnings.append(messages.SEGMENTS_UNSURE)
    box = box_of(labels)
    liver = labels[box] > 0
    own = ct.geometry.part((box[0].start, box[1].start, box[2].start), liver.shape)
    segments = np.zeros(liver.shape, np.uint8)
    segments[liver] = np.concatenate(list(_segments_of(np.argwhere(liver), own, grid, probabilities, progress)))
    return box, in_one_piece_each(segments, SMALLEST_SEGMENT_ML / ct.voxel_volume_ml)


def _probabilities(model: CouinaudModel, coarse: CoarseScan, grid: Geometry) -> Tensor:
    """Of each segment on the grid, weighed by how much of a voxel is liver: float32 (1, 8, k, j, i)."""
    hu, liver = (torch.from_numpy(values) for values in coarse.on(grid))
    finer_hu, finer_liver = (torch.from_numpy(values) for values in coarse.on(finer_slices(grid)))
    window_hu = model.card.window_hu
    logarithms = model.network(
        network_input(hu[None], liver[None], window_hu),
        slice_input(finer_hu, finer_liver, heights_in(liver), window_hu),
    )
    return logarithms.softmax(dim=1) * (liver + WEIGHT_OUTSIDE)


def sureness(probabilities: Tensor) -> float:
    """Mean probability of the likeliest class of each voxel; (1, class, k, j, i), which add up to a voxel's weight."""
    return float(probabilities.amax(dim=1).sum() / probabilities.sum())


def _segments_of(
    voxels: np.ndarray, own: Geometry, grid: Geometry, probabilities: Tensor, progress: ProgressReporter
) -> Iterator[np.ndarray]:
    """The likeliest segment, 1 to 8, of voxels (n, 3) with indices (k, j, i) of a grid ``own``, in parts."""
    matrix, offset = own.index_map(grid)
    last = np.array(grid.shape) - 1
    for first in range(0, len(voxels), _VOXELS_AT_A_TIME):
        progress.stop_if_cancelled()
        places = 2 * (voxels[first : first + _VOXELS_AT_A_TIME] @ matrix.T + offset) / last - 1
        wanted = torch.from_numpy(places[:, ::-1].astype(np.float32))[None, None, None]
        # Of probabilities instead of labels: borders are smooth on a grid of any fineness.
        likely = functional.grid_sample(probabilities, wanted, padding_mode="border", align_corners=True)
        yield likely[0, :, 0, 0].argmax(dim=0).numpy().astype(np.uint8) + 1


def in_one_piece_each(segments: np.ndarray, fewest_voxels: float) -> np.ndarray:
    """Give islands of a segment to the segment that most of their surface touches.

    Parameters
    ----------
    segments
        uint8 (k, j, i), 1 to 8, 0 outside the liver.
    fewest_voxels
        A segment whose largest piece is smaller is all islands.

    Returns
    -------
    New uint8 array with the same voxels above 0. What touches no other segment stays as it is.
    """
    # A voxel more at each side, so that there is something around each island.
    before = np.pad(segments, 1)
    cleaned = before.copy()
    islands = list(_islands(before, fewest_voxels))
    for box, mask in islands:
        cleaned[box][mask] = 0
    # Those that touch only others wait until these have become a part of something.
    while islands:
        waiting = []
        for box, mask in islands:
            around = ndimage.binary_dilation(mask, _FACES) & ~mask
            touched = np.bincount(cleaned[box][around], minlength=SEGMENTS + 1)
            touched[0] = 0
            if touched.any():
                cleaned[box][mask] = touched.argmax()
            else:
                waiting.append((box, mask))
        if len(waiting) == len(islands):
            for box, mask in waiting:
                cleaned[box][mask] = before[box][mask]
            break
        islands = waiting
    return cleaned[1:-1, 1:-1, 1:-1]


def _islands(segments: np.ndarray, fewest_voxels: float) -> Iterator[tuple[Box, np.ndarray]]:
    """Box, a voxel wider at each side, and mask in it of each piece that is not the main one of its segment."""
    for segment, whole in enumerate(ndimage.find_objects(segments, SEGMENTS), start=1):
        if whole is None:
            continue
        pieces, count = ndimage.label(segments[whole] == segment, _FACES)
        sizes = np.bincount(pieces.ravel())[1:]
        main = int(sizes.argmax()) + 1 if sizes.max() >= fewest_voxels else 0
        for piece, box in enumerate(ndimage.find_objects(pieces, count), start=1):
            if piece != main:
                k, j, i = (
                    slice(outer.start + inner.start - 1, outer.start + inner.stop + 1)
                    for outer, inner in zip(whole, box, strict=True)
                )
                yield (k, j, i), np.pad(pieces[box] == piece, 1)
