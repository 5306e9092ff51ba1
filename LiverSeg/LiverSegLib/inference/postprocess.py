"""From the network's labels to a clean liver: its large pieces, without holes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from ..data.bounding_box import Box, box_of
from ..data.metrics import dice

# A piece of this share of the largest one is kept: in thick slices, or after surgery, a left lobe can look cut off.
# What networks mistake for liver elsewhere (parts of spleen, stomach wall or heart) is rarely that large.
KEPT_SHARE = 0.1

# Of a smaller one the network has to be sure. On 20 patients of a hospital that training never saw, it was sure of less
# than half of each such piece, and none was liver.
SURE_ML = 10.0

# A part of the liver lies near the rest of it, unlike a muscle of the pelvis that the network takes for liver where a
# scan has no contrast, or a huge spleen. Measured between voxels about 3 mm apart.
FARTHEST_MM, COARSE_MM = 30.0, 3.0

# Slices that an artefact spoils can part a liver into an upper and a lower piece, whose ends then resemble each other
# by this Dice. What begins where the liver has tapered off is bowel, full of what has the liver's own HU.
END_MM, ENDS_DICE = 6.0, 0.5

# In the references of 3D-IRCADb-01 and LiTS, vessels narrower than about 8 mm belong to the liver; larger holes in a
# slice are the caval and portal veins, which do not.
SMALL_HOLE_MM2 = 50.0

# Diameter of the ball that a tumour must be as large as: in cross-validation smaller ones made up two false tumours in
# five, and found none that was not found without them.
SMALLEST_TUMOUR_MM = 5.0

_FACES = ndimage.generate_binary_structure(3, 1)
_TOUCHING = ndimage.generate_binary_structure(3, 3)
_IN_SLICE = _FACES.copy()
_IN_SLICE[[0, 2]] = False


def clean(
    labels: np.ndarray, spacing: tuple[float, float, float], is_sure: Callable[[Box, np.ndarray], bool] | None = None
) -> np.ndarray:
    """Keep the liver's large pieces, fill their holes, and let go of specks of tumour.

    Parameters
    ----------
    labels
        uint8 (k, j, i) of an axial stack: 0 background, 1 liver, 2 tumour. Liver means 1 ∪ 2 here.
    spacing
        Distance between voxel centres in mm along (k, j, i).
    is_sure
        Whether the network is sure of a piece, given its box in ``labels`` and its voxels there, bool; of none if None.

    Returns
    -------
    New uint8 labels of that shape. Pieces, whose voxels hang together by their faces, become 0 if they are smaller than
    :data:`KEPT_SHARE` of the largest one, unless they have :data:`SURE_ML` and the network is sure of them; and if they
    are more than :data:`FARTHEST_MM` away from it, or above or below it and unlike its end. Background becomes 1 where
    the liver encloses it on all sides (missed lesions), or within its slice if the hole there is smaller than
    :data:`SMALL_HOLE_MM2` (missed vessels). Tumours, whose voxels touch by face, edge or corner, become 1 if they are
    smaller than a ball of :data:`SMALLEST_TUMOUR_MM`.
    """
    cleaned = np.zeros(labels.shape, np.uint8)
    # Two boxes: a stray voxel far off would make the second step work on half the scan.
    box = box_of(labels)
    if not labels[box].size:
        return cleaned
    cleaned[box] = labels[box] * _large_pieces(labels[box] > 0, spacing, _within(box, is_sure))
    box = box_of(cleaned)
    cleaned[box][_holes(cleaned[box] > 0, spacing[1] * spacing[2])] = 1
    liver = cleaned[box]
    tumours = liver[box_of(liver == 2)]
    tumours[_specks(tumours == 2, spacing)] = 1
    return cleaned


def largest_piece(organ: np.ndarray) -> np.ndarray:
    """The largest of the pieces of a bool (k, j, i) array, whose voxels hang together by their faces; bool."""
    kept = np.zeros_like(organ)
    box = box_of(organ)
    if organ[box].size:
        pieces, _ = ndimage.label(organ[box], _FACES)
        kept[box] = pieces == np.bincount(pieces[pieces > 0]).argmax()
    return kept


def _large_pieces(
    liver: np.ndarray, spacing: tuple[float, float, float], is_sure: Callable[[Box, np.ndarray], bool]
) -> np.ndarray:
    pieces, _ = ndimage.label(liver, _FACES)
    piece_of_voxel = pieces[liver]
    sizes = np.bincount(piece_of_voxel)
    large = sizes >= KEPT_SHARE * sizes.max()
    kept = large | (sizes * np.prod(spacing) >= 1000 * SURE_ML)
    if np.count_nonzero(kept) > 1:
        largest, boxes = int(sizes.argmax()), ndimage.find_objects(pieces)
        for piece in np.setdiff1d(np.flatnonzero(kept), largest).tolist():
            box = boxes[piece - 1]
            kept[piece] = (
                _is_near(pieces, box, largest, piece, spacing)
                and (large[piece] or is_sure(box, pieces[box] == piece))
                and _is_beside_or_goes_on(pieces, boxes, largest, piece, spacing[0])
            )
    result = np.zeros_like(liver)
    result[liver] = kept[piece_of_voxel]
    return result


def _within(outer: Box, is_sure: Callable[[Box, np.ndarray], bool] | None) -> Callable[[Box, np.ndarray], bool]:
    """The same question about boxes that are told within another one."""

    def is_sure_within(inner: Box, piece: np.ndarray) -> bool:
        k, j, i = (slice(o.start + n.start, o.start + n.stop) for o, n in zip(outer, inner, strict=True))
        return is_sure is not None and is_sure((k, j, i), piece)

    return is_sure_within


def _is_near(pieces: np.ndarray, box: Box, largest: int, piece: int, spacing: tuple[float, float, float]) -> bool:
    """Whether a piece, which has this box, lies within :data:`FARTHEST_MM` of the largest one."""
    from scipy.spatial import KDTree  # a liver in one piece does not need it, and it takes long to import

    margins, steps = ([max(1, round(length / mm)) for mm in spacing] for length in (FARTHEST_MM, COARSE_MM))
    around = zip(box, margins, steps, strict=True)
    nearby = pieces[tuple(slice(max(0, side.start - n), side.stop + n, step) for side, n, step in around)]
    points = [np.argwhere(nearby == number) * np.multiply(steps, spacing) for number in (largest, piece)]
    if not all(map(len, points)):
        return False
    distances, _ = KDTree(points[0]).query(points[1], distance_upper_bound=FARTHEST_MM + COARSE_MM)
    return bool(np.isfinite(distances).any())


def _is_beside_or_goes_on(pieces: np.ndarray, boxes: list[Box], largest: int, piece: int, slice_mm: float) -> bool:
    """Whether half of a piece's slices hold the largest one, too, or the ends that face each other are alike."""
    slices, main = boxes[piece - 1][0], boxes[largest - 1][0]
    shared = min(slices.stop, main.stop) - max(slices.start, main.start)
    if 2 * shared >= slices.stop - slices.start:
        return True
    depth = max(1, round(END_MM / slice_mm))
    if slices.start < main.start:
        end, facing = slice(max(0, slices.stop - depth), slices.stop), slice(main.start, main.start + depth)
    else:
        end, facing = slice(slices.start, slices.start + depth), slice(max(0, main.stop - depth), main.stop)
    return dice((pieces[end] == piece).any(axis=0), (pieces[facing] == largest).any(axis=0)) >= ENDS_DICE


