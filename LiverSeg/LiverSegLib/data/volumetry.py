"""What a reader measures of a liver: volumes of its segments, tumours and where they lie, attenuation, the spleen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from .anatomy import Anatomy
from .bounding_box import box_of
from .structures import COUINAUD, LIVER, TUMOUR

# A tumour lies in the segments that hold this share of its voxels: the planes between segments are a reader's choice.
LEAST_SHARE = 0.05

# Attenuation is measured that far inside: the rim has a part of what lies beside it.
RIM_MM = 5.0

# A spleen brighter than this has taken up contrast medium: without, it has 40 to 60 HU, in fat livers, too.
CONTRAST_SPLEEN_HU = 70.0

Name = TypeVar("Name")

# Voxels of a tumour that touch by face, edge or corner are one tumour, as in the clean-up of the labels.
_TOUCHING = np.ones((3, 3, 3), bool)


class Space(Protocol):
    """Where a grid's voxels lie in the patient: a LabelVolume, or a PatientSpace that holds liver and spleen."""

    def volume_ml(self, mask: np.ndarray) -> float:
        """Volume of what is not 0 in a (k, j, i) array of the grid."""

    def points(self, voxels: np.ndarray) -> np.ndarray:
        """Places in mm, (n, 3), of voxel indices (n, 3) along (k, j, i)."""


@dataclass(frozen=True)
class Tumour:
    """One tumour: its volume, its longest diameter in 3D, and the Couinaud segments it lies in, the largest part first.

    ``segments`` is empty where Couinaud segments are not known.
    """

    volume_ml: float
    diameter_mm: float
    segments: tuple[int, ...] = ()


@dataclass(frozen=True)
class Attenuation:
    """Mean HU of the liver, its tumours and vessels left out, and of the spleen, both without rims; None of nothing."""

    liver: float | None
    spleen: float | None

    @property
    def difference(self) -> float | None:
        """Liver minus spleen."""
        return None if self.liver is None or self.spleen is None else self.liver - self.spleen

    @property
    def has_contrast(self) -> bool:
        """Whether the spleen is as bright as contrast medium makes it: the difference says nothing of fat then."""
        return self.spleen is not None and self.spleen > CONTRAST_SPLEEN_HU


@dataclass(frozen=True)
class Volumetry:
    """Volumes in the patient, in ml, of a result.

    ``liver_ml`` includes tumours. ``segments_ml`` and ``segments_tumour_ml`` have the volume of each Couinaud segment,
    1 to 8, tumours included, and that of the tumours in it; empty where segments are not known. They add up to the
    liver and its tumours if each of its voxels has a segment. ``spleen_ml`` is None where the spleen is not known, and
    so is ``vessels_ml``, a part of the liver, with the vessels.
    """

    liver_ml: float
    tumour_ml: float
    segments_ml: dict[int, float]
    segments_tumour_ml: dict[int, float]
    spleen_ml: float | None
    vessels_ml: float | None
    tumours: tuple[Tumour, ...]

    @classmethod
    def of(cls, labels: np.ndarray, anatomy: Anatomy, space: Space) -> Volumetry:
        """Measure a result.

        Parameters
        ----------
        labels
            uint8 (k, j, i): 0 background, 1 liver, 2 tumour.
        anatomy
            On the same grid.
        space
            Where the voxels of that grid lie in the patient.
        """
        tumour = labels == TUMOUR.label
        segments_ml, in_segments_ml = {}, {}
        if anatomy.segments is not None:
            for number in (structure.label for structure in COUINAUD):
                mask = anatomy.segments == number
                segments_ml[number] = space.volume_ml(mask)
                in_segments_ml[number] = space.volume_ml(mask & tumour)
        return cls(
            space.volume_ml(labels),
            space.volume_ml(tumour),
            segments_ml,
            in_segments_ml,
            None if anatomy.spleen is None else space.volume_ml(anatomy.spleen),
            None if anatomy.vessels is None else space.volume_ml(anatomy.vessels),
            find_tumours(tumour, anatomy.segments, space),
        )

    @property
    def segments_percent(self) -> dict[int, float]:
        """Share of each segment in all of them, tumours included."""
        whole = sum(self.segments_ml.values())
        return {number: 100 * volume / whole if whole else 0.0 for number, volume in self.segments_ml.items()}


