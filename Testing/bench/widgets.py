"""Stand-ins for the qMRML and ctk widgets that a .ui file may name: their properties, slots and signals, plain to see.

The node selector is built as Slicer's is (a QComboBox over an item model that follows the scene), so that it answers to
added, removed, renamed and hidden nodes with the same selection and the same signals.
"""

from __future__ import annotations

from collections.abc import Callable

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from .pythonqt import Signal, emit

NODE_ID, ACTION = QtCore.Qt.ItemDataRole.UserRole + 1, QtCore.Qt.ItemDataRole.UserRole + 2
Scene = slicer.vtkMRMLScene
SCENE_EVENTS = (Scene.NodeAddedEvent, Scene.NodeAboutToBeRemovedEvent, Scene.EndCloseEvent, Scene.EndImportEvent)
# As in qMRMLSceneModel: a selector knows of a new node before others hear of it, and of one that goes after them.
PRIORITIES = (10.0, -10.0, 0.0, 0.0)


def qt_property(name: str, default: object, qt_type: type | str | None = None) -> tuple[QtCore.Property, Callable]:
    """A property that a .ui file can set, and its setX; the widget's _changed() is called after a change.

    It has to be made inside the class: PySide6 tells Qt of a class's properties as the class is made.
    """

    def get(self):
        return self.__dict__.get(f"_{name}", default)

    def put(self, value) -> None:
        value = list(value) if isinstance(default, list) else type(default)(value)
        if value != get(self):
            self.__dict__[f"_{name}"] = value
            self._changed(name)

    return QtCore.Property(qt_type or type(default), get, put), put


