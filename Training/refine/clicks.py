"""A simulated reader: clicks into the middle of the largest mistake, with the sloppiness of people if wanted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from LiverSegLib.data.bounding_box import box_of

# A sloppy reader hits anything at least so deep in the mistake, compared with its middle.
SLOPPY = 0.4


def next_click(
    wrong: np.ndarray, spacing: Sequence[float], rng: np.random.Generator | None = None
) -> tuple[int, int, int] | None:
    """Where a reader clicks next, (k, j, i).

    Parameters
    ----------
    wrong
        Where the result is wrong, bool (k, j, i).
    spacing
        In mm along (k, j, i).
    rng
        Of a sloppy reader; without it the deepest voxel of the largest piece is hit.

    Returns
    -------
    None if nothing is wrong.
    """
    box = box_of(wrong)
    if not wrong[box].size:
        return None
    pieces, _ = ndimage.label(wrong[box])
    largest = int(np.bincount(pieces[pieces > 0]).argmax())
    inner = ndimage.find_objects(pieces, largest)[largest - 1]
    depth = ndimage.distance_transform_edt(np.pad(pieces[inner] == largest, 1), spacing)[1:-1, 1:-1, 1:-1]
    if rng is None:
        place = np.unravel_index(depth.argmax(), depth.shape)
    else:
        deep = np.argwhere(depth >= max(SLOPPY * depth.max(), 1e-6))
        place = tuple(deep[rng.integers(len(deep))])
    k, j, i = (int(at) + outer.start + within.start for at, outer, within in zip(place, box, inner, strict=True))
    return k, j, i
