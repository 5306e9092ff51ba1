"""Places: where in a result the network is in doubt, for a reader who has little time."""

from __future__ import annotations

from dataclasses import dataclass

from .. import messages

_WHERE = {
    ("upper", "right"): messages.PLACE_UPPER_RIGHT,
    ("upper", "left"): messages.PLACE_UPPER_LEFT,
    ("middle", "right"): messages.PLACE_MIDDLE_RIGHT,
    ("middle", "left"): messages.PLACE_MIDDLE_LEFT,
    ("lower", "right"): messages.PLACE_LOWER_RIGHT,
    ("lower", "left"): messages.PLACE_LOWER_LEFT,
}


@dataclass(frozen=True)
class Place:
    """A region in doubt.

    Parameters
    ----------
    slice
        Index k of the input's array where the doubt is largest.
    position_mm
        That point in the patient: RAS in mm.
    ml
        Volume there that is wrong by the network's own odds.
    side, height
        In which half of the liver: "right" or "left" of the patient; "upper", "middle" or "lower" third.
    inside
        Whether most of that volume is in the result.
    """

    slice: int
    position_mm: tuple[float, float, float]
    ml: float
    side: str
    height: str
    inside: bool

    def __str__(self) -> str:
        return messages.PLACE.format(
            number=self.slice + 1,
            where=_WHERE[self.height, self.side],
            ml=self.ml,
            inside=messages.PLACE_INSIDE if self.inside else messages.PLACE_OUTSIDE,
        )
