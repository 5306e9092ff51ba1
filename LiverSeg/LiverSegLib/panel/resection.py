"""The panel's planned resection: which segments go, what stays in figures, and both in colours in the views."""

from __future__ import annotations

from functools import partial
from typing import Any

from .. import messages, mrml
from ..data.resection import HEPATECTOMIES, Body, hepatectomy_of
from ..errors import InputError
from ..evaluation.anatomy_measures import resection_of, resection_rows
from . import texts
from .line import show_line

NUMBERS = range(1, 9)


class ResectionSection:
    """Follows the choice of a hepatectomy or of single segments.

    ``parameters`` is the module's parameter node, or None while there is none; ``removedSegments`` in it is the choice,
    as numbers with spaces between them.
    """

    def __init__(self, ui: Any) -> None:
        self.parameters: Any = None
        self._ui = ui
        self._ticks = {number: getattr(ui, f"removeCheckBox{number}") for number in NUMBERS}
        ui.hepatectomySelector.addItem(messages.NO_HEPATECTOMY, "")
        for name, segments in HEPATECTOMIES.items():
            ui.hepatectomySelector.addItem(name.capitalize(), _listed(segments))
        ui.hepatectomySelector.addItem(messages.OTHER_HEPATECTOMY, messages.OTHER_HEPATECTOMY)
        ui.hepatectomySelector.connect("currentIndexChanged(int)", self._choose_hepatectomy)
        ui.resectionSection.connect("contentsCollapsed(bool)", self._hide_what_is_empty)
        for number, tick in self._ticks.items():
            tick.connect("toggled(bool)", partial(self._tick, number))

    @property
    def removed(self) -> set[int]:
        """Numbers of the segments that are to go; what a scene of another version holds beside them is nothing."""
        return {number for number in NUMBERS if str(number) in self.parameters.removedSegments.split()}

    def update(self, running: bool) -> None:
        """Show the section where there are segments to remove, and what removing them means."""
        output = self.parameters.outputSegmentation
        report = (mrml.stored_report(output) if output is not None else None) or {}
        removed, divided = self.removed, isinstance(report.get("segments_ml"), dict)
        self._ui.resectionSection.visible = divided
        self._show_choice(removed)
        show_line(self._ui.resectionLabel, self._figures(report, removed) if divided and removed else "")
        if output is not None:
            mrml.show_removed(output, removed if divided else ())

    def forget(self) -> None:
        """Another patient: nothing is planned, and nothing is known of the body."""
        self.parameters.removedSegments = ""
        self.parameters.weightKg = self.parameters.heightCm = 0.0

    def _hide_what_is_empty(self, collapsed: bool) -> None:
        """A section that opens shows all that is in it."""
        if not collapsed:
            show_line(self._ui.resectionLabel, self._ui.resectionLabel.text)

    def _figures(self, report: dict[str, Any], removed: set[int]) -> str:
        try:
            body = Body(self.parameters.weightKg or None, self.parameters.heightCm or None)
            return texts.table(resection_rows(resection_of(report, removed, body)))
        except InputError as error:
            return str(error)

    def _show_choice(self, removed: set[int]) -> None:
        selector = self._ui.hepatectomySelector
        known = not removed or hepatectomy_of(removed) is not None
        blocked = selector.blockSignals(True)
        selector.setCurrentIndex(selector.findData(_listed(removed) if known else messages.OTHER_HEPATECTOMY))
        selector.blockSignals(blocked)
        for number, tick in self._ticks.items():
            blocked = tick.blockSignals(True)
            tick.checked = number in removed
            tick.blockSignals(blocked)

    def _choose_hepatectomy(self, index: int) -> None:
        if self.parameters and index >= 0:
            chosen = self._ui.hepatectomySelector.itemData(index)
            # "Other" is what the ticks make of it: chosen itself, it changes nothing.
            if chosen != messages.OTHER_HEPATECTOMY:
                self.parameters.removedSegments = chosen

    def _tick(self, number: int, ticked: bool) -> None:
        if self.parameters:
            removed = self.removed | {number} if ticked else self.removed - {number}
            self.parameters.removedSegments = _listed(removed)


def _listed(numbers: Any) -> str:
    return " ".join(map(str, sorted(numbers)))
