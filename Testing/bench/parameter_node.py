"""Stand-in for slicer.parameterNodeWrapper: typed attributes that live on a real vtkMRMLScriptedModuleNode.

Values are parameters (text), nodes are node references, both named after the attribute, as in Slicer: so they are saved
with the scene. As in Slicer, values are kept beside the node too, and read again when the node says Modified.
"""

from __future__ import annotations

import dataclasses
import types
import typing
import weakref
from collections.abc import Callable

import slicer
import slicer.util
import vtk
from PySide6 import QtWidgets

from .widgets import ctkSliderWidget, qMRMLNodeComboBox

# ---- what may be written beside a type ---------------------------------------------------------------------------


@dataclasses.dataclass
class WithinRange:
    minimum: float
    maximum: float

    def validate(self, value) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


# ---- one parameter -------------------------------------------------------------------------------------------------


class Parameter:
    """Name, type, default and checks of one attribute; reads it from a node and writes it there."""

    def __init__(self, owner: type, name: str, hint: object) -> None:
        self.name = name
        annotated = typing.get_origin(hint) is typing.Annotated
        self.notes = typing.get_args(hint)[1:] if annotated else ()
        hint = typing.get_args(hint)[0] if annotated else hint
        if isinstance(hint, types.UnionType):
            raise TypeError(f"{owner.__name__}.{name}: write Union[...]; Slicer 5.8 does not know {hint}")
        union = typing.get_origin(hint) is typing.Union
        self.types = tuple(t for t in (typing.get_args(hint) if union else (hint,)) if t is not type(None))
        self.is_node = all(isinstance(t, type) and issubclass(t, slicer.vtkMRMLNode) for t in self.types)
        if not self.is_node and self.type not in (str, bool, float):
            raise TypeError(f"Unable to create serializer for {owner} member {name}: the bench does not know {hint}")
        self.default = getattr(owner, name, None if self.is_node else self.type())

    @property
    def type(self) -> type:
        return self.types[0]

    def read(self, node):
        if not node.HasParameter(self.name):  # after the scene was closed, say
            self.write(node, self.default)
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.type is bool else self.type(text)

    def write(self, node, value) -> None:
        self._check(value)
        if self.is_node:
            node.SetParameter(self.name, "")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(self.name, str(value))

    def _check(self, value) -> None:
        allowed = (int, float) if self.type is float else self.types
        if not isinstance(value, allowed) and not (self.is_node and value is None):
            raise TypeError(f"Value of {self.name} must be of type {self.types}, is {value!r}")
        for note in self.notes:
            note.validate(value)


# ---- widgets -------------------------------------------------------------------------------------------------------


class Link:
    """One parameter and the widget that shows it: how to read it, write it, and which signal tells of a change."""

    def __init__(self, widget, parameter: Parameter) -> None:
        self.widget, self.parameter = widget, parameter
        kind = next((k for k in LINKS if isinstance(widget, k)), None)
        if kind is None:
            raise RuntimeError(f"Unable to create GUI connector from {parameter.name} to {type(widget)}")
        self.attribute, self.signal = LINKS[kind]
        if kind is qMRMLNodeComboBox:
            # An instance is made for its name in Slicer too: an abstract class, as vtkMRMLNode is, fails in both.
            widget.nodeTypes = [node_type().GetClassName() for node_type in parameter.types]
        for limits in parameter.notes if kind is ctkSliderWidget else ():
            widget.setRange(limits.minimum, limits.maximum)

    def read(self):
        if self.attribute == "currentNode":
            return self.widget.currentNode()
        return getattr(self.widget, self.attribute)

    def write(self, value) -> None:
        if self.attribute == "currentNode":
            self.widget.setCurrentNode(value)
        elif getattr(self.widget, self.attribute) != value:
            setattr(self.widget, self.attribute, value)


LINKS = {
    qMRMLNodeComboBox: ("currentNode", "currentNodeChanged"),
    QtWidgets.QCheckBox: ("checked", "stateChanged"),
    QtWidgets.QDoubleSpinBox: ("value", "valueChanged"),
    ctkSliderWidget: ("value", "valueChanged"),
}


# ---- the wrapper ---------------------------------------------------------------------------------------------------


