"""Nodes to files."""

from __future__ import annotations

import os

import slicer

from .. import messages
from ..errors import OutputError
from ..io.atomic import replacing


def save_node(node: slicer.vtkMRMLStorableNode, path: str | os.PathLike[str]) -> None:
    """Write a volume (.nii.gz, .nrrd) or a segmentation (.seg.nrrd) as Slicer does; a crash leaves the old file whole.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    storage = node.CreateDefaultStorageNode()
    with replacing(path) as temporary:
        storage.SetFileName(str(temporary))
        if not storage.WriteData(node):
            raise OutputError(messages.NOT_WRITTEN.format(path=path))
