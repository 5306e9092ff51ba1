"""What a planned resection takes and leaves, in figures. It recommends nothing: what is enough, surgeons judge.

Names are those of the Brisbane 2000 terminology (Strasberg, J Hepatobiliary Pancreat Surg 12:351-355, 2005), here by
whole Couinaud segments. Segment 1 stays unless it is named.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from .. import messages
from ..errors import InputError
from .structures import COUINAUD

SEGMENTS = frozenset(structure.label for structure in COUINAUD)

HEPATECTOMIES = {
    "right hepatectomy": frozenset({5, 6, 7, 8}),
    "left hepatectomy": frozenset({2, 3, 4}),
    "right trisectionectomy": frozenset({4, 5, 6, 7, 8}),
    "left trisectionectomy": frozenset({2, 3, 4, 5, 8}),
    "left lateral sectionectomy": frozenset({2, 3}),
    "right anterior sectionectomy": frozenset({5, 8}),
    "right posterior sectionectomy": frozenset({6, 7}),
    **{f"segmentectomy {number}": frozenset({number}) for number in sorted(SEGMENTS)},
}
# The names that the terminology gives beside the first ones.
ALSO_CALLED = {
    "right hemihepatectomy": "right hepatectomy",
    "left hemihepatectomy": "left hepatectomy",
    "extended right hepatectomy": "right trisectionectomy",
    "extended left hepatectomy": "left trisectionectomy",
    "left medial sectionectomy": "segmentectomy 4",
}


@dataclass(frozen=True)
class Body:
    """A patient's weight in kg and height in cm, each if known.

    Raises
    ------
    InputError
        If they are no body's.
    """

    weight_kg: float | None = None
    height_cm: float | None = None

    def __post_init__(self) -> None:
        if self.weight_kg is not None and not 1 <= self.weight_kg <= 500:
            raise InputError(messages.UNLIKELY_WEIGHT.format(weight=self.weight_kg))
        if self.height_cm is not None and not 30 <= self.height_cm <= 260:
            raise InputError(messages.UNLIKELY_HEIGHT.format(height=self.height_cm))

    @property
    def surface_m2(self) -> float | None:
        """Body surface area, √(cm · kg / 3600) (Mosteller, N Engl J Med 317:1098, 1987)."""
        if self.weight_kg is None or self.height_cm is None:
            return None
        return math.sqrt(self.weight_kg * self.height_cm / 3600)

    @property
    def standard_liver_ml(self) -> float | None:
        """Liver volume of adults of this size, -794.41 + 1267.28 · m² (Vauthey et al., Liver Transpl 8:233-240, 2002).

        None where weight or height is not known, or where both are too small for an adult's formula.
        """
        volume = -794.41 + 1267.28 * (self.surface_m2 or 0.0)
        return volume if volume > 0 else None


@dataclass(frozen=True)
class Resection:
    """Volumes in ml, tumours included: ``removed_ml`` and ``remnant_ml`` add up to the liver.

    ``remnant_without_tumours_ml`` is what of the remnant is no tumour, ``liver_without_tumours_ml`` of the liver.
    """

    removed: tuple[int, ...]
    removed_ml: float
    remnant_ml: float
    remnant_without_tumours_ml: float
    liver_without_tumours_ml: float
    body: Body = field(default_factory=Body)

    @classmethod
    def of(
        cls,
        removed: Iterable[int],
        segments_ml: dict[int, float],
        segments_tumour_ml: dict[int, float],
        body: Body | None = None,
    ) -> Resection:
        """Plan to remove some of the Couinaud segments 1 to 8.

        Parameters
        ----------
        segments_ml, segments_tumour_ml
            As in :class:`LiverSegLib.data.volumetry.Volumetry`.

        Raises
        ------
        InputError
            If there are no such segments.
        """
        taken = set(removed)
        if not taken <= SEGMENTS:
            raise InputError(messages.NO_SUCH_COUINAUD_SEGMENT.format(numbers=_listed(taken - SEGMENTS)))
        kept = SEGMENTS - taken
        removed_ml, remnant_ml = (sum(segments_ml.get(n, 0.0) for n in part) for part in (taken, kept))
        tumour_ml, left_ml = (sum(segments_tumour_ml.get(n, 0.0) for n in part) for part in (SEGMENTS, kept))
        whole_ml = removed_ml + remnant_ml
        return cls(
            tuple(sorted(taken)), removed_ml, remnant_ml, remnant_ml - left_ml, whole_ml - tumour_ml, body or Body()
        )

    @property
    def remnant_percent(self) -> float | None:
        """Future liver remnant in % of the liver, both without tumours."""
        liver = self.liver_without_tumours_ml
        return 100 * self.remnant_without_tumours_ml / liver if liver > 0 else None

    @property
    def remnant_to_weight_percent(self) -> float | None:
        """Future liver remnant without tumours, 1 ml taken for 1 g, in % of the body's weight (Truant et al., 2007)."""
        weight = self.body.weight_kg
        return None if weight is None else 100 * self.remnant_without_tumours_ml / (1000 * weight)

    @property
    def remnant_to_standard_percent(self) -> float | None:
        """Future liver remnant without tumours in % of :attr:`Body.standard_liver_ml`."""
        standard = self.body.standard_liver_ml
        return None if standard is None else 100 * self.remnant_without_tumours_ml / standard

    def to_dict(self) -> dict[str, object]:
        """Ready for JSON: rounded, so that removed and remnant still add up; without what is not known."""
        liver, removed = (round(volume, 2) for volume in (self.removed_ml + self.remnant_ml, self.removed_ml))
        found = {
            "liver_ml": liver,
            "removed_ml": removed,
            "remnant_ml": liver - removed,
            "remnant_without_tumours_ml": self.remnant_without_tumours_ml,
            "liver_without_tumours_ml": self.liver_without_tumours_ml,
            "remnant_percent": self.remnant_percent,
            "weight_kg": self.body.weight_kg,
            "height_cm": self.body.height_cm,
            "remnant_to_weight_percent": self.remnant_to_weight_percent,
            "standard_liver_ml": self.body.standard_liver_ml,
            "remnant_to_standard_percent": self.remnant_to_standard_percent,
        }
        known = {key: round(value, 2) for key, value in found.items() if value is not None}
        return {"removed_segments": list(self.removed), **known}


def segments_of(hepatectomy: str) -> frozenset[int]:
    """The Couinaud segments that a hepatectomy removes, by a name of the Brisbane 2000 terminology.

    Raises
    ------
    InputError
        If there is none of this name.
    """
    name = " ".join(hepatectomy.lower().split())
    name = ALSO_CALLED.get(name, name)
    if name not in HEPATECTOMIES:
        known = ", ".join((*HEPATECTOMIES, *ALSO_CALLED))
        raise InputError(messages.NO_SUCH_HEPATECTOMY.format(name=hepatectomy, known=known))
    return HEPATECTOMIES[name]


def hepatectomy_of(segments: Iterable[int]) -> str | None:
    """The name of the hepatectomy that removes just these segments; None if it has none."""
    wanted = frozenset(segments)
    return next((name for name, removed in HEPATECTOMIES.items() if removed == wanted), None)


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, sorted(numbers)))
