"""Message boxes that answer themselves: each is written down with its kind and text, none ever waits for a person."""

from __future__ import annotations

from typing import NamedTuple

from PySide6 import QtWidgets

Box = QtWidgets.QMessageBox
KINDS = {
    Box.Icon.Critical: "error",
    Box.Icon.Warning: "warning",
    Box.Icon.Information: "info",
    Box.Icon.Question: "question",
    Box.Icon.NoIcon: "message",
}
YES, NO = (Box.StandardButton.Ok, Box.StandardButton.Yes), (Box.StandardButton.Cancel, Box.StandardButton.No)


class Dialog(NamedTuple):
    kind: str
    text: str


class Dialogs:
    """What was shown, in order, and what the person answers from now on: yes or no, or one answer after the other."""

    def __init__(self) -> None:
        self.shown: list[Dialog] = []
        self.answer = True
        self.next_answers: list[bool] = []

    def show(self, kind: str, text: str, buttons: Box.StandardButton) -> Box.StandardButton:
        self.shown.append(Dialog(kind, text))
        answer = self.next_answers.pop(0) if kind == "question" and self.next_answers else self.answer
        offered = [button for button in (YES if answer else NO) if button & buttons]
        return offered[0] if offered else Box.StandardButton.Ok

    def message_box(self) -> type[Box]:
        """The class that stands for qt.QMessageBox and ctk.ctkMessageBox."""
        dialogs = self

        class MessageBox(Box):
            def exec_(self):
                return dialogs.show(KINDS[self.icon], self.text, self.standardButtons)

            exec = exec_

            def setIcon(self, icon) -> None:
                super().setIcon(icon)

        def static(kind: str, usual: Box.StandardButton):
            return staticmethod(lambda parent, title, text, buttons=usual, *_: dialogs.show(kind, text, buttons))

        MessageBox.critical = static("error", YES[0])
        MessageBox.warning = static("warning", YES[0])
        MessageBox.information = static("info", YES[0])
        MessageBox.question = static("question", YES[1] | NO[1])
        return MessageBox