class qMRMLWidget(QtWidgets.QWidget):
    """Hands its scene on to the widgets that the .ui file connects to mrmlSceneChanged."""

    mrmlSceneChanged = Signal("mrmlSceneChanged(vtkMRMLScene*)")
    _scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """A selector of the scene's nodes of some types."""

    nodeTypes, setNodeTypes = qt_property("nodeTypes", [], "QStringList")
    showChildNodeTypes, setShowChildNodeTypes = qt_property("showChildNodeTypes", True)
    noneEnabled, setNoneEnabled = qt_property("noneEnabled", False)
    addEnabled, setAddEnabled = qt_property("addEnabled", True)
    removeEnabled, setRemoveEnabled = qt_property("removeEnabled", True)
    renameEnabled, setRenameEnabled = qt_property("renameEnabled", False)
    noneDisplay, setNoneDisplay = qt_property("noneDisplay", "None")

    currentNodeChanged = Signal("currentNodeChanged(vtkMRMLNode*)", "currentNodeChanged(bool)")
    nodeActivated = Signal("nodeActivated(vtkMRMLNode*)")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._scene, self._observed = None, []
        self._requested, self._quiet = None, False
        self._model = QtGui.QStandardItemModel(self)
        self._combo = QtWidgets.QComboBox(self)
        self._combo.setModel(self._model)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._combo)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.connect("currentTextChanged(QString)", self._on_current_changed)
        self._combo.connect("activated(int)", self._on_activated)
        self.setEnabled(False)
        self.destroyed.connect(self._unobserve)

    # -- the scene

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        current = self._requested or self.currentNode()
        self._unobserve()
        self._scene = scene
        if scene is not None:
            changes = (self._on_node_added, self._on_node_about_to_be_removed)
            handlers = (*changes, self._on_scene_changed, self._on_scene_changed)
            for event, callback, priority in zip(SCENE_EVENTS, handlers, PRIORITIES, strict=True):
                self._observe(scene, event, callback, priority)
        self._refill()
        self.setCurrentNode(current)
        self._requested = None
        self.setEnabled(scene is not None)

    def _observe(self, thing, event, callback, priority: float = 0.0) -> None:
        self._observed.append((thing, thing.AddObserver(event, callback, priority)))

    def _unobserve(self) -> None:
        for thing, tag in self._observed:
            thing.RemoveObserver(tag)
        self._observed = []

    def _let_go(self, node) -> None:
        """A node that is gone must be freed, as it is in Slicer: who still uses it has to crash here, too."""
        for thing, tag in self._observed:
            if thing is node:
                node.RemoveObserver(tag)
        self._observed = [(thing, tag) for thing, tag in self._observed if thing is not node]

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_added(self, scene, _event, node) -> None:
        if not scene.IsImporting():
            self._observe(node, vtk.vtkCommand.ModifiedEvent, self._on_node_modified)
            self._update(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _on_node_about_to_be_removed(self, scene, _event, node) -> None:
        self._let_go(node)
        if not scene.IsClosing():
            self._remove(node)

    def _on_scene_changed(self, _scene, _event) -> None:
        """After the scene was closed or loaded: all nodes go and those that are there now come, as in Slicer."""
        self._model.removeRows(self._first, self.nodeCount())
        if self.currentNode() is None:
            self.setCurrentNode(None)
        self._follow_nodes()

    def _on_node_modified(self, node, _event) -> None:
        if self._scene is not None and not self._scene.IsImporting() and self._scene.IsNodePresent(node):
            self._update(node)

    # -- the rows: None, the nodes in the order of the scene, the actions

    def _changed(self, _name: str) -> None:
        if not self.__dict__.get("_model"):
            return
        current = self.currentNodeID
        self._refill()
        self.setCurrentNodeID(current)

    def _refill(self) -> None:
        self._quiet = True
        self._model.clear()
        self._combo.setPlaceholderText(f"Select a {self.nodeTypeLabel(self.nodeTypes[0] if self.nodeTypes else '')}")
        for row in ([(self.noneDisplay, None, None)] if self.noneEnabled else []) + self._actions():
            self._model.appendRow(_item(*row))
        self._combo.setCurrentIndex(0 if self.noneEnabled else -1)
        self._follow_nodes()
        self._quiet = False

    def _follow_nodes(self) -> None:
        for thing, tag in self._observed[len(SCENE_EVENTS) :]:
            thing.RemoveObserver(tag)
        self._observed = self._observed[: len(SCENE_EVENTS)]
        for node in _nodes(self._scene):
            self._observe(node, vtk.vtkCommand.ModifiedEvent, self._on_node_modified)
            self._update(node)

    def _actions(self) -> list[tuple[str, None, str]]:
        label = self.nodeTypeLabel(self.nodeTypes[0] if len(self.nodeTypes) == 1 else "")
        rows = [(f"Rename current {label}", "RENAME")] * self.renameEnabled
        if self.addEnabled:
            rows += [(f"Create new {self.nodeTypeLabel(kind)}", f"CREATE/{kind}") for kind in self.nodeTypes]
        rows += [(f"Delete current {label}", "DELETE")] * self.removeEnabled
        return [(text, None, action) for text, action in ([("", "SEPARATOR")] if rows else []) + rows]

    def _accepts(self, node) -> bool:
        if node.GetHideFromEditors():
            return False
        if not self.showChildNodeTypes:
            return node.GetClassName() in self.nodeTypes
        return any(node.IsA(kind) for kind in self.nodeTypes)

    def _row_of(self, node_id: str) -> int:
        return next((row for row in range(self._model.rowCount()) if self._node_id(row) == node_id), -1)

    def _node_id(self, row: int) -> str | None:
        item = self._model.item(row)
        return item.data(NODE_ID) if item is not None else None

    def _update(self, node) -> None:
        """Bring the node's row in line with its name and with whether it is to be seen here at all."""
        row, accepted = self._row_of(node.GetID()), self._accepts(node)
        if row >= 0 and not accepted:
            self._remove(node)
        elif row >= 0:
            if self._model.item(row).text() != (node.GetName() or ""):
                self._model.item(row).setText(node.GetName() or "")
        elif accepted:
            order = {present.GetID(): index for index, present in enumerate(_nodes(self._scene))}
            before = [r for r in range(self._model.rowCount()) if order.get(self._node_id(r), -1) > order[node.GetID()]]
            self._model.insertRow(
                min(before, default=self._first + self.nodeCount()), _item(node.GetName(), node.GetID())
            )

    def _remove(self, node) -> None:
        row = self._row_of(node.GetID())
        if row >= 0:
            self._model.removeRow(row)
            if self.currentNode() is None:
                self.setCurrentNode(None)

    # -- the current node

    @property
    def _first(self) -> int:
        return int(self.noneEnabled)

    def nodeCount(self) -> int:
        return sum(self._node_id(row) is not None for row in range(self._model.rowCount()))

    def nodeFromIndex(self, index: int):
        node_id = self._node_id(self._first + index)
        return self._scene.GetNodeByID(node_id) if node_id and self._scene else None

    def currentNode(self):
        return self.nodeFromIndex(self._combo.currentIndex - self._first)

    def setCurrentNode(self, node) -> None:
        if self._scene is None:
            self._requested = node
        self.setCurrentNodeID(node.GetID() if node is not None else "")

    def _get_current_id(self) -> str:
        node = self.currentNode()
        return node.GetID() if node is not None else ""

    def setCurrentNodeID(self, node_id: str) -> None:
        row = self._row_of(node_id) if node_id else -1
        self._combo.setCurrentIndex(row if row >= 0 else self._first - 1)

    currentNodeID = QtCore.Property(str, _get_current_id, setCurrentNodeID)

    def _on_current_changed(self) -> None:
        if self._quiet:
            return
        row, node = self._combo.currentIndex, self.currentNode()
        if node is None and row != self._first - 1 and self.nodeCount():
            self.setCurrentNode(self.nodeFromIndex(self.nodeCount() - 1))
            return
        if not self.signalsBlocked():
            emit(self, "currentNodeChanged(vtkMRMLNode*)", node)
            emit(self, "currentNodeChanged(bool)", node is not None)

    # -- what the user does

    def _on_activated(self, row: int) -> None:
        action = self._model.item(row).data(ACTION) or ""
        if action.startswith("CREATE"):
            self.addNode(action.split("/")[1])
        elif action == "DELETE":
            self.removeCurrentNode()
        elif not action:
            self.nodeActivated.emit(self.currentNode())

    def addNode(self, kind: str = ""):
        """What "Create new ..." does."""
        kind = kind or self.nodeTypes[0]
        name = self._scene.GetTagByClassName(kind)
        node = self._scene.AddNewNodeByClass(kind, self._scene.GenerateUniqueName(name))
        self.setCurrentNode(node)
        return node

    def removeCurrentNode(self) -> None:
        self._scene.RemoveNode(self.currentNode())

    def nodeTypeLabel(self, kind: str) -> str:
        shown = self._scene.GetTypeDisplayNameByClassName(kind) if self._scene and kind else ""
        return shown or "node"


def _item(text: str, node_id: str | None = None, action: str | None = None) -> QtGui.QStandardItem:
    item = QtGui.QStandardItem(text or "")
    item.setData(node_id, NODE_ID)
    item.setData(action, ACTION)
    if action == "SEPARATOR":
        item.setData("separator", QtCore.Qt.ItemDataRole.AccessibleDescriptionRole)
    return item


def _nodes(scene) -> list:
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())] if scene is not None else []


