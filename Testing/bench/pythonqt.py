"""PythonQt's manners over PySide6: what ``import qt`` and ``import ctk`` give a module in Slicer.

Properties become attributes, signals are connected by name, attributes that Qt does not know are refused. The PySide6
classes themselves are changed, so that every object is affected, also those that Qt hands out, and changed back.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

import shiboken6
from PySide6 import QtCore, QtGui, QtWidgets

QT_MODULES = (QtWidgets, QtGui, QtCore)
# Virtual methods that are also properties: Qt looks for them in Python when it lays out a widget.
VIRTUAL = {"sizeHint", "minimumSizeHint", "spacing"}
_qt_connect, _qt_disconnect = QtCore.QObject.connect, QtCore.QObject.disconnect
_qt_get_attribute = QtCore.QObject.__getattribute__


class QtModule(types.ModuleType):
    """``qt``: all of QtWidgets, QtGui and QtCore under one name, with the replacements that are given."""

    def __init__(self, name: str, **replacements: object) -> None:
        super().__init__(name)
        self.__dict__.update(replacements)

    def __getattr__(self, name: str):
        for module in QT_MODULES:
            if hasattr(module, name):
                return getattr(module, name)
        raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'")


# ---- properties ------------------------------------------------------------------------------------------------------


class PropertyAttribute:
    """A Qt property that is read and written as an attribute; on the class, what was there before."""

    def __init__(self, qt_property: QtCore.QMetaProperty, original: object) -> None:
        self.qt_property, self.name, self.original = qt_property, qt_property.name(), original

    def __get__(self, thing, owner=None):
        if thing is None:
            return self.original
        if not shiboken6.isValid(thing):
            raise ValueError(f"Trying to read property '{self.name}' from a destroyed {owner.__name__} object")
        return thing.property(self.name)

    def __set__(self, thing, value) -> None:
        owner = type(thing).__name__
        if not shiboken6.isValid(thing):
            raise AttributeError(f"Trying to set property '{self.name}' on a destroyed {owner} object")
        if not self.qt_property.isWritable():
            raise AttributeError(f"Property '{self.name}' of {owner} object is not writable")
        if value is None or not self.qt_property.write(thing, value):
            raise AttributeError(f"Property '{self.name}' of {owner} does not accept {value!r}")


def _refuse_unknown_attributes(thing: QtCore.QObject, name: str, value: object) -> None:
    """PythonQt keeps Python attributes only on Python subclasses: elsewhere a misspelt property is an error."""
    kind = type(thing)
    member = _raw(kind, name)
    if hasattr(member, "__set__"):
        member.__set__(thing, value)
    elif isinstance(member, QtCore.Property):
        member.fset(thing, value)
    elif name.startswith("_") or not _is_qt_class(kind) or _is_pysides_own(thing, name, value):
        thing.__dict__[name] = value
    elif shiboken6.isValid(thing) and name.encode() in [bytes(n) for n in thing.dynamicPropertyNames()]:
        thing.setProperty(name, value)
    elif member is not None:
        raise AttributeError(f"'{name}' can not be overwritten on {kind.__name__} object")
    else:
        raise AttributeError(
            f"'{name}' does not exist on {kind.__name__} and creating new attributes on C++ objects is not allowed"
        )


def _is_pysides_own(thing: QtCore.QObject, name: str, value: object) -> bool:
    """What PySide6 keeps with a thing by itself: its signals, and the children that QUiLoader made."""
    return (isinstance(value, QtCore.QObject) and value.objectName == name) or isinstance(value, QtCore.SignalInstance)


def _raw(kind: type, name: str) -> object:
    return next((vars(base)[name] for base in kind.__mro__ if name in vars(base)), None)


def _is_qt_class(kind: type) -> bool:
    """Whether the class is one of C++ in Slicer: Qt's own and the bench's widgets."""
    return kind.__module__.startswith(("PySide6.", f"{__package__}.widgets"))


# ---- signals ---------------------------------------------------------------------------------------------------------


class Signal:
    """The signals of one name of a stand-in widget, with their C++ signatures; the name alone means the first."""

    def __init__(self, *signatures: str) -> None:
        self.signatures = signatures

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, thing, owner=None):
        return self if thing is None else BoundSignal(thing, self.name)


class QtSignal:
    """In the place of PySide6's signal in a class of Qt."""

    def __init__(self, name: str, original: object) -> None:
        self.name, self.original = name, original

    def __get__(self, thing, owner=None):
        return self.original if thing is None else BoundSignal(thing, self.name)


class BoundSignal:
    """``widget.clicked``: connected by its first signature, as PythonQt does; emitting calls the Qt signal itself."""

    def __init__(self, thing: QtCore.QObject, name: str) -> None:
        self.thing, self.name = thing, name

    def connect(self, slot: Callable) -> bool:
        return connect(self.thing, _signatures(self.thing, self.name)[0], slot)

    def disconnect(self, slot: Callable | None = None) -> bool:
        return disconnect(self.thing, _signatures(self.thing, self.name)[0], slot)

    def emit(self, *values: object) -> None:
        raw = _raw(type(self.thing), self.name)
        if isinstance(raw, QtSignal):
            raw.original.__get__(self.thing, type(self.thing)).emit(*values)
            self.thing.__dict__.pop(self.name, None)  # where PySide6 keeps it: it would hide this one
        elif not self.thing.signalsBlocked():
            for signature in raw.signatures:
                emit(self.thing, signature, *values)

    __call__ = emit


