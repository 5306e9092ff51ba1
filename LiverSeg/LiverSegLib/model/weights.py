"""Tensors out of a file that nobody vouches for: PyTorch's own reader never sees it, and no pickle is followed.

``torch.save`` writes an archive: instructions that put a dictionary together, and the values of each tensor. The few
instructions that tensors need are carried out here, and can make nothing but dictionaries, tuples and tensors.
"""

from __future__ import annotations

import io
import math
import pickletools  # nosec B403 # lists the instructions of a pickle and follows none
from typing import Any
from zipfile import ZipFile

import torch
from torch import Tensor

DTYPES = {
    "torch BFloat16Storage": torch.bfloat16,
    "torch FloatStorage": torch.float32,
    "torch HalfStorage": torch.float16,
    "torch LongStorage": torch.int64,
}
# What else the instructions name: to put a tensor together, and an empty dictionary.
TENSOR, DICTIONARY = "torch._utils _rebuild_tensor_v2", "collections OrderedDict"

ARCHIVE = b"PK\x03\x04"
INSTRUCTIONS = "data.pkl"
_CONSTANTS = {"EMPTY_TUPLE": (), "NEWFALSE": False, "NEWTRUE": True, "NONE": None}


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors, by name, that ``torch.save`` wrote into a file with this content; nothing in it is run.

    Raises
    ------
    ValueError
        If the file claims to hold more than its own size, or anything but tensors.
    Exception
        Whatever else the file's instructions or zipfile raise for a file that is none of torch.save's.
    """
    if not content.startswith(ARCHIVE):
        raise ValueError("no archive")
    with ZipFile(io.BytesIO(content)) as archive:
        # torch.save compresses nothing, so parts larger than the file would unpack to whatever they like.
        if sum(part.file_size for part in archive.infolist()) > len(content):
            raise ValueError("the parts are larger than the file")
        (instructions,) = [name for name in archive.namelist() if name.endswith(f"/{INSTRUCTIONS}")]
        tensors = _Reader(archive, instructions.removesuffix(INSTRUCTIONS)).read()
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError("not a dictionary of tensors")
    return tensors


class _Reader:
    """Carries out the instructions in one folder of an archive."""

    def __init__(self, archive: ZipFile, folder: str) -> None:
        self._archive, self._folder = archive, folder
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._parts: dict[str, bytearray] = {}

    def read(self) -> Any:
        for code, argument, _ in pickletools.genops(self._archive.read(self._folder + INSTRUCTIONS)):
            self._follow(code.name, argument)
        return self._stack.pop()

    def _follow(self, name: str, argument: Any) -> None:
        stack = self._stack
        match name:
            case "PROTO" | "STOP":
                pass
            case "BINUNICODE" | "BININT" | "BININT1" | "BININT2" | "LONG1" | "GLOBAL":
                stack.append(argument)
            case "EMPTY_TUPLE" | "NEWFALSE" | "NEWTRUE" | "NONE":
                stack.append(_CONSTANTS[name])
            case "MARK":
                self._marks.append(len(stack))
            case "EMPTY_DICT":
                stack.append({})
            case "TUPLE":
                stack.append(tuple(self._since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack[-int(name[-1]) :] = [tuple(stack[-int(name[-1]) :])]
            case "BINPUT" | "LONG_BINPUT":
                self._memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self._memo[argument])
            case "SETITEM":
                key, value = stack.pop(-2), stack.pop()
                stack[-1].update({key: value})
            case "SETITEMS":
                entries = self._since_mark()
                stack[-1].update(zip(entries[::2], entries[1::2], strict=True))
            case "BUILD":  # what a dictionary of a network says of itself besides
                stack.pop()
            case "BINPERSID":
                stack.append(self._values(*stack.pop()))
            case "REDUCE":
                arguments = stack.pop()
                stack.append(_made(stack.pop(), arguments))
            case _:
                raise ValueError(name)

    def _since_mark(self) -> list[Any]:
        at = self._marks.pop()
        items = self._stack[at:]
        del self._stack[at:]
        return items

    def _values(self, _: str, kind: str, key: str, __: str, count: int) -> Tensor:
        """All the values, in one row, of a part of the archive; tensors may share them."""
        if key not in self._parts:
            self._parts[key] = bytearray(self._archive.read(f"{self._folder}data/{key}"))
        values = torch.frombuffer(self._parts[key], dtype=DTYPES[kind])
        if len(values) != count:
            raise ValueError("a part is not of the size that the instructions say")
        return values


def _made(name: str, arguments: tuple[Any, ...]) -> Any:
    if name == DICTIONARY and not arguments:
        return {}
    if name != TENSOR:
        raise ValueError(f"names {name}")
    values, offset, size, stride = arguments[:4]
    if math.prod(size) > len(values):
        raise ValueError("a tensor is larger than its values")
    return values.as_strided(size, stride, offset)
