"""Cards, and networks from files whose digest a card vouches for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

from .. import messages
from ..errors import ModelError, is_out_of_memory

if TYPE_CHECKING:
    from torch import nn

# Nothing that we ship is larger; a lying file is refused before it is read into memory.
LARGEST_FILE_BYTES = 20_000_000
LARGEST_CARD_BYTES = 1_000_000
# Kernels are stored in float16, all else in more.
LEAST_BYTES_OF_A_VALUE = 2


class Card(Protocol):
    """A dataclass of what a card says."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def check(self) -> None:
        """Raise ValueError or TypeError for what no network of ours can be."""


AnyCard = TypeVar("AnyCard", bound=Card)
Network = TypeVar("Network", bound="nn.Module")


def read_card(kind: type[AnyCard], path: Path, tuples: Sequence[str]) -> AnyCard:
    """Read a card from JSON; the fields named in ``tuples`` are lists there, what the card does not know is left out.

    Raises
    ------
    ModelError
        If the card is missing, is not JSON, lacks a field, or describes a network that cannot be.
    """
    try:
        if path.stat().st_size > LARGEST_CARD_BYTES:
            raise ValueError("it is larger than any of ours")
        content = json.loads(path.read_text(encoding="utf-8"))
        wanted = [field.name for field in fields(kind) if field.name in content or field.default is MISSING]
        values = {name: tuple(content[name]) if name in tuples else content[name] for name in wanted}
        card = kind(**values)
        card.check()
    except (OSError, LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ModelError(messages.BAD_MODEL_CARD.format(path=path, reason=reason)) from error
    return card


def load_network(path: Path, sha256: str, build: Callable[[], Network]) -> Network:
    """The network that ``build`` makes, with the weights of a file: in evaluation mode on the CPU, in float32.

    Raises
    ------
    ModelError
        If the file is missing or damaged, has another digest, or does not hold this network.
    """
    content = read_verified(path, sha256)
    try:
        from .weights import read_tensors

        weights = read_tensors(content)
        network = _without_values(build, len(content))
        # Takes the tensors themselves: memory made ready for a copy would cost as long as all the rest, since
        # PyTorch then imports its symbolic mathematics.
        network.load_state_dict(weights, assign=True)
    except Exception as error:  # whatever PyTorch raises for a file that is not ours
        if is_out_of_memory(error):
            raise
        raise ModelError(messages.WRONG_MODEL.format(path=path)) from error
    return network.float().eval()


def read_verified(path: Path, sha256: str) -> bytes:
    """A file's bytes, which have the digest that a card gives.

    Raises
    ------
    ModelError
        If the file is missing or has another digest.
    """
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ModelError(messages.MODEL_TOO_LARGE.format(path=path))
        content = path.read_bytes()
    except OSError as error:
        raise ModelError(messages.UNREADABLE_MODEL.format(path=path)) from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ModelError(messages.MODEL_UNLIKE_CARD.format(path=path))
    return content


def _without_values(build: Callable[[], Network], file_bytes: int) -> Network:
    """The network, to be given the tensors of a file of so many bytes.

    Raises
    ------
    ValueError
        If the file is too small for it; no memory has been taken by then.
    """
    import torch

    with torch.device("meta"):  # shapes without memory
        network = build()
    if sum(values.numel() for values in network.state_dict().values()) * LEAST_BYTES_OF_A_VALUE > file_bytes:
        raise ValueError("the card describes a larger network than the file holds")
    return network


def is_count(value: object) -> bool:
    """Whether this is a whole number above 0, as JSON may hold anything."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def require(fitting: Mapping[str, bool]) -> None:
    """Raise ValueError with the name of the first thing that does not fit."""
    for name, fits in fitting.items():
        if not fits:
            raise ValueError(f"{name} out of range")