def _holes(liver: np.ndarray, pixel_mm2: float) -> np.ndarray:
    """Background that the liver encloses in 3D, or in its slice if the hole there is small; bool (k, j, i)."""
    # All around each slice there is background that is no hole.
    rooms, _ = ndimage.label(np.pad(~liver, 1, constant_values=True), _IN_SLICE)
    outside = rooms == rooms[:, :1, :1]
    holes = (rooms > 0) & ~outside
    # Of the few pixels in holes only, since outside lies most of each slice.
    room_of_pixel = rooms[holes]
    small = np.bincount(room_of_pixel) * pixel_mm2 < SMALL_HOLE_MM2
    if not small[room_of_pixel].all():
        # Without the small ones: what lies behind a narrow way out is enclosed, too.
        large = holes.copy()
        large[holes] = ~small[room_of_pixel]
        slices, rows, columns = box_of(large)
        # The slices around it hold the ways out; there are some, as the outermost ones hold no liver.
        box = slice(slices.start - 1, slices.stop + 1), rows, columns
        holes[box] &= ~large[box] | _enclosed(large[box], outside[box])
    return holes[1:-1, 1:-1, 1:-1]


def _specks(tumour: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    """Voxels of tumours that are smaller than a ball of :data:`SMALLEST_TUMOUR_MM`; bool (k, j, i)."""
    pieces, _ = ndimage.label(tumour, _TOUCHING)
    volumes_mm3 = np.bincount(pieces.ravel(), minlength=1) * np.prod(spacing)
    return tumour & (volumes_mm3 < np.pi / 6 * SMALLEST_TUMOUR_MM**3)[pieces]


def _enclosed(holes: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """Those holes of slices from which no way leads outside through the slices above or below; bool (k, j, i)."""
    pieces, count = ndimage.label(holes, _FACES)
    enclosed = np.ones(count + 1, dtype=bool)
    enclosed[0] = False
    enclosed[pieces[1:][outside[:-1]]] = enclosed[pieces[:-1][outside[1:]]] = False
    return enclosed[pieces]
