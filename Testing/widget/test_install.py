"""The first run on a Slicer without the packages: one question, and a panel that works whatever the answer."""

from __future__ import annotations

import sys
import threading

import pytest

from LiverSegLib import messages, mrml
from Testing.bench import slicer_application
from Testing.mrml.snapshot import snapshot
from Testing.widget.actions import add_reference, choose_reference, nodes, open_advanced, segment, wait_for_the_end
from Testing.widget.computers import BrokenTorch
from Testing.widget.stand_in import StandIn, small_ct


def kinds(application) -> list[str]:
    return [dialog.kind for dialog in application.dialogs]


def assert_one_sentence(application, panel, sentence):
    [error] = [dialog.text for dialog in application.dialogs if dialog.kind == "error"]
    assert sentence in error and panel.ui.statusLabel.text == error and "\n" not in error


def test_opening_the_panel_asks_nothing(application):
    application.installer.hide("torch", "nibabel")
    application.load_module()
    panel = application.open_panel()
    assert panel.ui.statusLabel.text == messages.NO_VOLUME_HINT and application.dialogs == []


def test_a_yes_installs_what_is_missing_and_the_run_goes_on(application, quick_panel, ct_node, monkeypatch):
    """Each from whom it has to come, and on the main thread: from another, installing crashes Slicer on macOS."""
    threads, install = [], application.installer.install

    def noted(*arguments, **options):
        threads.append(threading.current_thread())
        return install(*arguments, **options)

    monkeypatch.setattr(application.installer, "install", noted)
    application.installer.hide("torch", "nibabel")
    assert segment(application, quick_panel) is not None
    assert kinds(application) == ["question"] and threads == [threading.main_thread()] * 2
    assert sorted(application.installer.calls) == [("installTorch", ["torch>=2.4"]), ("pip_ensure", ["nibabel>=5.2"])]
    segment(application, quick_panel)
    assert kinds(application) == ["question"]


def test_a_no_leaves_a_working_panel_and_names_the_next_step(application, quick_panel, ct_node):
    application.installer.hide("torch")
    application.answer_with(False)
    before = snapshot(application.scene)
    segment(application, quick_panel)
    assert kinds(application) == ["question"] and application.installer.calls == []
    assert "click Segment Liver again" in quick_panel.ui.statusLabel.text
    assert snapshot(application.scene) == before and quick_panel.ui.segmentButton.text == messages.SEGMENT_LIVER


def test_the_question_comes_again_with_the_next_click_only(application, quick_panel, ct_node):
    application.installer.hide("torch")
    application.answer_with(False, True)
    segment(application, quick_panel)
    open_advanced(application, quick_panel)
    application.leave_panel()
    application.open_panel()
    assert kinds(application).count("question") == 1
    assert segment(application, quick_panel) is not None
    assert kinds(application).count("question") == 2


def test_an_installation_that_fails_leaves_a_working_panel(application, quick_panel, ct_node):
    application.installer.hide("nibabel")
    application.installer.pip_fails()
    before = snapshot(application.scene)
    segment(application, quick_panel)
    assert_one_sentence(application, quick_panel, "check the internet connection")
    assert snapshot(application.scene) == before
    application.installer.error = None
    assert segment(application, quick_panel) is not None


def test_a_pytorch_that_is_broken_is_told_by_the_run_and_by_the_list_of_devices(
    application, panel, ct_node, monkeypatch
):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [BrokenTorch(), *sys.meta_path])
    segment(application, panel)
    open_advanced(application, panel)
    errors = [dialog.text for dialog in application.dialogs]
    assert len(errors) == 2 and all("does not load (libcudart" in error for error in errors)
    assert "uninstall PyTorch, restart Slicer" in errors[0]
    assert panel.ui.deviceSelector.findText("cpu") > 0 and nodes("Segmentation") == []


def test_in_testing_mode_missing_packages_are_an_error_and_nothing_is_asked():
    with slicer_application(testing=True) as application:
        application.load_module()._bundledSegmenter = StandIn()
        panel = application.open_panel()
        mrml.volume_from_ct(small_ct()[0])
        application.installer.hide("torch")
        before = snapshot(application.scene)
        segment(application, panel)
        assert panel.ui.statusLabel.text == messages.PACKAGES_MISSING.format(packages="PyTorch")
        assert application.dialogs == [] and application.installer.calls == []
        assert snapshot(application.scene) == before and application.errors == []


@pytest.mark.parametrize("what", ["left", "closed"])
def test_a_panel_that_is_left_while_pip_runs_starts_nothing(application, quick_panel, stand_in, ct_node, what):
    install = application.installer.install

    def slow(*arguments, **options):
        # While pip runs, Slicer handles what the user does.
        application.leave_panel() if what == "left" else application.close_scene()
        install(*arguments, **options)

    application.installer.hide("nibabel")
    application.installer.install = slow
    application.click(quick_panel.ui.segmentButton)
    assert not quick_panel._runner.running
    assert stand_in.calls == [] and nodes("Segmentation") == [] and kinds(application) == ["question"]


def test_a_second_click_while_pip_runs_is_told_to_wait(application, quick_panel, ct_node):
    install = application.installer.install

    def slow(*arguments, **options):
        application.click(quick_panel.ui.segmentButton)
        install(*arguments, **options)

    application.installer.hide("nibabel")
    application.installer.install = slow
    application.click(quick_panel.ui.segmentButton)
    wait_for_the_end(application, quick_panel)
    assert messages.INSTALL_RUNNING in [dialog.text for dialog in application.dialogs]
    assert len(application.installer.calls) == 1 and len(nodes("Segmentation")) == 1


def test_a_scene_with_a_result_and_a_reference_asks_nothing_where_packages_are_missing(
    application, quick_panel, ct_node, tmp_path
):
    segment(application, quick_panel)
    choose_reference(application, quick_panel, add_reference(application.scene, Liver=small_ct()[1]))
    wait_for_the_end(application, quick_panel)
    saved = application.save_scene(tmp_path / "scene.mrb")
    application.installer.hide("torch", "nibabel")
    application.load_scene(saved)
    assert quick_panel.ui.liverVolumeLabel.text != "–" and quick_panel.ui.diceLabel.text == "–"
    assert application.dialogs == [] and not quick_panel._runner.running
