"""Anatomy: what was found beside liver and tumours, on the same grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .bounding_box import Box, box_of, box_round, grown

# A segment is looked for that far from what a reader added to the liver.
NEAR_MM = 20.0


@dataclass(frozen=True, eq=False)
class Anatomy:
    """What a user asked for besides; None is what was not asked for, or could not be told (a warning says why).

    Parameters
    ----------
    segments
        Couinaud segment of each voxel of the liver, tumours included: uint8 (k, j, i), 1 to 8, 0 outside the liver.
    spleen
        Bool (k, j, i).
    vessels
        Portal and hepatic veins within the liver, not told apart: bool (k, j, i). They belong to segments, too.
    """

    segments: np.ndarray | None = None
    spleen: np.ndarray | None = None
    vessels: np.ndarray | None = None

    def part(self, box: Box) -> Anatomy:
        """What of it lies in a box of its grid."""
        wholes = (self.segments, self.spleen, self.vessels)
        return Anatomy(*(None if whole is None else whole[box] for whole in wholes))

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of it."""
        return self.segments is None and self.spleen is None and self.vessels is None

    def fitted_to(self, liver: np.ndarray, spacing: tuple[float, float, float]) -> Anatomy:
        """The same beside a liver, bool (k, j, i), that was corrected: what has come belongs to the segment next to it.

        Parameters
        ----------
        spacing
            Distance between voxel centres in mm along (k, j, i).
        """
        spleen = None if self.spleen is None else self.spleen & ~liver
        vessels = None if self.vessels is None else self.vessels & liver
        segments = None if self.segments is None else _divided(self.segments, liver, spacing)
        return Anatomy(segments, spleen, vessels)


def _divided(segments: np.ndarray, liver: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    divided = np.where(liver, segments, 0).astype(np.uint8)
    come = box_of(liver & (divided == 0))
    if not come[0].stop or not divided.any():
        return divided
    # Far enough for the nearest segment of most; of what comes far from all of them, all are looked through.
    around = grown(come, [round(NEAR_MM / mm) + 1 for mm in spacing], divided.shape)
    around = around if divided[around].any() else box_round(liver)
    known, there = divided[around], liver[around]
    nearest = ndimage.distance_transform_edt(known == 0, spacing, return_distances=False, return_indices=True)
    divided[around] = np.where(there, known[tuple(nearest)], 0)
    return divided
