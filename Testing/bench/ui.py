"""Qt Designer's files: qt.QUiLoader with the widgets of Slicer and CTK, and the connections that name MRML types."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools

from .pythonqt import connect
from .widgets import CTK_WIDGETS, MRML_WIDGETS

WIDGETS = {kind.__name__: kind for kind in (*MRML_WIDGETS, *CTK_WIDGETS)}


class QUiLoader(QtUiTools.QUiLoader):
    """Reads a .ui file; a class that nobody knows is an error here, where Slicer prints a line and shows a gap."""

    def createWidget(self, class_name, parent=None, name=""):
        if class_name not in WIDGETS and class_name not in self.availableWidgets():
            raise LookupError(f"The .ui file names the widget {class_name}, which the bench does not know.")
        if class_name not in WIDGETS:
            return super().createWidget(class_name, parent, name)
        widget = WIDGETS[class_name](parent=parent)
        widget.setObjectName(name)
        return widget

    def load(self, device, parent=None):
        tree = ElementTree.fromstring(bytes(device.readAll()))
        connections = tree.find("connections")
        ours = [] if connections is None else connections.findall("connection")
        for connection in ours:
            connections.remove(connection)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QBuffer.OpenModeFlag.ReadOnly)
        widget = super().load(buffer, parent)
        for connection in ours:
            _make_connection(widget, {part.tag: part.text for part in connection})
        return widget


def _make_connection(top: QtCore.QObject, parts: dict[str, str]) -> None:
    sender, receiver = (_child(top, parts[role]) for role in ("sender", "receiver"))
    slot = getattr(receiver, parts["slot"].split("(")[0], None)
    if slot is None:
        raise LookupError(f"The .ui file connects to {parts['receiver']}.{parts['slot']}, which is not there.")
    connect(sender, parts["signal"], slot if parts["slot"].split("(")[1] != ")" else lambda: slot())


def _child(top: QtCore.QObject, name: str) -> QtCore.QObject:
    found = top if top.objectName == name else top.findChild(QtCore.QObject, name)
    if found is None:
        raise LookupError(f"The .ui file connects {name}, which is not there.")
    return found
