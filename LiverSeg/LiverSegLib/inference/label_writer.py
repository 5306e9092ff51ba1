"""What the network found, written on the input's own grid: nothing is turned round or copied at the end."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..data.bounding_box import Box
from ..data.resample import resample
from ..data.volume import CTVolume
from .confidence import ConfidenceMap
from .logits import labels_from_log_odds, probabilities_from_log_odds
from .postprocess import clean, largest_piece
from .preprocess import Rectangle

# The network has to be sure of so much of a small piece that it is kept.
SURE_SHARE = 0.5


@dataclass(frozen=True)
class LeftOut:
    """What clean-up takes for no part of the liver: how much, and the index k of the input's slice with most of it."""

    ml: float
    slice: int


class LabelWriter:
    """Labels and, if wanted, class probabilities; background where nothing is written.

    Parameters
    ----------
    ct
        The input.
    tumour_above
        What belongs to the liver becomes label 2 where it is tumour with more than this probability; nowhere if None.
    classes
        How many class probabilities are wanted, 0 for none.
    spleen
        Whether the spleen is wanted, whose log-odds are the third.

    Attributes
    ----------
    own_labels, own_classes
        uint8 (k, j, i) on the input's own grid, and float16 (class, k, j, i) or None.
    canonical, labels
        The input and its labels along the canonical axes; views.
    own_spleen, spleen
        The spleen, 1, on both grids; None if it is not wanted.
    slices
        Those of ``labels`` that were written.
    own
        The input's own grid.
    confidence
        How sure the network is of what it found.
    """

    def __init__(self, ct: CTVolume, tumour_above: float | None, classes: int = 0, spleen: bool = False) -> None:
        self.canonical = ct.canonical_view()
        self.own = ct.geometry
        self.own_labels, self.labels = self.new_labels()
        self.own_spleen: np.ndarray | None = None
        self.spleen: np.ndarray | None = None
        if spleen:
            self.own_spleen, self.spleen = self.new_labels()
        self.own_classes = np.zeros((classes, *ct.hu.shape), dtype=np.float16) if classes else None
        self._classes: list[np.ndarray] = []
        if self.own_classes is not None:
            self.own_classes[0] = 1
            self._classes = [ct.geometry.to_canonical(probability) for probability in self.own_classes]
        self.confidence = ConfidenceMap(ct.geometry)
        self._tumour_above = tumour_above
        self._first, self._last = len(self.labels), 0

    def new_labels(self) -> tuple[np.ndarray, np.ndarray]:
        """Zeros, uint8, on the input's own grid, and a view of them along the canonical axes."""
        # The system gives pages of zeros only where something is written: labels of a whole body cost little.
        own = np.zeros(self.own.shape, dtype=np.uint8)
        return own, self.own.to_canonical(own)

    @property
    def slices(self) -> slice:
        return slice(min(self._first, self._last), self._last)

    @property
    def volume_ml(self) -> float:
        """Of the liver that is written, tumours included."""
        return np.count_nonzero(self.labels[self.slices]) * self.canonical.voxel_volume_ml

    def write(self, positions: range, log_odds: Tensor, part: Rectangle) -> None:
        """Decide on some slices: log-odds (n, odds, rows, columns) of the pixels ``part`` of the canonical stack."""
        self._first, self._last = min(self._first, positions.start), max(self._last, positions.stop)
        where = (slice(positions.start, positions.stop), *part)
        above = self._tumour_above
        labels = labels_from_log_odds(log_odds[:, :1]) if above is None else labels_from_log_odds(log_odds, above)
        self.labels[where] = labels.cpu().numpy()
        if self.spleen is not None:
            self.spleen[where] = (log_odds[:, 2] > 0).cpu().numpy()
        if self._classes:
            probabilities = probabilities_from_log_odds(log_odds).half().cpu().numpy()
            for classes, probability in zip(self._classes, probabilities, strict=True):
                classes[where] = probability

    def take(self, labels: np.ndarray) -> None:
        """Write labels that are there already, uint8 (k, j, i) on the input's own grid."""
        self.own_labels, self.labels = labels, self.own.to_canonical(labels)
        self._first, self._last = 0, len(self.labels)

    def clean_up(self) -> LeftOut:
        """Leave the large pieces of the liver, without holes, and of the spleen the largest; tells what went."""
        found = self.labels[self.slices]
        cleaned = clean(found, self.canonical.spacing, self._is_sure)
        left_out = self._left_out(found, cleaned)
        self.labels[self.slices] = cleaned
        if self.spleen is not None:
            self.spleen[self.slices] = largest_piece(self.spleen[self.slices] > cleaned)
        return left_out

    def _left_out(self, found: np.ndarray, cleaned: np.ndarray) -> LeftOut:
        # Slice by slice: masks of the whole would be new memory.
        pixels = [np.count_nonzero(_left_out_of(*both)) for both in zip(found, cleaned, strict=True)]
        if not any(pixels):
            return LeftOut(0.0, 0)
        k = int(np.argmax(pixels))
        row, column = np.argwhere(_left_out_of(found[k], cleaned[k])).mean(axis=0)
        matrix, offset = self.canonical.geometry.index_map(self.own)
        index = matrix @ (self.slices.start + k, row, column) + offset
        return LeftOut(sum(pixels) * self.canonical.voxel_volume_ml, round(index[0]))

    def _is_sure(self, box: Box, piece: np.ndarray) -> bool:
        """Whether the network is sure of half of a piece, bool in a box of the slices written."""
        k, j, i = (side.start for side in box)
        part = self.canonical.geometry.part((k + self.slices.start, j, i), piece.shape)
        sure = resample(self.confidence.sure, self.confidence.cells, part, order=0)
        return bool(sure[piece].mean() > SURE_SHARE)

    def clear(self) -> None:
        """Take back what was found; the probabilities stay."""
        self.labels[self.slices] = 0
        if self.spleen is not None:
            self.spleen[self.slices] = 0
        self.confidence = ConfidenceMap(self.own)


def _left_out_of(found: np.ndarray, cleaned: np.ndarray) -> np.ndarray:
    """Where a slice was liver and is no more; bool."""
    return (found > 0) & (cleaned == 0)
