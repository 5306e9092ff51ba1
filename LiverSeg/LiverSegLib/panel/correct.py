"""The panel's corrections: two tools that draw in the slice views, and the list of what was drawn."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from .. import messages, mrml
from ..data.strokes import Stroke
from ..errors import InputError, LiverSegError
from . import texts
from .line import show_line
from .shortcuts import Shortcuts
from .stroke_queue import StrokeQueue

ADD_KEY, REMOVE_KEY, END_KEY = "A", "R", "Esc"


class CorrectSection:
    """Corrects the output where a person draws; each stroke can be taken out again.

    ``parameters`` is the module's parameter node, or None while there is none.

    Parameters
    ----------
    ui
        The panel's widgets.
    logic
        The module's logic.
    window
        In which the keys of the tools work.
    make_ready
        Called before a tool is taken: whether all that is needed is installed.
    make_way
        Called before a correction starts: whatever else runs ends.
    on_end
        Called when something has ended, with whether the result has changed.
    on_error
        Called with an error that nobody foresaw.
    """

    def __init__(
        self,
        ui: Any,
        logic: Any,
        window: Any,
        make_ready: Callable[[], bool],
        make_way: Callable[[], None],
        on_end: Callable[[bool], None],
        on_error: Callable[[Exception], None],
    ) -> None:
        self.parameters: Any = None
        self._ui, self._logic, self._make_ready = ui, logic, make_ready
        self._on_end, self._on_error = on_end, on_error
        # What can be corrected now, and the tool in the hand: Add is True, Remove is False, none is None.
        self._output: Any = None
        self._tool: bool | None = None
        self._line: list[Stroke] = []
        self._problem = ""
        self._in_views: tuple[Any, list[Stroke]] = (None, [])
        self._queue = StrokeQueue(logic, make_way, on_end, self._on_failed)
        self._drawing = mrml.Drawing(self._on_line, self._on_drawn, self.put_down)
        keys: dict[str, Callable[[], None]] = {
            ADD_KEY: partial(self._take, True),
            REMOVE_KEY: partial(self._take, False),
            END_KEY: self._end,
        }
        self._keys = Shortcuts(window, keys)
        ui.addButton.connect("clicked(bool)", partial(self._choose, True))
        ui.removeButton.connect("clicked(bool)", partial(self._choose, False))
        ui.undoStrokeButton.connect("clicked(bool)", self._undo)
        ui.deleteStrokeButton.connect("clicked(bool)", self._delete)
        ui.strokesList.connect("currentRowChanged(int)", self._go)
        ui.correctSection.connect("contentsCollapsed(bool)", self._on_collapsed)

    @property
    def running(self) -> bool:
        """Whether the result is about to change."""
        return self._queue.running

    @property
    def busy(self) -> bool:
        """Whether anything is being worked on, if only to make ready for the first stroke."""
        return self._queue.busy

    def stop_preparing(self) -> None:
        """Give way to something else, if no stroke is being worked on."""
        self._queue.stop_preparing()

    def update(self, running: bool) -> None:
        """Follow the output; while a run goes on nothing can be corrected."""
        output = self.parameters.outputSegmentation
        can_correct = not running and mrml.volume_to_correct(output) is not None
        if output is not self._output or not can_correct:
            self.leave()
        self._output = output if can_correct else None
        self._ui.correctSection.visible = mrml.volume_to_correct(output) is not None
        self._show()

    def leave(self) -> None:
        """Let go of the output: no tool in the hand, no strokes in the views, nothing half done."""
        self._queue.stop()
        self._drawing.stop()
        self._keys.enable()
        self._tool, self._line, self._problem = None, [], ""
        self._in_views = None, []
        output, self._output = self._output, None
        if output is not None:
            mrml.remove_strokes(output)
            self._logic.forgetScan()

    def leave_if_needed(self, node: Any) -> None:
        """A node is about to be removed."""
        if self._output is not None and node in (self._output, mrml.volume_to_correct(self._output)):
            self.leave()

    def close(self) -> None:
        """Let go of the panel: PythonQt keeps what a signal is connected to."""
        self.leave()
        self._queue.close()
        self._keys.close()

    # ---- the tools ---------------------------------------------------------------------------------------------------

    def _choose(self, is_liver: bool, checked: bool) -> None:
        if checked:
            self._take(is_liver)
        else:
            self.put_down()

    def _take(self, is_liver: bool) -> None:
        """Take a tool into the hand; what the first stroke needs is made ready meanwhile."""
        # While packages are installed, the user may have left the panel.
        if self._tool is None and self._output is not None and self._make_ready() and self._output is not None:
            self._drawing.start()
            self._queue.prepare(self._output, self.parameters.device)
        if self._drawing.active:
            self._tool, self._problem = is_liver, ""
        self._ui.correctSection.collapsed = False
        self._show()

    def put_down(self) -> None:
        """No tool in the hand; what was drawn is still worked on."""
        self._drawing.stop()
        self._tool, self._line = None, []
        self._show()

    def _end(self) -> None:
        """Put the tool down, and leave what is not finished."""
        self._queue.stop()
        self.put_down()
        self._on_end(False)

    # ---- what is drawn -----------------------------------------------------------------------------------------------

    def _on_line(self, points: Any) -> None:
        try:
            self._line = [self._stroke(points)]
        except InputError:
            self._line = []
        self._show_strokes()

    def _on_drawn(self, points: Any) -> None:
        self._line, self._problem = [], ""
        try:
            self._queue.add(self._output, self._stroke(points), self.parameters.device)
        except InputError as error:
            self._problem = str(error)
        self._show()

    def _stroke(self, points: Any) -> Stroke:
        return mrml.stroke_in(mrml.volume_to_correct(self._output), points, bool(self._tool))

    def _on_failed(self, error: Exception) -> None:
        if isinstance(error, LiverSegError):
            self._problem = str(error)
        else:
            self.put_down()
            self._on_error(error)
        self._on_end(False)

    # ---- what was drawn ----------------------------------------------------------------------------------------------

    @property
    def _strokes(self) -> tuple[Stroke, ...]:
        """Those that are in the result."""
        return mrml.stored_corrections(self._output).strokes if self._output is not None else ()

    def _undo(self) -> None:
        """Take back the last stroke, also one that is still being worked on."""
        dropped = self._queue.drop_last(self._output, self.parameters.device)
        if not dropped:
            self._logic.undo(self._output)
        self._on_end(not dropped)

    def _delete(self) -> None:
        number = self._ui.strokesList.currentRow
        if 0 <= number < len(self._strokes):
            self._queue.delete(self._output, number, self.parameters.device)
            self._show()

    def _go(self, number: int) -> None:
        """Show the stroke in all slice views."""
        if 0 <= number < len(self._strokes):
            mrml.jump_to(mrml.volume_to_correct(self._output), self._strokes[number].points_mm[0])
        self._show_buttons()

    # ---- what is shown -----------------------------------------------------------------------------------------------

    def _on_collapsed(self, collapsed: bool) -> None:
        if self.parameters:
            # A section that opens shows all that is in it: everybody hides what is empty.
            self._on_end(False)

    def _show(self) -> None:
        self._show_buttons()
        self._show_list()
        self._show_strokes()
        hint = messages.CORRECTING if self.running else texts.tool_hint(self._tool)
        show_line(self._ui.correctNoteLabel, self._problem or hint)
        is_open = self._output is not None and not self._ui.correctSection.collapsed
        ends = (END_KEY,) if self._tool is not None or self.running else ()
        self._keys.enable(*((ADD_KEY, REMOVE_KEY) if is_open or self._tool is not None else ()), *ends)

    def _show_buttons(self) -> None:
        ui, there = self._ui, self._output is not None
        ui.addButton.enabled = ui.removeButton.enabled = there
        ui.addButton.checked, ui.removeButton.checked = self._tool is True, self._tool is False
        ui.undoStrokeButton.enabled = there and (bool(self._queue.strokes) or self._can_undo())
        ui.deleteStrokeButton.enabled = there and not self.running and ui.strokesList.currentRow >= 0

    def _can_undo(self) -> bool:
        return not self.running and self._logic.canUndo(self._output)

    def _show_list(self) -> None:
        """List the strokes; the one that is chosen stays so."""
        ui, chosen = self._ui, self._ui.strokesList.currentRow
        volume = mrml.volume_to_correct(self._output)
        lines = [texts.stroke(stroke, mrml.slice_of(volume, stroke.points_mm[0])) for stroke in self._strokes]
        blocked = ui.strokesList.blockSignals(True)
        ui.strokesList.clear()
        ui.strokesList.addItems(lines)
        ui.strokesList.setCurrentRow(min(chosen, len(lines) - 1))
        ui.strokesList.blockSignals(blocked)
        ui.strokesList.visible = ui.deleteStrokeButton.visible = bool(lines)
        report = mrml.stored_report(self._output) if self._output is not None else None
        show_line(ui.correctionsLabel, texts.corrected(report))

    def _show_strokes(self) -> None:
        """Show them in the views while the section is open; nothing is drawn anew where nothing has changed."""
        if self._output is None:
            return
        is_open = not self._ui.correctSection.collapsed
        strokes = [*self._strokes, *self._queue.strokes, *self._line] if is_open else []
        wanted = self._output.GetTransformNodeID(), [id(stroke) for stroke in strokes]
        if wanted != self._in_views[0]:
            mrml.show_strokes(self._output, strokes)
            # The strokes are kept, so that no other one gets the same id.
            self._in_views = wanted, strokes