def emit(thing: QtCore.QObject, signature: str, *values: object) -> None:
    """Call what is connected to this very signature of a stand-in widget; a slot that raises is reported, not more."""
    for _signature, _slot, adapter in [c for c in _connections(thing) if c[0] == signature]:
        try:
            adapter(*values)
        except Exception:
            sys.excepthook(*sys.exc_info())


def _connections(thing: QtCore.QObject) -> list[tuple[str, Callable, Callable]]:
    return thing.__dict__.setdefault("_connections", [])


def _signatures(thing: QtCore.QObject, name: str) -> list[str]:
    raw = _raw(type(thing), name)
    if isinstance(raw, Signal):
        return list(raw.signatures)
    # Never thing.metaObject(): PySide6 would take the class's own away together with the thing.
    meta = type(thing).staticMetaObject
    methods = [meta.method(index) for index in range(meta.methodCount())]
    kind = QtCore.QMetaMethod.MethodType.Signal
    return [
        str(m.methodSignature(), "ascii")
        for m in methods
        if m.methodType() == kind and bytes(m.name()) == name.encode()
    ]


def connect(thing: QtCore.QObject, signature: str, slot, *slot_signature: str) -> bool:
    """``widget.connect("clicked(bool)", slot)``: False and a complaint where there is no such signal, no error."""
    if isinstance(signature, QtCore.QObject):  # PySide6 itself, in QTimer.singleShot
        return _qt_connect(signature, slot, *slot_signature)
    signature = str(QtCore.QMetaObject.normalizedSignature(signature), "ascii")
    name = signature.split("(")[0]
    if isinstance(slot, QtCore.QObject):
        slot = getattr(slot, slot_signature[0].split("(")[0])
    if signature not in _signatures(thing, name):
        # A bench that is running takes this down as an error: in Slicer it is a line in the console, easily missed.
        complaint = f"QObject::connect() signal '{signature}' does not exist on {type(thing).__name__}"
        sys.excepthook(LookupError, LookupError(complaint), None)
        return False
    count = _positional_count(slot)

    def adapter(*values):
        slot(*values[:count])

    if not isinstance(_raw(type(thing), name), Signal):
        _qt_connect(thing, QtCore.SIGNAL(signature), adapter)
    _connections(thing).append((signature, slot, adapter))
    return True


def disconnect(thing: QtCore.QObject, signature: str, slot: Callable | None = None) -> bool:
    signature = str(QtCore.QMetaObject.normalizedSignature(signature), "ascii")
    found = [c for c in _connections(thing) if c[0] == signature and slot in (None, c[1])]
    for connection in found[: None if slot is None else 1]:
        _connections(thing).remove(connection)
        if not isinstance(_raw(type(thing), signature.split("(")[0]), Signal):
            _qt_disconnect(thing, QtCore.SIGNAL(signature), connection[2])
    return bool(found)


def _positional_count(slot: Callable) -> int | None:
    """How many values PythonQt hands to a slot: as many as a function or method names, all of them to anything else."""
    function = getattr(slot, "__func__", slot)
    code = getattr(function, "__code__", None)
    if code is None or code.co_flags & 0x04:
        return None
    return code.co_argcount - (function is not slot)


# ---- on and off ------------------------------------------------------------------------------------------------------


def install() -> Callable[[], None]:
    """Give the classes of PySide6 PythonQt's manners; returns what takes them away again."""
    changes: list[tuple[type, str, object]] = []

    def change(kind: type, name: str, value: object) -> None:
        changes.append((kind, name, vars(kind).get(name)))
        setattr(kind, name, value)

    # PySide6 makes its classes when they are first asked for, so the names come from dir().
    kinds = [getattr(module, name) for module in QT_MODULES for name in dir(module)]
    for kind in [k for k in kinds if isinstance(k, type) and issubclass(k, QtCore.QObject)]:
        for name, member in list(vars(kind).items()):
            if isinstance(member, QtCore.Signal):
                change(kind, name, QtSignal(name, member))
        change(kind, "__setattr__", _refuse_unknown_attributes)
        meta = kind.staticMetaObject
        for index in range(meta.propertyOffset(), meta.propertyCount()):
            name = meta.property(index).name()
            if name not in VIRTUAL:
                change(kind, name, PropertyAttribute(meta.property(index), getattr(kind, name, None)))
    objects = QtCore.QObject
    change(objects, "name", PropertyAttribute(objects.staticMetaObject.property(0), None))
    change(objects, "className", lambda self: type(self).__name__)
    change(objects, "delete", lambda self: shiboken6.delete(self))
    # PySide6 looks for these two before it looks into the class.
    own = {"connect": connect, "disconnect": disconnect}
    change(
        objects,
        "__getattribute__",
        lambda self, name: types.MethodType(own[name], self) if name in own else _qt_get_attribute(self, name),
    )

    def uninstall() -> None:
        for kind, name, original in reversed(changes):
            if original is None:
                delattr(kind, name)
            else:
                setattr(kind, name, original)

    return uninstall
