"""Log-odds found on upright slices of an oblique volume, on its own voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ..data.volume import CTVolume
from .logits import LARGEST_LOG_ODDS
from .oblique_views import interpolate_from_upright, slices_of_part
from .stack import LiverLogits


class UprightLogits:
    """What was found on the upright grid, as far as the liver may be.

    Parameters
    ----------
    found
        What the network found in ``upright``.
    smooth
        Slices and their smoothed log-channels, all of ``found``.
    channels
        How many log-odds a voxel has.
    upright, canonical
        The volume on the upright grid and on its own.
    """

    def __init__(
        self,
        found: LiverLogits,
        smooth: Sequence[tuple[range, Tensor]],
        channels: int,
        upright: CTVolume,
        canonical: CTVolume,
    ) -> None:
        self._upright, self._canonical, self._channels = upright, canonical, channels
        self._block, self._first = self._in_one_block(found, smooth)

    @property
    def slices(self) -> list[range]:
        """The slices of the oblique volume that meet what was found: one range, or none."""
        if not self._block.size:
            return []
        shape = self._block.shape[1:]
        return [slices_of_part(shape, self._first, self._upright, self._canonical)]

    def on(self, positions: range) -> Tensor:
        """Log-odds on some slices of the oblique volume, float32 (n, channels, j, i); background where none are."""
        rows, columns = self._canonical.hu.shape[1:]
        if not self._block.size:
            return torch.full((len(positions), self._channels, rows, columns), -LARGEST_LOG_ODDS)
        grids = self._first, self._upright, self._canonical, positions
        return torch.stack(
            [torch.from_numpy(interpolate_from_upright(kind, *grids, fill=-LARGEST_LOG_ODDS)) for kind in self._block],
            dim=1,
        )

    def _in_one_block(
        self, found: LiverLogits, smooth: Sequence[tuple[range, Tensor]]
    ) -> tuple[np.ndarray, tuple[int, int, int]]:
        """Log-odds float32 (channels, k, j, i) from the first to the last slice, and the place of its first voxel."""
        if not found.ranges:
            return np.empty((self._channels, 0, 0, 0), np.float32), (0, 0, 0)
        start, stop = found.ranges[0].start, found.ranges[-1].stop
        rows, columns = found.part_of_input
        shape = (self._channels, stop - start, rows.stop - rows.start, columns.stop - columns.start)
        block = np.full(shape, -LARGEST_LOG_ODDS, np.float32)
        for positions, log_odds in smooth:
            values, _ = found.on_input(log_odds)
            block[:, positions.start - start : positions.stop - start] = values.transpose(0, 1).cpu().numpy()
        return block, (start, rows.start, columns.start)
