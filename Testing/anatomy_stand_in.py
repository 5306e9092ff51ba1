"""In the place of the networks for segments, vessels and spleen in tests: a result's anatomy by plain geometry."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.inference.options import SegmentOptions


def slabs(labels: np.ndarray) -> np.ndarray:
    """Segments 1 to 8 as slabs of the liver along i, each with about as many columns; uint8 (k, j, i)."""
    liver = labels > 0
    columns = np.flatnonzero(liver.any(axis=(0, 1)))
    numbers = np.zeros(labels.shape[2], np.uint8)
    numbers[columns] = 1 + np.arange(len(columns)) * 8 // max(len(columns), 1)
    return np.where(liver, numbers, 0).astype(np.uint8)


def beside(labels: np.ndarray) -> np.ndarray:
    """A spleen: a block in the corner that the liver leaves free; bool (k, j, i)."""
    spleen = np.zeros(labels.shape, bool)
    _, rows, columns = labels.shape
    spleen[:, -rows // 4 :, -columns // 4 :] = True
    return spleen & (labels == 0)


def lines(labels: np.ndarray) -> np.ndarray:
    """Vessels: every third row of the liver; bool (k, j, i)."""
    return (labels > 0) & (np.arange(labels.shape[1]) % 3 == 0)[:, None]


def anatomy_of(labels: np.ndarray, options: SegmentOptions | None) -> Anatomy:
    """What was asked for."""
    if options is None:
        return Anatomy()
    return Anatomy(
        slabs(labels) if options.segments else None,
        beside(labels) if options.spleen else None,
        lines(labels) if options.vessels else None,
    )


def with_anatomy(segment: Any) -> Any:
    """``Segmenter.segment`` whose results have an anatomy, where it was asked for."""

    def segment_with_anatomy(self, ct, options=None, *arguments: Any, **keywords: Any) -> Any:
        plain = None if options is None else replace(options, segments=False, vessels=False, spleen=False)
        found = segment(self, ct, plain, *arguments, **keywords)
        return replace(found, anatomy=anatomy_of(found.labels, options))

    return segment_with_anatomy
