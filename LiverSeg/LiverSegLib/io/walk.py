"""The files of a folder tree, by one rule for whoever looks for something in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Tree:
    """What lies below a folder.

    ``files`` are in order, links that lead nowhere among them. ``hidden`` are the files and folders that were passed
    over because their names begin with a dot, ``unread`` the folders that the system does not show, with its reason.
    """

    files: list[Path] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)
    unread: list[tuple[Path, str]] = field(default_factory=list)


def walk(root: str | os.PathLike[str], apart: Iterable[str | os.PathLike[str]] = ()) -> Tree:
    """All files below a folder, hidden ones left out; links to folders are followed, each folder is entered once.

    Parameters
    ----------
    root
        The folder, which may itself be hidden or a link.
    apart
        Folders not to be looked into, by whatever link they are reached.
    """
    tree = Tree()
    # Links may lead round in a circle.
    entered = {os.path.realpath(folder) for folder in apart}

    def tell(error: OSError) -> None:
        tree.unread.append((Path(error.filename), error.strerror or str(error)))

    for here, folders, names in os.walk(root, onerror=tell, followlinks=True):
        place = os.path.realpath(here)
        if place in entered:
            folders.clear()
            continue
        entered.add(place)
        tree.hidden += [Path(here, name) for name in sorted(folders + names) if name.startswith(".")]
        tree.files += [Path(here, name) for name in sorted(names) if not name.startswith(".")]
        folders[:] = sorted(name for name in folders if not name.startswith("."))
    return tree
