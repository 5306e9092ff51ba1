"""Anatomy: what was found beside liver and tumours, on the same grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bounding_box import Box


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
