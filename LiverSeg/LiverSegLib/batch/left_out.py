"""What is told of all that lies in the input and is no case; patients' folders are named only where that is wanted."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path, PurePath

from .. import messages
from ..io.files import READABLE_SUFFIXES
from ..io.paths import below
from ..io.walk import Tree

# What macOS puts beside each file on foreign disks.
RESOURCE_FORK = "._"


def told_of_tree(tree: Tree, former: Collection[Path], root: Path) -> list[str]:
    """Of folders that cannot be read, hidden ones, and results of an earlier run."""
    told = [messages.FOLDER_NOT_READ.format(folder=below(path, root), reason=reason) for path, reason in tree.unread]
    hidden = [path for path in tree.hidden if os.path.isdir(path) or _is_hidden_image(path.name)]
    if hidden:
        told.append(messages.HIDDEN_LEFT_OUT.format(count=len(hidden)))
    if former:
        told.append(messages.FORMER_RESULTS_LEFT_OUT.format(count=len(former)))
    return told


def told_of_segmentations(segmentations: Mapping[Path, Path], root: Path) -> list[str]:
    """Of files that are by their names segmentations of others."""
    return [
        messages.LOOKS_LIKE_A_REFERENCE.format(path=below(path, root), ct=ct.name) for path, ct in segmentations.items()
    ]


def told_of_label_maps(paths: Sequence[Path], root: Path) -> list[str]:
    """Of label maps, of which a data set has thousands."""
    if not paths:
        return []
    return [messages.LABEL_MAPS_LEFT_OUT.format(count=len(paths), path=below(paths[0], root))]


def told_of_dead_links(paths: Sequence[Path], root: Path, patient_data: bool) -> list[str]:
    """Of links whose targets are gone, of folders say."""
    if not paths:
        return []
    where = f": {', '.join(below(path, root) for path in paths)}" if patient_data else ""
    return [messages.LINKS_TO_NOTHING.format(count=len(paths)) + where]


def told_of_dicom(left_out: Iterable[tuple[Path, str]], root: Path, patient_data: bool) -> list[str]:
    """One sentence for all DICOM files that were left out for the same reason; with places, for those of a folder."""
    reasons: dict[tuple[str, str], list[str]] = {}
    for path, reason in left_out:
        name = below(path, root)
        folder = PurePath(name).parent.as_posix() if patient_data else ""
        reasons.setdefault((folder, reason.replace(str(path), "").strip()), []).append(name)
    if not patient_data:
        return [
            messages.LEFT_OUT_DICOM.format(count=len(names), reason=reason) for (_, reason), names in reasons.items()
        ]
    return [
        messages.LEFT_OUT.format(path=names[0], reason=reason)
        if len(names) == 1
        else messages.LEFT_OUT_FILES.format(folder=folder, count=len(names), reason=reason)
        for (folder, reason), names in reasons.items()
    ]


def _is_hidden_image(name: str) -> bool:
    return not name.startswith(RESOURCE_FORK) and name.lower().endswith((*READABLE_SUFFIXES, ".dcm"))
