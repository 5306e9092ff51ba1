"""Slices in the order of their places, as one grid: even, complete, each place taken once; the gantry may be tilted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import messages
from ..data.volume import LPS_TO_RAS
from ..errors import InputError
from .frames import Frame

# Rounding in the headers stays below this share of the distance between slices, a missing slice does not.
UNEVEN_SHARE = 0.1
# Two slices nearer than this lie in the same place; no scanner makes slices so thin.
SAME_PLACE_MM = 0.01
# Of directions and pixel spacings (mm) from slice to slice.
ROUNDING = 1e-3
# Of one slice whose thickness is not known.
DEFAULT_THICKNESS_MM = 1.0


@dataclass(frozen=True, eq=False)
class Stack:
    """Slices as the voxel grid of a CT.

    Parameters
    ----------
    frames
        One for each index k, from the lowest place along the slices' normal to the highest.
    copies
        Frames that lie where another one lies, each with the k of that one; whether the images are the same is open.
    affine
        4×4 matrix, voxel indices (i, j, k) to RAS millimetres. It is sheared where the gantry was tilted.
    tilt_degrees
        Angle between the direction in which slice follows slice and the slices' normal.
    told_apart
        Distance of neighbouring slices in mm as the headers give it beside the positions, where it is another one
        than theirs; else 0.
    """

    frames: tuple[Frame, ...]
    copies: tuple[tuple[int, Frame], ...]
    affine: np.ndarray
    tilt_degrees: float
    told_apart: float


def to_stack(frames: Sequence[Frame], name: str) -> Stack:
    """Arrange slices.

    Raises
    ------
    InputError
        If they differ in size, spacing, direction or rescaling, or are missing or unevenly spaced; ``name`` is that of
        the series.
    """
    _check_alike(frames, name)
    normal = np.cross(*frames[0].directions)
    kept, copies = _ordered(frames, normal)
    _check_copies(kept, copies, name)
    step = _step(kept, normal, name)
    tilt = _angle_degrees(step, normal)
    return Stack(tuple(kept), tuple(copies), _affine(kept[0], step), tilt, _told_apart(kept, step, normal))


def _ordered(frames: Sequence[Frame], normal: np.ndarray) -> tuple[list[Frame], list[tuple[int, Frame]]]:
    """One frame for each place, along the normal, and those that lie where another does, with the index of that one."""
    kept: list[Frame] = []
    copies: list[tuple[int, Frame]] = []
    for frame in sorted(frames, key=lambda one: (float(one.position @ normal), str(one.path), one.number)):
        if kept and (frame.position - kept[-1].position) @ normal < SAME_PLACE_MM:
            copies.append((len(kept) - 1, frame))
        else:
            kept.append(frame)
    return kept, copies


def _angle_degrees(step: np.ndarray, normal: np.ndarray) -> float:
    cosine = float(step @ normal) / float(np.linalg.norm(step))
    return float(np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0))))


def _check_alike(frames: Sequence[Frame], name: str) -> None:
    first = frames[0]
    if any(
        frame.size != first.size
        or not np.allclose(frame.spacing, first.spacing, rtol=0, atol=ROUNDING)
        or not np.allclose(frame.directions, first.directions, rtol=0, atol=ROUNDING)
        or frame.is_rescaled != first.is_rescaled
        for frame in frames
    ):
        raise InputError(messages.UNLIKE_SLICES.format(series=name))


def _check_copies(kept: list[Frame], copies: list[tuple[int, Frame]], name: str) -> None:
    """Slices at one height, but side by side, are no copies of each other."""
    for k, copy in copies:
        if np.linalg.norm(copy.position - kept[k].position) > SAME_PLACE_MM:
            raise InputError(messages.SAME_PLACE.format(series=name, first=kept[k].path.name))


def _step(kept: list[Frame], normal: np.ndarray, name: str) -> np.ndarray:
    """From slice to slice in LPS mm, the mean over all; each slice has to lie near its place on the even line."""
    if len(kept) == 1:
        return normal * (kept[0].thickness or DEFAULT_THICKNESS_MM)
    positions = np.array([frame.position for frame in kept])
    step = (positions[-1] - positions[0]) / (len(kept) - 1)
    expected = positions[0] + np.arange(len(kept))[:, np.newaxis] * step
    off = np.linalg.norm(positions - expected, axis=1)
    if off.max() > UNEVEN_SHARE * np.linalg.norm(step):
        gaps = np.diff(positions @ normal)
        raise InputError(
            messages.UNEVEN_SERIES.format(series=name, widest=gaps.max(), usual=np.median(gaps), narrowest=gaps.min())
        )
    return step


def _told_apart(kept: list[Frame], step: np.ndarray, normal: np.ndarray) -> float:
    """Spacing Between Slices, which may be meant along the table or along the slices' normal, unless it fits."""
    told = kept[0].apart
    fitting = [abs(told - distance) <= UNEVEN_SHARE * distance for distance in (np.linalg.norm(step), step @ normal)]
    return 0.0 if len(kept) == 1 or any(fitting) else told


def _affine(first: Frame, step: np.ndarray) -> np.ndarray:
    lps = np.eye(4)
    lps[:3, 0] = first.directions[0] * first.spacing[0]
    lps[:3, 1] = first.directions[1] * first.spacing[1]
    lps[:3, 2] = step
    lps[:3, 3] = first.position
    return LPS_TO_RAS @ lps
