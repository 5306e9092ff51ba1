"""The panel's result: volumes, time, warnings, the table node, undo and redo, how the result is drawn."""

from __future__ import annotations

from typing import Any

import qt

from .. import messages, mrml
from . import texts
from .line import show_line


class ResultsSection:
    """Shows what the output holds and draws it in the views as the parameter node says.

    ``parameters`` is the module's parameter node, or None while there is none.
    """

    # A slider that is dragged builds the surface once, a moment after it stops.
    SURFACE_DELAY_MS = 300

    def __init__(self, ui: Any, logic: Any) -> None:
        self.parameters: Any = None
        self._ui, self._logic = ui, logic
        self._drawn: tuple[Any, ...] | None = None
        self._timer = qt.QTimer()
        self._timer.setInterval(self.SURFACE_DELAY_MS)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self.draw)
        ui.undoButton.connect("clicked(bool)", self._undo)
        ui.redoButton.connect("clicked(bool)", self._redo)

    @property
    def output(self) -> Any:
        """The output segmentation if it holds a result of ours, else None."""
        node = self.parameters.outputSegmentation if self.parameters else None
        return node if node is not None and mrml.stored_report(node) is not None else None

    @property
    def report(self) -> dict[str, Any] | None:
        """What the output's report tells, if it has one."""
        output = self.output
        return mrml.stored_report(output) if output is not None else None

    def update(self, running: bool) -> None:
        """Show the report of the output, and follow the choices of how to draw it."""
        output = self.output
        shown = texts.results(self.report)
        show_line(self._ui.timeLabel, shown.time)
        show_line(self._ui.liverVolumeLabel, shown.liver_volume, self._ui.liverVolumeCaption)
        show_line(self._ui.tumourVolumeLabel, shown.tumour_volume, self._ui.tumourVolumeCaption)
        show_line(self._ui.anatomyLabel, shown.anatomy)
        show_line(self._ui.qualityLabel, shown.quality, self._ui.qualityCaption)
        self._ui.qualityLabel.toolTip = self._ui.qualityCaption.toolTip = shown.quality_hint
        show_line(self._ui.warningsLabel, shown.warnings)
        can_undo = self._logic.canUndo(self.parameters.outputSegmentation)
        can_redo = self._logic.canRedo(self.parameters.outputSegmentation)
        self._ui.undoButton.enabled = can_undo and not running
        self._ui.redoButton.enabled = can_redo and not running
        self._ui.editButton.enabled = output is not None and not running
        self._ui.resultsSection.visible = output is not None or can_undo or can_redo
        self._ui.smoothingSlider.enabled = self.parameters.show3D
        if output is not None:
            self._follow_choices(output)

    def show_new(self) -> None:
        """After a run: draw the result on its CT, centre the views on it, and write its table."""
        self.draw()
        if not mrml.is_in_slices(self.parameters.inputVolume):
            mrml.show_in_slices(self.parameters.inputVolume)
        if texts.is_ct(self.report or {}):
            mrml.use_abdominal_window(self.parameters.inputVolume)
        if self.parameters.frameLiver:
            mrml.frame_slices(self.output)
            if self.parameters.show3D:
                mrml.centre_3d_views()
        self.write_table({})

    def close(self) -> None:
        """Let go of the panel: PythonQt keeps what a signal is connected to."""
        self._timer.stop()
        self._timer.disconnect("timeout()", self.draw)

    def draw(self) -> None:
        """Build the surface, or take it away, and draw the slices' outlines."""
        self._timer.stop()
        output = self.output
        if output is None:
            return
        mrml.set_surface(output, self.parameters.show3D, self.parameters.surfaceSmoothing)
        self._drawn = self._wanted_surface(output)
        self._follow_choices(output)

    def write_table(self, measures: dict[str, float], frame: str | None = None) -> None:
        """Write the report, with the measures of a comparison, into the table node of the output.

        ``frame`` is the index value of the frame that was compared, of a sequence.
        """
        output = self.parameters.outputSegmentation
        report = texts.with_comparison(mrml.stored_report(output) or {}, measures, frame)
        columns, rows = texts.tabulated(report)
        title = messages.TABLE_TITLE.format(name=output.GetName())
        mrml.write_report_table(output.GetScene(), title, rows, columns, output)

    def _wanted_surface(self, output: Any) -> tuple[Any, ...]:
        return output.GetID(), self.parameters.show3D, self.parameters.surfaceSmoothing

    def _follow_choices(self, output: Any) -> None:
        display = output.GetDisplayNode()
        if display is not None:
            display.SetVisibility2DOutline(self.parameters.showOutline)
            display.SetVisibility2DFill(self.parameters.showFill)
        wanted = self._wanted_surface(output)
        # A segmentation that is merely chosen keeps the surface that it has.
        if self._drawn is None or self._drawn[0] != wanted[0]:
            self._drawn = wanted
        elif self._drawn != wanted:
            self._timer.start()

    def _undo(self) -> None:
        self._logic.undo(self.parameters.outputSegmentation)
        self._after_undo_or_redo()

    def _redo(self) -> None:
        self._logic.redo(self.parameters.outputSegmentation)
        self._after_undo_or_redo()

    def _after_undo_or_redo(self) -> None:
        self.draw()
        self.write_table({})
        # Everybody who shows the output looks at it again.
        self.parameters.Modified()
