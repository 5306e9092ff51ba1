"""Log-odds found on upright slices of an oblique volume, on its own voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.volume import CTVolume
from .logits import LARGEST_MARGIN
from .oblique_views import interpolate_from_upright, slices_of_part
from .stack import FoundMargins


class UprightMargins:
    """What was found on the upright grid, as far as the liver may be.

    Parameters
    ----------
    found
        What the network found in ``upright``.
    smooth
        Slices and their smoothed log-odds, all of ``found``.
    odds
        How many log-odds a voxel has.
    upright, canonical
        The volume on the upright grid and on its own.
    """

    def __init__(
        self,
        found: FoundMargins,
        smooth: Sequence[tuple[range, Tensor]],
        odds: int,
        upright: CTVolume,
        canonical: CTVolume,
    ) -> None:
        self._upright, self._canonical, self._odds = upright, canonical, odds
        self._block, self._first = self._in_one_block(found, smooth)

    @property
    def slices(self) -> list[range]:
        """The slices of the oblique volume that meet what was found: one range, or none."""
        if not self._block.size:
            return []
        shape = self._block.shape[1:]
        return [slices_of_part(shape, self._first, self._upright, self._canonical)]

    def on(self, positions: range) -> Tensor:
        """Log-odds on some slices of the oblique volume, float32 (n, odds, j, i); background where none were found."""
        rows, columns = self._canonical.hu.shape[1:]
        if not self._block.size:
            return torch.full((len(positions), self._odds, rows, columns), -LARGEST_MARGIN)
        grids = self._first, self._upright, self._canonical, positions
        return torch.stack(
            [torch.from_numpy(interpolate_from_upright(kind, *grids, fill=-LARGEST_MARGIN)) for kind in self._block],
            dim=1,
        )

    def _in_one_block(
        self, found: FoundMargins, smooth: Sequence[tuple[range, Tensor]]
    ) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Log-odds float32 (odds, k, j, i) from the first to the last slice, and the place of its first voxel."""
        if not found.ranges:
            return np.empty((self._odds, 0, 0, 0), np.float32), (0, 0, 0)
        start, stop = found.ranges[0].start, found.ranges[-1].stop
        rows, columns = found.part_of_input
        shape = (self._odds, stop - start, rows.stop - rows.start, columns.stop - columns.start)
        block = np.full(shape, -LARGEST_MARGIN, np.float32)
        for positions, margins in smooth:
            values, _ = found.on_input(margins)
            block[:, positions.start - start : positions.stop - start] = values.transpose(0, 1).cpu().numpy()
        return block, (start, rows.start, columns.start)
