"""LiverSeg.py as Slicer sees it, and its self-test run here."""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType, SimpleNamespace

import LiverSeg

MODULE_FILE = Path(LiverSeg.__file__)


def application_classes() -> ModuleType:
    """The part of Slicer's own ScriptedLoadableModule.py that the module builds on."""

    class Module:
        def __init__(self, parent):
            self.parent = parent

    class Logic:
        def __init__(self, parent=None):
            self.parent = parent

    stub = ModuleType("slicer.ScriptedLoadableModule")
    stub.ScriptedLoadableModule, stub.ScriptedLoadableModuleLogic = Module, Logic
    stub.ScriptedLoadableModuleTest = LiverSeg.unittest.TestCase
    return stub


def test_the_module_introduces_itself_through_the_classes_of_the_application(monkeypatch):
    translations = ModuleType("slicer.i18n")
    translations.tr = str.upper
    translations.translate = lambda context, text: f"{context}: {text}"
    monkeypatch.setitem(sys.modules, "slicer.i18n", translations)
    monkeypatch.setitem(sys.modules, "slicer.ScriptedLoadableModule", application_classes())
    spec = spec_from_file_location("LiverSegInSlicer", MODULE_FILE)
    in_slicer = module_from_spec(spec)
    spec.loader.exec_module(in_slicer)

    parent = SimpleNamespace()
    assert in_slicer.LiverSeg(parent).parent is parent
    assert parent.title == "LIVER SEGMENTATION"
    assert parent.categories == ["qSlicerAbstractCoreModule: Segmentation"]
    assert parent.contributors and "RESEARCH" in parent.helpText and "3D-IRCADB" in parent.acknowledgementText
    assert in_slicer.LiverSegLogic().parent is None


class TestSelfTest(LiverSeg.LiverSegTest):
    """What Slicer's Self Tests module runs: the bundled network on the phantom."""
