"""The panel's places to check: where the network doubts its result, shown by a click, ticked off when seen."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import mrml
from ..data.places import Place
from ..evaluation.corrections import listed_places, reader_of
from . import texts

NUMBERS = range(1, 6)


class PlacesSection:
    """Follows the places of the output's report, and who has checked it.

    ``parameters`` is the module's parameter node, or None while there is none. ``on_changed`` is called when somebody
    has ticked off a place, or signed.
    """

    def __init__(self, ui: Any, on_changed: Callable[[], None]) -> None:
        self.parameters: Any = None
        self._ui, self._on_changed = ui, on_changed
        self._buttons = {number: getattr(ui, f"placeButton{number}") for number in NUMBERS}
        self._ticks = {number: getattr(ui, f"placeCheckBox{number}") for number in NUMBERS}
        for number in NUMBERS:
            self._buttons[number].connect("clicked(bool)", partial(self._go, number))
            self._ticks[number].connect("toggled(bool)", partial(self._tick, number))
        ui.checkedByEdit.connect("editingFinished()", self._sign)

    def update(self, running: bool) -> None:
        """List the places, and what has been seen of them."""
        report = self._report
        places = listed_places(report)[: len(NUMBERS)]
        self._ui.placesCaption.visible = bool(places)
        for number in NUMBERS:
            there = number <= len(places)
            self._buttons[number].visible = self._ticks[number].visible = there
            if there:
                self._show(number, *places[number - 1])
        self._ui.correctSection.text = texts.correct_title(sum(not seen for _, seen in places))
        if not self._ui.checkedByEdit.focus:
            self._ui.checkedByEdit.text = reader_of(report)

    @property
    def _report(self) -> dict[str, Any]:
        output = self.parameters.outputSegmentation if self.parameters else None
        return (mrml.stored_report(output) if output is not None else None) or {}

    def _show(self, number: int, place: Place, seen: bool) -> None:
        button, tick = self._buttons[number], self._ticks[number]
        button.text, button.toolTip = texts.place(place), texts.place_hint(place)
        blocked = tick.blockSignals(True)
        tick.checked = seen
        tick.blockSignals(blocked)

    def _place(self, number: int) -> Place | None:
        places = listed_places(self._report)
        return places[number - 1][0] if number <= len(places) else None

    def _go(self, number: int, _checked: bool = False) -> None:
        """Show the place in all slice views."""
        place = self._place(number)
        volume = mrml.volume_to_correct(self.parameters.outputSegmentation) if self.parameters else None
        if place is not None and volume is not None:
            mrml.jump_to(volume, place.position_mm)

    def _tick(self, number: int, seen: bool) -> None:
        place = self._place(number)
        if place is not None:
            mrml.tick_place(self.parameters.outputSegmentation, place, seen)
            self._on_changed()

    def _sign(self) -> None:
        output = self.parameters.outputSegmentation if self.parameters else None
        reader = self._ui.checkedByEdit.text.strip()
        if output is not None and self._report and reader != reader_of(self._report):
            mrml.sign(output, reader)
            self._on_changed()
