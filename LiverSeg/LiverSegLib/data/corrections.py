"""Corrections: the strokes of a reader on a result, and which voxels are the reader's."""

from __future__ import annotations

import base64
import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .bounding_box import Box, box_of
from .strokes import Stroke

# In the place of a label: the reader changed nothing there.
KEPT = 255
# A text that asks for more voxels than that is damaged.
MOST_VOXELS = 2**31


def _nothing() -> np.ndarray:
    return np.zeros((0, 0, 0), np.uint8)


@dataclass(frozen=True, eq=False)
class Corrections:
    """What strokes made of a result, so that each of them can be taken out again.

    Only the voxels that they changed are kept, not the result: what somebody paints elsewhere stays when they go.

    Parameters
    ----------
    strokes
        In the order in which they were drawn.
    first
        Index (k, j, i) of the first voxel of ``automatic`` on the grid of the result.
    automatic
        Labels before the first stroke, uint8 (k, j, i), where they are others now; elsewhere ``KEPT``.
    """

    strokes: tuple[Stroke, ...] = ()
    first: tuple[int, int, int] = (0, 0, 0)
    automatic: np.ndarray = field(default_factory=_nothing)

    @classmethod
    def between(cls, strokes: Sequence[Stroke], automatic: np.ndarray, labels: np.ndarray) -> Corrections:
        """Of strokes that made labels out of automatic ones; both uint8 (k, j, i) on one grid."""
        box = box_of(automatic != labels)
        changed = automatic[box] != labels[box]
        first = (box[0].start, box[1].start, box[2].start)
        return cls(tuple(strokes), first, np.where(changed, automatic[box], np.uint8(KEPT)))

    @property
    def box(self) -> Box:
        """Where on the grid anything was changed."""
        k, j, i = (slice(start, start + count) for start, count in zip(self.first, self.automatic.shape, strict=True))
        return k, j, i

    @property
    def changed(self) -> np.ndarray:
        """Which voxels are the reader's: bool (k, j, i) in the box."""
        return np.asarray(self.automatic != KEPT)

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether the box lies within a grid of a shape (k, j, i)."""
        return all(part.stop <= count for part, count in zip(self.box, shape, strict=True))

    def undone(self, labels: np.ndarray) -> np.ndarray:
        """Labels, uint8 (k, j, i) on the grid, as they were before the first stroke; a copy."""
        before = labels.copy()
        np.copyto(before[self.box], self.automatic, where=self.changed)
        return before

    def to_text(self) -> str:
        """As JSON."""
        voxels = base64.b64encode(zlib.compress(np.ascontiguousarray(self.automatic).tobytes(), 1)).decode("ascii")
        return json.dumps(
            {
                "strokes": [_written(stroke) for stroke in self.strokes],
                "first": self.first,
                "shape": self.automatic.shape,
                "automatic": voxels,
            }
        )

    @classmethod
    def from_text(cls, text: str) -> Corrections:
        """What :meth:`to_text` wrote.

        Raises
        ------
        ValueError
            If the text is of another version, or damaged.
        """
        try:
            content = json.loads(text)
            first, shape = (tuple(int(number) for number in content[key]) for key in ("first", "shape"))
            if len(first) != 3 or len(shape) != 3 or min(first + shape) < 0 or math.prod(shape) > MOST_VOXELS:
                raise ValueError(text[:80])
            automatic = np.frombuffer(_inflated(content["automatic"], math.prod(shape)), np.uint8).reshape(shape)
            strokes = tuple(map(_read, content["strokes"]))
        except (KeyError, TypeError, AttributeError, zlib.error, RecursionError) as error:
            raise ValueError(text[:80]) from error
        return cls(strokes, (first[0], first[1], first[2]), automatic)


def _inflated(text: str, size: int) -> bytes:
    """No more than a size, whatever a damaged text would give."""
    return zlib.decompressobj().decompress(base64.b64decode(text), size) if size else b""


def _written(stroke: Stroke) -> dict[str, Any]:
    points = np.round(stroke.points_mm, 3).tolist()
    return {"points_mm": points, "is_liver": bool(stroke.is_liver), "radius_mm": float(stroke.radius_mm)}


def _read(content: dict[str, Any]) -> Stroke:
    points = np.array(content["points_mm"], np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or not len(points) or not np.isfinite(points).all():
        raise ValueError("points_mm")
    return Stroke(points, bool(content["is_liver"]), float(content["radius_mm"]))