def rounded_parts(parts: dict[Name, float], decimals: int) -> dict[Name, float]:
    """Parts rounded so that they add up to their rounded sum: each is at most one unit of the last place away."""
    steps = np.round(np.cumsum([0.0, *parts.values()]), decimals)
    return dict(zip(parts, np.round(np.diff(steps), decimals).tolist(), strict=True))


def find_tumours(tumour: np.ndarray, segments: np.ndarray | None, space: Space) -> tuple[Tumour, ...]:
    """Each tumour, the largest first; the parameters are those of :meth:`Volumetry.of`, ``tumour`` is a mask."""
    around = box_of(tumour)
    if not around[0].stop:
        return ()
    pieces, _ = ndimage.label(tumour[around], _TOUCHING)
    found = []
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        whole = np.zeros(tumour.shape, bool)
        whole[around][box] = mask = pieces[box] == number
        corner = [outer.start + inner.start for outer, inner in zip(around, box, strict=True)]
        lies_in = () if segments is None else _segments_of(segments[around][box][mask])
        found.append(Tumour(space.volume_ml(whole), _diameter_mm(mask, corner, space), lies_in))
    return tuple(sorted(found, key=lambda each: -each.volume_ml))


def measure_attenuation(
    hu: np.ndarray,
    labels: np.ndarray,
    spleen: np.ndarray,
    spacing: tuple[float, float, float],
    vessels: np.ndarray | None = None,
) -> Attenuation:
    """Mean attenuation of the liver without its tumours and, where they are known, its vessels, and of the spleen.

    Parameters
    ----------
    hu, labels, spleen
        (k, j, i) of one shape: the CT, 1 liver and 2 tumour, and a mask.
    spacing
        Distance between voxel centres in mm along (k, j, i).
    vessels
        A mask as well.
    """
    liver = _mean_inside(hu, labels == LIVER.label, spacing, vessels)
    return Attenuation(liver, _mean_inside(hu, spleen, spacing))


def _segments_of(numbers: np.ndarray) -> tuple[int, ...]:
    counts = np.bincount(numbers, minlength=len(COUINAUD) + 1)
    counts[0] = 0
    largest_first = np.argsort(-counts, kind="stable")
    return tuple(int(n) for n in largest_first if counts[n] > 0 and counts[n] >= LEAST_SHARE * len(numbers))


def _diameter_mm(mask: np.ndarray, corner: list[int], space: Space) -> float:
    """The longest distance between the faces' centres of a mask's voxels, of which the first is at ``corner``."""
    # Of each row of voxels, the two ends: nothing between them is farther away from anything.
    rows = mask.any(axis=2)
    first, last = mask.argmax(axis=2)[rows], mask.shape[2] - 1 - mask[..., ::-1].argmax(axis=2)[rows]
    ends = np.concatenate([np.column_stack([np.argwhere(rows), i]) for i in (first, last)]) + corner
    faces = np.concatenate([-np.eye(3), np.eye(3)]) / 2
    points = space.points((ends[:, None] + faces).reshape(-1, 3))
    return float(pdist(points[ConvexHull(points).vertices]).max())


def _mean_inside(
    hu: np.ndarray, mask: np.ndarray, spacing: tuple[float, float, float], without: np.ndarray | None = None
) -> float | None:
    """Mean of what is at least :data:`RIM_MM` inside a mask, in a box as a measure of distance; None of nothing.

    What is in another mask, ``without``, does not count; it has no rim.
    """
    box = box_of(mask)
    inside = np.pad(mask[box], 1).view(np.uint8)
    for axis, mm in enumerate(spacing):
        inside = ndimage.minimum_filter1d(inside, 2 * max(1, round(RIM_MM / mm)) + 1, axis=axis)
    counted = inside[1:-1, 1:-1, 1:-1] > 0
    if without is not None:
        counted &= ~without[box]
    inner = hu[box][counted]
    return float(inner.mean(dtype=np.float64)) if len(inner) else None
