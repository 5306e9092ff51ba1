"""The classes that a network tells apart, their order, and the regions that its loss is made of: a JSON file."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

BACKGROUND = "background"


@dataclass(frozen=True)
class Region:
    """Classes that one term of the loss sets against all others, and what it counts."""

    classes: tuple[str, ...]
    weight: float


@dataclass(frozen=True)
class Classes:
    """What a file such as ``liver.json`` says.

    Parameters
    ----------
    names
        Of the output channels, in order.
    part_of
        What a class belongs to where a scan does not label it, as a tumour to the liver; all others to the background.
    regions
        The terms of the loss.
    """

    names: tuple[str, ...]
    part_of: dict[str, str]
    regions: tuple[Region, ...]

    @classmethod
    def read(cls, path: Path | str) -> Classes:
        """Read a file of classes; a name without a folder is one beside this module.

        Raises
        ------
        ValueError
            If there is none, or it names a class that it does not list.
        """
        path = Path(path)
        path = path if path.parent.name else Path(__file__).with_name(path.name)
        if not path.is_file():
            raise ValueError(f"There is no file of classes {path}.")
        content = json.loads(path.read_text(encoding="utf-8"))
        regions = tuple(Region(tuple(one["classes"]), one["weight"]) for one in content["regions"])
        classes = cls(tuple(content["classes"]), content["part_of"], regions)
        named = {*classes.part_of, *classes.part_of.values(), *(name for one in regions for name in one.classes)}
        if not named <= set(classes.names):
            raise ValueError(f"{path} does not list {', '.join(sorted(named - set(classes.names)))}.")
        return classes

    def whole(self, name: str) -> str:
        """What a class belongs to where it is not labelled."""
        return self.part_of.get(name, BACKGROUND)

    @cached_property
    def members(self) -> Tensor:
        """Which classes each region has: float (region, class) of 0 and 1."""
        return torch.tensor([[float(name in one.classes) for name in self.names] for one in self.regions])

    def labelled_regions(self, labelled: Collection[str]) -> tuple[bool, ...]:
        """For each region, whether a scan in which these classes are labelled shows where it ends.

        It does not where it parts an unlabelled class from what that belongs to.
        """
        hidden = [name for name in self.names if name not in labelled and name != BACKGROUND]
        return tuple(
            all((name in one.classes) == (self.whole(name) in one.classes) for name in hidden) for one in self.regions
        )

    def mask(self, labels: Tensor, *names: str) -> Tensor:
        """Where labels are of one of these classes, bool, the same shape."""
        wanted = [self.names.index(name) for name in names if name in self.names]
        return torch.isin(labels, torch.tensor(wanted, dtype=labels.dtype, device=labels.device))

    def liver(self, labels: Tensor) -> Tensor:
        """Where labels are of the liver, its tumours included."""
        return self.mask(labels, "liver", "tumour")

    def translation(self, stored: list[str]) -> Tensor:
        """Labels of a scan, whose names are ``stored``, as ours: uint8, to be indexed by label.

        What this network does not tell apart belongs to the whole.
        """
        return torch.tensor(
            [self.names.index(name if name in self.names else self.whole(name)) for name in stored], dtype=torch.uint8
        )