class ParameterNodeMethods:
    """What a wrapped class gets besides its own attributes."""

    allParameters: dict[str, Parameter]

    def __init__(self, parameterNode) -> None:
        self.parameterNode = parameterNode
        self._values: dict[str, object] = {}
        self._links: dict[int, tuple[dict[str, Link], dict[str, Callable], int]] = {}
        self._writing, self._showing = False, False
        for parameter in self.allParameters.values():
            if not parameterNode.HasParameter(parameter.name):
                parameter.write(parameterNode, parameter.default)
        self._read_all()
        self._tag = parameterNode.AddObserver(vtk.vtkCommand.ModifiedEvent, _weak(self, "_read_all"))

    def __del__(self) -> None:
        if "_tag" in self.__dict__:
            self.parameterNode.RemoveObserver(self._tag)

    def _read_all(self, *_event: object) -> None:
        if not self._writing:
            self._values = {name: p.read(self.parameterNode) for name, p in self.allParameters.items()}

    def getValue(self, name: str):
        return self._values[name]

    def setValue(self, name: str, value) -> None:
        self._writing = True
        try:
            with slicer.util.NodeModify(self.parameterNode):
                self.allParameters[name].write(self.parameterNode, value)
                self._values[name] = self.allParameters[name].read(self.parameterNode)
        finally:
            self._writing = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, was_modified):
        return self.parameterNode.EndModify(was_modified)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag) -> None:
        self.parameterNode.RemoveObserver(tag)

    def Modified(self) -> None:
        self.parameterNode.Modified()

    # -- the panel

    def connectGui(self, gui) -> int:
        widgets = gui.findChildren(QtWidgets.QWidget) if hasattr(gui, "findChildren") else vars(gui).values()
        names = {widget.property("SlicerParameterName"): widget for widget in widgets}
        return self.connectParametersToGui({name: widget for name, widget in names.items() if name})

    def connectParametersToGui(self, widgets: dict[str, object]) -> int:
        unknown = [name for name in widgets if name not in self.allParameters]
        if unknown:
            raise ValueError(f"Cannot find a param with the given name: {unknown[0]}")
        links = {name: Link(widget, self.allParameters[name]) for name, widget in widgets.items()}
        slots = {}
        for name, link in links.items():
            link.write(self.getValue(name))
            slots[name] = self._slot(name, link)
            getattr(link.widget, link.signal).connect(slots[name])
        gui_tag = len(self._links) and max(self._links) + 1
        self._links[gui_tag] = (links, slots, self.AddObserver(vtk.vtkCommand.ModifiedEvent, self._show))
        return gui_tag

    def _slot(self, name: str, link: Link) -> Callable[[], None]:
        def changed() -> None:
            with slicer.util.NodeModify(self):
                if not self._showing:
                    self.setValue(name, link.read())

        return changed

    def _show(self, *_event: object) -> None:
        if self._showing:
            return
        self._showing = True
        try:
            with slicer.util.NodeModify(self):
                for links, _slots, _tag in self._links.values():
                    for name, link in links.items():
                        link.write(self.getValue(name))
        finally:
            self._showing = False

    def disconnectGui(self, gui_tag: int | None) -> None:
        links, slots, tag = self._links.pop(gui_tag, ({}, {}, None))
        for name, link in links.items():
            getattr(link.widget, link.signal).disconnect(slots[name])
        if tag is not None:
            self.RemoveObserver(tag)


def _weak(thing: object, method: str) -> Callable:
    """A callback that does not keep the wrapper alive."""
    reference = weakref.ref(thing)

    def callback(*event: object) -> None:
        if reference() is not None:
            getattr(reference(), method)(*event)

    return callback


def parameterNodeWrapper(kind: type | None = None):
    """Class decorator: the annotated attributes of the class become parameters of a node."""
    if kind is None:
        return parameterNodeWrapper
    hints = typing.get_type_hints(kind, include_extras=True)
    parameters = {name: Parameter(kind, name, hint) for name, hint in hints.items()}
    for name in parameters:
        setattr(kind, name, _attribute(name))
    for name, member in vars(ParameterNodeMethods).items():
        if callable(member):
            if hasattr(kind, name) and name not in ("__init__",):
                raise ValueError(f"Cannot use reserved name '{name}' in a parameterNodeWrapper")
            setattr(kind, name, member)
    kind.allParameters = parameters
    kind.dataType = staticmethod(lambda name: hints[name])
    kind._is_parameter_node_wrapper = True
    return kind


def _attribute(name: str) -> property:
    return property(lambda self: self.getValue(name), lambda self, value: self.setValue(name, value))
