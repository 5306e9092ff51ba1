"""Refiner: corrects a liver where a reader marked what is liver and what is not."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from ..data.strokes import Stroke
from ..data.volume import CTVolume
from ..model.refine_model import RefineModel

# Nothing farther from the last stroke changes.
REACH_MM = 60.0


class Refiner:
    """Corrects one scan's labels stroke by stroke; keeps the prepared scan, so that a click takes less than a second.

    Parameters
    ----------
    model
        The network and its card.
    ct
        The scan; any orientation and spacing.
    labels
        uint8 (k, j, i) on its own grid, as :class:`LiverSegLib.inference.segmenter.Segmentation` has them.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps".
    """

    def __init__(self, model: RefineModel, ct: CTVolume, labels: np.ndarray, device: str = "auto") -> None:
        raise NotImplementedError

    def refine(
        self, labels: np.ndarray, strokes: Sequence[Stroke], cancel: threading.Event | None = None
    ) -> np.ndarray:
        """New labels after the last stroke.

        Parameters
        ----------
        labels
            Those before it, uint8 (k, j, i) on the scan's own grid; they stay as they are.
        strokes
            All so far, in order: the voxels of earlier ones stay as they were marked.
        cancel
            Set it to stop.

        Raises
        ------
        InputError
            If the last stroke lies outside of the scan.
        Cancelled
            If ``cancel`` was set.
        DeviceError
            If even the CPU has too little memory.
        """
        raise NotImplementedError
