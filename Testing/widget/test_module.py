"""The module as Slicer sees it: what it says of itself, what it costs at start-up, and its self-tests."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import slicer
from PySide6 import QtWidgets

from LiverSegLib import messages, mrml
from Testing.bench import slicer_application
from Testing.widget.actions import nodes, segment, start
from Testing.widget.stand_in import StandIn, small_ct

ROOT = Path(__file__).parents[2]
MODULE_FOLDER = Path(os.environ.get("LIVERSEG_MODULE_FILE", ROOT / "LiverSeg" / "LiverSeg.py")).parent
PACKAGES = ("torch", "nibabel", "scipy", "SimpleITK", "PIL")


def test_slicer_is_told_what_the_module_is(application):
    application.load_module()
    parent = slicer.modules.liverseg
    assert parent.title == "Liver Segmentation" and parent.categories == ["Segmentation"]
    assert parent.dependencies == ["Segmentations", "Volumes", "Sequences"]
    assert "not for diagnosis" in parent.helpText and "Dice" in parent.helpText
    [page] = re.findall(r'href="https://[^"]+/blob/main/([^"]+)"', parent.helpText)
    assert (ROOT / page).is_file()
    assert "3D-IRCADb-01" in parent.acknowledgementText and "LiTS" in parent.acknowledgementText
    assert parent.contributors


def test_two_samples_are_offered_once_slicer_has_started(application):
    application.load_module()
    samples = {source["sampleName"]: source for source in application.sample_data_sources}
    assert set(samples) == {"CTLiver", "LiverPhantom"}
    assert {source["category"] for source in samples.values()} == {messages.SAMPLE_CATEGORY}
    assert Path(samples["LiverPhantom"]["thumbnailFileName"]).is_file()


def test_the_offline_sample_becomes_the_input_with_one_click(application, quick_panel):
    [download] = [s["customDownloader"] for s in application.sample_data_sources if "customDownloader" in s]
    download(None)
    application.process_events()
    assert quick_panel.ui.inputSelector.currentNode().GetName() == "LiverPhantom"
    assert quick_panel.ui.segmentButton.enabled


def test_loading_the_module_and_opening_its_panel_imports_nothing_that_is_to_be_installed():
    code = """
        import sys
        from Testing.bench import slicer_application

        def new():
            return sorted({name.split(".")[0] for name in set(sys.modules) - before})

        with slicer_application() as application:
            before = set(sys.modules)
            application.load_module()
            print(*new())
            application.open_panel()
            print(*new())
    """
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(MODULE_FOLDER)])},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded, opened = (set(line.split()) for line in done.stdout.splitlines())
    assert "LiverSeg" in loaded and not {*PACKAGES, "numpy"} & loaded
    assert "LiverSegLib" in opened and not {"torch", "nibabel", "SimpleITK"} & opened


def test_every_choice_of_the_panel_has_its_widget(application, panel):
    widgets = [widget for widget in vars(panel.ui).values() if widget.property("SlicerParameterName")]
    bound = {widget.property("SlicerParameterName") for widget in widgets}
    # Three lists and the segments to remove are filled by the panel itself.
    assert bound | {"device", "modality", "referenceSegment", "removedSegments"} == set(
        panel._parameterNode.allParameters
    )


def test_without_an_output_the_selector_says_that_a_new_one_is_made(application, panel, ct_node):
    selector = panel.ui.outputSelector
    assert selector.currentNode() is None
    assert selector.findChild(QtWidgets.QComboBox).currentText == messages.CREATE_NEW_SEGMENTATION


def test_only_what_can_be_a_reference_is_offered_as_one(application, panel, ct_node):
    application.scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Manual")
    application.scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "Labels")
    application.scene.AddNewNodeByClass("vtkMRMLModelNode", "Surface")
    selector = panel.ui.referenceSelector
    names = [selector.nodeFromIndex(index).GetName() for index in range(selector.nodeCount())]
    assert sorted(names) == ["Labels", "Manual"]


# ---- without a window ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("testing", [False, True])
def test_without_a_main_window_the_panel_opens_and_runs(testing):
    with slicer_application(main_window=False, testing=testing) as application:
        application.load_module()._bundledSegmenter = StandIn()
        panel = application.open_panel()
        mrml.volume_from_ct(small_ct()[0])
        assert segment(application, panel) is not None
        assert application.errors == [] and application.dialogs == []


def test_without_a_main_window_an_error_is_on_the_status_line_and_in_the_log(caplog):
    with slicer_application(main_window=False) as application:
        application.load_module()._bundledSegmenter = stand_in = StandIn()
        stand_in.error = RuntimeError("out of luck")
        panel = application.open_panel()
        mrml.volume_from_ct(small_ct()[0])
        segment(application, panel)
        assert "out of luck" in panel.ui.statusLabel.text and "out of luck" in caplog.text
        assert application.errors == []


# ---- gone ------------------------------------------------------------------------------------------------------------


def test_unloading_the_module_leaves_no_observer_and_no_timer(application, quick_panel, ct_node):
    runner, results = quick_panel._runner, quick_panel._results
    segment(application, quick_panel)
    application.unload_module()
    assert quick_panel.Observations == []
    assert not runner._timer.active and not results._timer.active
    application.scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "Another")
    application.close_scene()


def test_unloading_the_module_in_the_middle_of_a_run_ends_it(application, quick_panel, stand_in, ct_node):
    start(application, quick_panel, stand_in)
    application.unload_module()
    application.wait_until(lambda: not stand_in.waiting.is_set())
    assert nodes("Segmentation") == []


def test_a_panel_that_was_unloaded_is_not_kept_alive_by_its_timers(application, quick_panel, ct_node):
    timers = quick_panel._runner._timer, quick_panel._results._timer
    application.unload_module()
    for timer in timers:
        timer.timeout.emit()  # nobody listens any more
    assert [timer.__dict__.get("_connections") for timer in timers] == [[], []]


# ---- the self-tests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "main_window, testing, hidden, skipped",
    [(True, False, (), 0), (False, True, (), 0), (False, True, ("torch",), 1), (True, False, ("torch", "nibabel"), 1)],
    ids=["window", "testing without a window", "no PyTorch", "as Slicer comes"],
)
def test_the_self_tests_pass(caplog, main_window, testing, hidden, skipped):
    with slicer_application(main_window=main_window, testing=testing) as application:
        application.load_module()
        application.installer.hide(*hidden)
        with caplog.at_level(logging.INFO):
            slicer.selfTests["LiverSeg"]()
        told = [record.getMessage() for record in caplog.records if "skipped" in record.getMessage()]
        assert len(told) == skipped, told
        assert application.errors == [] and application.installer.calls == []
        assert application.dialogs == []
