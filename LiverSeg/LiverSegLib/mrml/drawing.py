"""Drawing in the slice views: what the mouse does there while a tool is in the hand, as points in the world."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import slicer

# Before Slicer's own ways with the mouse (0.0), as the Segment Editor's effects.
PRIORITY = 1.0
# So far apart at least are the points of a line.
STEP_MM = 0.5
Points = list[tuple[float, float, float]]


class Drawing:
    """Takes the left mouse button in all slice views: a click is a point, a drag a line.

    The other buttons, the wheel, and the left button with a key go on doing what they do in Slicer. Where something
    else wants the left button, such as placing a markup, drawing ends.

    Parameters
    ----------
    on_line
        Called while a line is drawn, with its points so far: RAS mm in the world.
    on_drawn
        Called with the points when the button is let go.
    on_interrupted
        Called when something else has taken the mouse.
    """

    def __init__(
        self,
        on_line: Callable[[Points], None],
        on_drawn: Callable[[Points], None],
        on_interrupted: Callable[[], None],
    ) -> None:
        self._on_line, self._on_drawn, self._on_interrupted = on_line, on_drawn, on_interrupted
        self._observed: list[tuple[Any, int]] = []
        self._points: Points = []
        self._view: Any = None
        self._layout: Any = None

    @property
    def active(self) -> bool:
        """Whether the mouse draws."""
        return bool(self._observed)

    def start(self) -> None:
        """Take the mouse in the slice views of the present layout."""
        self.stop()
        layout = slicer.app.layoutManager()
        if layout is None:
            return
        mode = slicer.app.applicationLogic().GetInteractionNode()
        if mode is not None:
            mode.SetCurrentInteractionMode(mode.ViewTransform)
            self._observe(mode, "ModifiedEvent", self._on_mode)
        layout.connect("layoutChanged(int)", self._on_layout)
        self._layout = layout
        for name in layout.sliceViewNames():
            view = layout.sliceWidget(name).sliceView()
            for event, act in (
                ("LeftButtonPressEvent", self._press),
                ("MouseMoveEvent", self._move),
                ("LeftButtonReleaseEvent", self._release),
                # Else the view would be enlarged by two clicks that follow one another.
                ("LeftButtonDoubleClickEvent", self._swallow),
            ):
                self._observe(view.interactor(), event, partial(act, view))

    def stop(self) -> None:
        """Give the mouse back; what is being drawn is lost."""
        self._points, self._view = [], None
        layout, self._layout = self._layout, None
        if layout is not None:
            layout.disconnect("layoutChanged(int)", self._on_layout)
        observed, self._observed = self._observed, []
        for thing, tag in observed:
            thing.RemoveObserver(tag)

    def _observe(self, thing: Any, event: str, act: Callable[[Any], bool]) -> None:
        def take(caller: Any, _event: str) -> None:
            command = caller.GetCommand(tag) if act(caller) else None
            # No other observer of the view hears of it; there is none any more where the act has ended the drawing.
            if command is not None:
                command.SetAbortFlag(1)

        tag = thing.AddObserver(event, take, PRIORITY)
        self._observed.append((thing, tag))

    def _press(self, view: Any, interactor: Any) -> bool:
        if interactor.GetShiftKey() or interactor.GetControlKey() or interactor.GetAltKey():
            return False
        self._view, self._points = view, [_place(view, interactor)]
        self._on_line(self._points)
        return True

    def _move(self, view: Any, interactor: Any) -> bool:
        if view is not self._view:
            return False
        place = _place(view, interactor)
        if np.linalg.norm(np.subtract(place, self._points[-1])) >= STEP_MM:
            self._points.append(place)
            self._on_line(self._points)
        return True

    def _release(self, view: Any, interactor: Any) -> bool:
        if view is not self._view:
            return False
        points, self._points, self._view = self._points, [], None
        self._on_drawn(points)
        return True

    @staticmethod
    def _swallow(view: Any, interactor: Any) -> bool:
        return True

    def _on_layout(self, _layout: int) -> None:
        """Another layout has other views."""
        self.start()

    def _on_mode(self, mode: Any) -> bool:
        if mode.GetCurrentInteractionMode() != mode.ViewTransform:
            self.stop()
            self._on_interrupted()
        return False


def _place(view: Any, interactor: Any) -> tuple[float, float, float]:
    """Where the mouse is, RAS mm in the world."""
    r, a, s = view.convertXYZToRAS(view.convertDeviceToXYZ(list(interactor.GetEventPosition())))
    return float(r), float(a), float(s)
