"""Tensors out of a file that nobody vouches for: what it claims is held against its size before memory is taken."""

from __future__ import annotations

import io
import pickletools  # nosec B403 # lists the instructions of a pickle and follows none
from zipfile import ZipFile

import torch
from torch import Tensor

# What torch.save names for a dictionary of tensors. PyTorch's own list of what is harmless holds more, such as
# bytearray, which takes as much memory as a file asks for.
NAMES = {
    "collections OrderedDict",
    "torch._utils _rebuild_tensor_v2",
    "torch BFloat16Storage",
    "torch FloatStorage",
    "torch HalfStorage",
    "torch LongStorage",
}


def read_tensors(content: bytes) -> dict[str, Tensor]:
    """The tensors, by name, that ``torch.save`` wrote into a file with this content; nothing in it is run.

    Raises
    ------
    ValueError
        If the file claims to hold more than its own size, or anything but tensors.
    Exception
        Whatever else PyTorch or zipfile raise for a file that is none of torch.save's.
    """
    with ZipFile(io.BytesIO(content)) as archive:
        # torch.save compresses nothing, so parts larger than the file would unpack to whatever they like.
        if sum(part.file_size for part in archive.infolist()) > len(content):
            raise ValueError("the parts are larger than the file")
        for part in archive.infolist():
            if part.filename.endswith(".pkl"):
                _check_names(archive.read(part))
    tensors = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise ValueError("not a dictionary of tensors")
    return tensors


def _check_names(instructions: bytes) -> None:
    """Raise ValueError if they name anything that tensors do not need; they are read, not followed."""
    named = {str(argument) for code, argument, _ in pickletools.genops(instructions) if code.name == "GLOBAL"}
    if named - NAMES:
        raise ValueError(f"names {', '.join(sorted(named - NAMES))}")
