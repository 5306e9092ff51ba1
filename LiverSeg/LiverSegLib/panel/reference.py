"""The panel's reference: which segment it is, the measures, and the disagreement on the slices."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import messages, mrml
from . import texts
from .line import show_line

if TYPE_CHECKING:
    from ..mrml.scene_run import Comparison


class ReferenceSection:
    """Compares the output with the reference as soon as both are there.

    ``parameters`` is the module's parameter node, or None while there is none.
    """

    def __init__(self, ui: Any) -> None:
        self.parameters: Any = None
        self._comparison: Comparison | None = None
        self._compared: tuple[Any, ...] | None = None
        # Reference and segment that were looked at last, with success or without.
        self._looked_at: tuple[Any, ...] | None = None
        # The result whose disagreement is on the slices.
        self._shown_of: Any = None
        self._ui = ui
        ui.referenceSelector.noneDisplay = messages.NO_REFERENCE
        ui.referenceSegmentSelector.connect("currentIndexChanged(int)", self._choose_segment)

    @property
    def reference(self) -> Any:
        """What the logic takes as the reference: a node, (node, segment id), or None."""
        node, segment_id = self.parameters.reference, self.parameters.referenceSegment
        return (node, segment_id) if node is not None and segment_id else node

    @property
    def pending(self) -> bool:
        """Whether a comparison was started and is not there yet, or failed."""
        return self._compared is not None and self._comparison is None

    def update(self, running: bool) -> None:
        """Show the measures of the last comparison, and the segments to choose from."""
        self._update_segments(running)
        if self._wanted() != self._compared:
            self.forget()
        comparison = self._comparison
        shown = texts.measures(comparison.measures if comparison else None)
        show_line(self._ui.diceLabel, shown.dice, self._ui.diceCaption)
        show_line(self._ui.iouLabel, shown.iou, self._ui.iouCaption)
        show_line(self._ui.hd95Label, shown.hd95, self._ui.hd95Caption)
        show_line(self._ui.assdLabel, shown.assd, self._ui.assdCaption)
        show_line(self._ui.volumeDifferenceLabel, shown.volume_difference, self._ui.volumeDifferenceCaption)
        show_line(self._ui.referenceNoteLabel, " ".join(comparison.warnings) if comparison else "")
        if comparison is not None and self.parameters.showDisagreement != (self._shown_of is not None):
            self._show_disagreement()

    def compare_if_needed(self, start: Callable[[Any, Any, Any, bool], None]) -> None:
        """Start a comparison of (output, CT, reference) if all are there and were not compared yet.

        The last value tells whether somebody has just chosen the reference; else it is left from before.
        """
        wanted = self._wanted()
        if wanted is None or wanted == self._compared:
            return
        is_new = self._chosen() != self._looked_at
        # Also when it fails: the same question is not asked twice.
        self.give_up()
        start(self.parameters.outputSegmentation, self.parameters.inputVolume, self.reference, is_new)

    def take_over(self) -> None:
        """What is chosen when the parameters come, as from a file, is not new: nobody chose it just now."""
        self._looked_at = self._chosen()
        self.open_if_chosen()

    def open_if_chosen(self) -> None:
        """Open the section for a reference that has come; what a person has opened or closed since stays so."""
        if self.parameters.reference is not None:
            self._ui.referenceSection.collapsed = False

    def give_up(self) -> None:
        """What is chosen now is not compared, and nobody asks for it again."""
        self.forget()
        self._compared, self._looked_at = self._wanted(), self._chosen()

    def show(self, comparison: Comparison) -> None:
        """Take over a comparison of what is chosen now."""
        self._comparison, self._compared, self._looked_at = comparison, self._wanted(), self._chosen()
        self._show_disagreement()

    def forget(self) -> None:
        """Nothing is compared any more."""
        if self._shown_of is not None:
            mrml.remove_disagreement(self._shown_of)
        self._comparison = self._compared = self._shown_of = None

    def forget_result(self, node: Any) -> None:
        """A result that is about to be removed takes its disagreement with it."""
        if node is self._shown_of:
            self.forget()

    def _chosen(self) -> tuple[Any, ...]:
        node = self.parameters.reference
        return node and node.GetID(), self.parameters.referenceSegment

    def _wanted(self) -> tuple[Any, ...] | None:
        """What would be compared now; None if something is missing. Voxels that changed count as something new."""
        output, volume = self.parameters.outputSegmentation, self.parameters.inputVolume
        reference = self.parameters.reference
        if None in (output, volume, reference) or mrml.stored_report(output) is None:
            return None
        state = mrml.content_state(output), mrml.content_state(reference)
        return output.GetID(), volume.GetID(), *self._chosen(), state

    def _show_disagreement(self) -> None:
        """Fill on the slices what result and reference do not share, or take that away again."""
        output, found = self.parameters.outputSegmentation, self._comparison
        if found is not None and self.parameters.showDisagreement:
            mrml.show_disagreement(output, found.labels, found.reference_labels, self.parameters.inputVolume)
            self._shown_of = output
        else:
            mrml.remove_disagreement(output)
            self._shown_of = None

    def _choose_segment(self, index: int) -> None:
        if self.parameters and index >= 0:
            self.parameters.referenceSegment = self._ui.referenceSegmentSelector.itemData(index) or ""

    def _update_segments(self, running: bool) -> None:
        node, selector = self.parameters.reference, self._ui.referenceSegmentSelector
        segments = mrml.segments_for_reference(node) if node is not None else []
        blocked = selector.blockSignals(True)
        selector.clear()
        selector.addItem(messages.WHOLE_LIVER_REFERENCE, "")
        for segment_id, name in segments:
            selector.addItem(name, segment_id)
        selector.setCurrentIndex(max(0, selector.findData(self.parameters.referenceSegment)))
        selector.blockSignals(blocked)
        selector.enabled = bool(segments) and not running
        self._choose_segment(selector.currentIndex)
