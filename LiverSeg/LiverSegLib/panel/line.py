"""One line of the panel: there while it has something to say."""

from __future__ import annotations

from typing import Any

from .texts import NOTHING


def show_line(label: Any, text: str, caption: Any = None) -> None:
    """Set the text of a label, and hide it, with its caption, where there is nothing to tell."""
    label.text = text
    for widget in (label, caption):
        if widget is not None:
            widget.visible = text not in ("", NOTHING)
