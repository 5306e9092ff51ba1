"""In the place of the network that corrects, in tests: networks whose answer is plain."""

from __future__ import annotations

from typing import Any

from LiverSegLib.model.refine_model import RefineCard, RefineModel

OFFSETS = (-3.0, 0.0, 3.0)
# Of its input: CT and result at each offset, liver near and far, other near and far, unlike the last stroke.
RESULT, LIVER, OTHER = 4, 6, 8


def card(**more: Any) -> RefineCard:
    """A card that fits them."""
    about = {"name": "stand-in", "version": "0", "sha256": "", "spacing_mm": 1.5, "slice_mm": 3.0}
    about |= {"offsets_mm": OFFSETS, "window_hu": (-160.0, 240.0), "widths": (8,), "patch": 1}
    about |= {"intended_use": "tests", "training_data": [], "licence": "Apache-2.0"}
    return RefineCard(**(about | {"training": {}, "accuracy": {}, "limits": []} | more))


def listening_model() -> RefineModel:
    """It keeps the result, but for some 9 mm round each stroke."""
    return _model(lambda images: 3 * images[:, RESULT] + 60 * (images[:, LIVER] - images[:, OTHER]))


def stubborn_model(is_liver: bool) -> RefineModel:
    """It takes everything, or nothing, for liver."""
    return _model(lambda images: 0 * images[:, 0] + (20 if is_liver else -20))


def bright_model() -> RefineModel:
    """It takes for liver what is brighter than the middle of the window."""
    return _model(lambda images: 20 * images[:, len(OFFSETS) // 2])


def _model(answer: Any) -> RefineModel:
    from torch import nn, zeros

    class StandIn(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(zeros(1))  # tells the precision

        def forward(self, images: Any) -> Any:
            return answer(images)[:, None]

    return RefineModel(StandIn(), card())  # type: ignore[arg-type]
