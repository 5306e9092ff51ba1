"""The MRML scene: the application's own, or one that is made for slicer-core from PyPI."""

from __future__ import annotations

from itertools import chain, count
from types import SimpleNamespace

import slicer


def ensure_scene() -> slicer.vtkMRMLScene:
    """The MRML scene; outside the application the first call makes it, with the logics that slicer.util asks for."""
    if hasattr(slicer, "app"):
        return slicer.mrmlScene
    if getattr(slicer, "mrmlScene", None) is None:
        slicer.mrmlScene = slicer.vtkMRMLScene()
    if not hasattr(slicer, "modules"):
        slicer.modules = _core_modules(slicer.mrmlScene)
    return slicer.mrmlScene


def nodes_of_class(scene: slicer.vtkMRMLScene | None, kind: str) -> list[slicer.vtkMRMLNode]:
    """The scene's nodes of a class, oldest first; none where there is no scene, as of a deleted node."""
    if scene is None:
        return []
    return [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]


def remove_whole(node: slicer.vtkMRMLDisplayableNode) -> None:
    """Take a node out of its scene, and then what shows and stores it alone.

    In this order: Slicer's 3D views use the display nodes of a node until it is gone, and crash where they went first.
    Nothing happens to a node without scene, nor in a scene that is being closed, of which the views take no notice.
    """
    scene = node.GetScene()
    if scene is None or scene.IsClosing():
        return
    belongings = [node.GetNthDisplayNode(n) for n in range(node.GetNumberOfDisplayNodes())]
    belongings += [node.GetNthStorageNode(n) for n in range(node.GetNumberOfStorageNodes())]
    scene.RemoveNode(node)
    for belonging in filter(None, belongings):
        scene.RemoveNode(belonging)


def unique_name(scene: slicer.vtkMRMLScene, name: str) -> str:
    """The name if no node has it, else with a number behind it.

    Slicer's own GetUniqueNameByString takes another number each time that it is asked.
    """
    taken = {scene.GetNthNode(n).GetName() for n in range(scene.GetNumberOfNodes())}
    return next(unique for unique in chain([name], (f"{name}_{n}" for n in count(1))) if unique not in taken)


def _core_modules(scene: slicer.vtkMRMLScene) -> SimpleNamespace:
    """What slicer.modules offers in the application, as far as slicer.util and the nodes used here need it."""
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(scene)
    colours = application.GetColorLogic()
    colours.SetMRMLScene(scene)
    colours.AddDefaultColorNodes()
    logics = {
        "Colors": colours,
        "Segmentations": slicer.vtkSlicerSegmentationsModuleLogic(),
        "Sequences": slicer.vtkSlicerSequencesLogic(),
        "Volumes": slicer.vtkSlicerVolumesLogic(),
    }
    for name, logic in logics.items():
        logic.SetMRMLApplicationLogic(application)
        logic.SetMRMLScene(scene)
        application.SetModuleLogic(name, logic)
    modules = {name.lower(): SimpleNamespace(logic=lambda logic=logic: logic) for name, logic in logics.items()}
    # The logics hold no more than the application logic's address: this keeps it alive.
    return SimpleNamespace(_application=application, **modules)