class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A title bar that hides what lies below it. Checked is open, as in CTK."""

    contentsCollapsed = Signal("contentsCollapsed(bool)")

    def __init__(self, text="", parent=None) -> None:
        super().__init__(parent if isinstance(text, str) else text)
        self.setText(text if isinstance(text, str) else "")
        self.setCheckable(True)
        self.setChecked(True)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Minimum, QtWidgets.QSizePolicy.Policy.Preferred)
        self.setContentsMargins(0, self._bar(), 0, 0)
        self.connect("toggled(bool)", self._on_toggled)

    def _bar(self) -> int:
        return self.fontMetrics().height() + 8

    def _changed(self, _name: str) -> None:
        self.update()

    def _get_collapsed(self) -> bool:
        return not self.checked

    def setCollapsed(self, collapsed: bool) -> None:
        self.setChecked(not collapsed)

    collapsed = QtCore.Property(bool, _get_collapsed, setCollapsed)

    def _on_toggled(self, is_open: bool) -> None:
        self._show_contents(is_open)
        self.contentsCollapsed.emit(not is_open)

    def _show_contents(self, is_open: bool) -> None:
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget):
                child.setVisible(is_open)
        self.setMaximumHeight(16777215 if is_open else self._bar())

    def showEvent(self, event) -> None:
        self._show_contents(self.checked)  # its contents have come since it was made
        super().showEvent(event)

    def hitButton(self, position) -> bool:
        return position.y() < self._bar()

    def sizeHint(self):
        hint = self.layout().sizeHint() if self.layout() and self.checked else QtCore.QSize(100, 0)
        return hint.expandedTo(QtCore.QSize(0, self._bar()))

    def paintEvent(self, _event) -> None:
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._bar())
        painter = QtGui.QPainter(self)
        self.style().drawControl(QtWidgets.QStyle.ControlElement.CE_PushButtonBevel, option, painter, self)
        alignment = QtCore.Qt.AlignmentFlag.AlignLeft | QtCore.Qt.AlignmentFlag.AlignVCenter
        text = ("▾ " if self.checked else "▸ ") + self.text
        rect, role = option.rect.adjusted(8, 0, -8, 0), QtGui.QPalette.ColorRole.ButtonText
        self.style().drawItemText(painter, rect, alignment, option.palette, self.enabled, text, role)
        painter.end()


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box for a floating-point number."""

    minimum, setMinimum = qt_property("minimum", 0.0)
    maximum, setMaximum = qt_property("maximum", 99.0)
    singleStep, setSingleStep = qt_property("singleStep", 1.0)
    pageStep, setPageStep = qt_property("pageStep", 10.0)
    decimals, setDecimals = qt_property("decimals", 2)
    value, setValue = qt_property("value", 0.0)

    valueChanged = Signal("valueChanged(double)")

    def __init__(self, parent=None) -> None:
        super().__init__(parent)
        self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal, self)
        self._spin = QtWidgets.QDoubleSpinBox(self)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._slider)
        layout.addWidget(self._spin)
        self._changed("")
        self._slider.connect("valueChanged(int)", lambda step: self.setValue(self.minimum + step * self.singleStep))
        self._spin.connect("valueChanged(double)", lambda value: self.setValue(value))

    def setRange(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def _changed(self, name: str) -> None:
        if "_spin" not in self.__dict__:
            return
        within = round(min(max(self.value, self.minimum), self.maximum), self.decimals)
        changed = name == "value" or within != self.value
        self.__dict__["_value"] = within
        for part in (self._slider, self._spin):
            part.blockSignals(True)
        self._spin.setDecimals(self.decimals)
        self._spin.setRange(self.minimum, self.maximum)
        self._spin.setSingleStep(self.singleStep)
        self._spin.setValue(within)
        self._slider.setRange(0, round((self.maximum - self.minimum) / self.singleStep))
        self._slider.setValue(round((within - self.minimum) / self.singleStep))
        for part in (self._slider, self._spin):
            part.blockSignals(False)
        if changed:
            self.valueChanged.emit(within)


MRML_WIDGETS = (qMRMLWidget, qMRMLNodeComboBox)
CTK_WIDGETS = (ctkCollapsibleButton, ctkSliderWidget)
