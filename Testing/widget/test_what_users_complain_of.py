"""What users of other AI modules for Slicer complain of, row by row of our survey, and what happens here instead.

The numbers are those of shared/reference/slicer-extension-survey.md, section 2. Each docstring says in our words what
the complaint was, and where it was made. Two rows are no promise of ours: Couinaud segments and remote GPUs.
"""

from __future__ import annotations

import logging
import os
import shutil
import socket
import subprocess
import sys
import threading
from itertools import permutations, product
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import slicer
import slicer.util
import vtk
from PySide6 import QtCore

from LiverSegLib import messages, mrml
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.data.volume import CTVolume
from Testing.bench import slicer_application
from Testing.mrml.snapshot import snapshot
from Testing.mrml.transforms import TRANSFORMS, add_transform, oblique
from Testing.widget.actions import choose_reference
from Testing.widget.computers import BrokenTorch, Cramped, a_full_disk, segmenter_on_a_gpu
from Testing.widget.stand_in import StandIn, small_ct

ROOT = Path(__file__).parents[2]
MODULE_FILE = Path(os.environ.get("LIVERSEG_MODULE_FILE", ROOT / "LiverSeg" / "LiverSeg.py"))
ALL_ORIENTATIONS = [(order, flips) for order in permutations(range(3)) for flips in product((1, -1), repeat=3)]


@pytest.fixture(scope="module")
def network():
    """The bundled network on the CPU, loaded once; the factory of every run."""
    from LiverSegLib.inference.segmenter import Segmenter

    segmenter = Segmenter(device="cpu")
    return lambda device: segmenter


@pytest.fixture
def network_panel(application, network):
    """The panel with the bundled network, ready at once."""
    application.load_module()._bundledSegmenter = network
    return application.open_panel()


def segment(application, panel) -> slicer.vtkMRMLSegmentationNode:
    """Click, wait, and give what came out of it."""
    application.click(panel.ui.segmentButton)
    application.wait_until(lambda: not panel._runner.running, 60)
    return panel._parameterNode.outputSegmentation


def errors(application) -> list[str]:
    return [dialog.text for dialog in application.dialogs if dialog.kind == "error"]


def python(code: str, **environment: str) -> subprocess.CompletedProcess:
    """Run code in a Python of its own, in which nothing of ours is loaded yet."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(MODULE_FILE.parent)]), **environment}
    command = [sys.executable, "-c", dedent(code)]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300)


# ---- 1 ---------------------------------------------------------------------------------------------------------------


def test_1_pytorch_comes_through_the_pytorch_extension_alone(application, quick_panel, ct_node):
    """Installing PyTorch breaks Slicer, or brings a version 1.

    https://github.com/Slicer/light-the-torch/issues/176 https://github.com/fepegar/SlicerPyTorch/issues/9
    """
    application.installer.hide("torch", "nibabel")
    assert segment(application, quick_panel) is not None
    [question] = application.dialogs
    assert question.kind == "question" and "PyTorch" in question.text
    by_whom = {requirement.split(">")[0]: (who, requirement) for who, [requirement] in application.installer.calls}
    assert by_whom == {"nibabel": ("pip_ensure", "nibabel>=5.2"), "torch": ("installTorch", "torch>=2.4")}


def test_1_without_the_pytorch_extension_pip_installs_no_pytorch():
    """A PyTorch that pip chose has no GPU.

    https://github.com/MuscleMap/MuscleMap/issues/72
    """
    with slicer_application(torch_extension=False) as application:
        application.load_module()._bundledSegmenter = StandIn()
        panel = application.open_panel()
        mrml.volume_from_ct(small_ct()[0])
        application.installer.hide("torch")
        before = snapshot(application.scene)
        application.click(panel.ui.segmentButton)
        assert errors(application) == [messages.INSTALL_NEEDS_EXTENSION]
        assert application.installer.calls == [] and snapshot(application.scene) == before


@pytest.mark.parametrize("what", ["declined", "failed"])
def test_1_an_installation_that_comes_to_nothing_leaves_a_working_panel(application, quick_panel, ct_node, what):
    """After an installation that failed, the module needed a new Slicer.

    https://github.com/bowang-lab/MedSAMSlicer/issues/14
    """
    application.installer.hide("torch")
    if what == "declined":
        application.answer_with(False)
    else:
        application.installer.pip_fails()
    before = snapshot(application.scene)
    application.click(quick_panel.ui.segmentButton)
    sentence = quick_panel.ui.statusLabel.text
    assert sentence.startswith("PyTorch: ") and "again" in sentence and snapshot(application.scene) == before
    # Nobody has to click away a box that repeats their own answer.
    boxes = [] if what == "declined" else [sentence]
    assert errors(application) == boxes
    application.answer_with(True)
    application.installer.error = None
    assert segment(application, quick_panel) is not None
    assert errors(application) == boxes


# ---- 2, 3: the GPU ---------------------------------------------------------------------------------------------------


@pytest.fixture
def a_gpu(monkeypatch):
    """PyTorch sees a GPU; the test says whether a kernel runs on it."""
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)


def test_2_a_gpu_that_works_is_chosen_by_itself_and_offered_by_name(application, panel, a_gpu, monkeypatch):
    """There is a GPU, but the module computes on the CPU.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/50 https://github.com/wasserth/TotalSegmentator/issues/43
    """
    from LiverSegLib.model.devices import choose_device

    monkeypatch.setattr("LiverSegLib.model.devices._kernel_failure", lambda device: None)
    assert str(choose_device("auto")[0]) == "cuda:0"
    application.click(panel.ui.advancedSection)
    application.wait_until(lambda: panel.ui.deviceSelector.findText("cuda:0") > 0)


def test_2_pytorch_for_cuda_without_a_gpu_computes_on_the_cpu_and_says_so(application, a_phantom, a_gpu):
    """A PyTorch built for CUDA raises on a computer without such a device.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/14
    """
    # The first kernel raises "Torch not compiled with CUDA enabled" or "no NVIDIA driver": what PyTorch really does.
    check_gpu_is_replaced(application, a_phantom, "GPU cuda:0 is there but cannot run the network")


def test_3_a_gpu_without_kernels_in_this_pytorch_is_replaced_by_the_cpu(application, a_phantom, a_gpu, monkeypatch):
    """New GPU: PyTorch calls it available, then "no kernel image" in the middle of the work.

    https://github.com/fepegar/SlicerPyTorch/pull/20 https://github.com/coendevente/SlicerNNInteractive/issues/58
    """
    import torch

    ones = torch.ones

    def no_kernel(*size, device=None, **options):
        if torch.device(device or "cpu").type == "cuda":
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore lines")
        return ones(*size, **options)

    monkeypatch.setattr(torch, "ones", no_kernel)
    check_gpu_is_replaced(application, a_phantom, "no kernel image is available")


def check_gpu_is_replaced(application, a_phantom, reason):
    """A run gives a result of the CPU with a warning; the GPU is not offered."""
    from LiverSegLib.inference.segmenter import Segmenter

    application.load_module()._bundledSegmenter = lambda device: Segmenter(device=device)
    panel = application.open_panel()
    mrml.volume_from_ct(a_phantom.ct)
    output = segment(application, panel)
    assert mrml.stored_report(output)["device"] == "cpu" and panel.ui.timeLabel.text.endswith("on cpu")
    assert reason in panel.ui.warningsLabel.text and panel.ui.warningsLabel.visible
    assert "Install a PyTorch build that supports this GPU" in panel.ui.warningsLabel.text
    application.click(panel.ui.advancedSection)
    application.wait_until(lambda: not panel._runner.running)
    assert panel.ui.deviceSelector.findText("cpu") > 0 and panel.ui.deviceSelector.findText("cuda:0") < 0
    assert errors(application) == []


# ---- 4, 5: memory ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("room, device, warning", [(3, "cuda:0", ""), (0, "cpu", "too little free memory")])
def test_4_too_little_memory_on_the_gpu_costs_time_and_not_the_result(
    application, a_phantom, monkeypatch, room, device, warning
):
    """CUDA runs out of memory on cards of 4 to 8 GB.

    https://github.com/gaudot/SlicerDentalSegmentator/issues/34
    https://github.com/wasserth/TotalSegmentator/issues/157
    """
    import torch

    error = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore lines")
    make = segmenter_on_a_gpu(monkeypatch, lambda network: Cramped(network, room, error))
    application.load_module()._bundledSegmenter = make
    panel = application.open_panel()
    mrml.volume_from_ct(a_phantom.ct)
    output = segment(application, panel)
    assert mrml.stored_report(output)["device"] == device
    assert warning in panel.ui.warningsLabel.text and errors(application) == []


def test_5_too_little_ram_is_a_sentence_and_the_next_run_works(application, a_phantom):
    """Main memory runs out: the run hangs, or its processes are killed and nobody says why.

    https://github.com/gaudot/SlicerDentalSegmentator/issues/41 https://github.com/lassoan/SlicerMONAIAuto3DSeg/issues/56
    """
    from LiverSegLib.inference.segmenter import Segmenter

    segmenter = Segmenter(device="cpu")
    segmenter.predictor.network = cramped = Cramped(segmenter.predictor.network, 0, MemoryError())
    application.load_module()._bundledSegmenter = lambda device: segmenter
    panel = application.open_panel()
    mrml.volume_from_ct(a_phantom.ct)
    before = snapshot(application.scene)
    assert segment(application, panel) is None
    assert errors(application) == [messages.OUT_OF_MEMORY] and "crop it" in messages.OUT_OF_MEMORY
    assert snapshot(application.scene) == before
    cramped.room = 2
    assert segment(application, panel) is not None and max(cramped.batches) == 2


# ---- 6 ---------------------------------------------------------------------------------------------------------------


def test_6_the_cpu_can_be_forced(application, quick_panel, stand_in, ct_node, a_gpu, monkeypatch):
    """Let me choose the CPU although there is a GPU.

    https://github.com/wasserth/TotalSegmentator/issues/37 https://github.com/wasserth/TotalSegmentator/issues/139
    """
    from LiverSegLib.model.devices import choose_device

    monkeypatch.setattr("LiverSegLib.model.devices._kernel_failure", lambda device: None)
    application.click(quick_panel.ui.advancedSection)
    application.wait_until(lambda: not quick_panel._runner.running)
    application.choose(quick_panel.ui.deviceSelector, "cpu")
    segment(application, quick_panel)
    assert stand_in.devices == ["cpu"] and str(choose_device("cpu")[0]) == "cpu"


# ---- 7 ---------------------------------------------------------------------------------------------------------------


def test_7_the_window_lives_shows_progress_and_cancels(application, quick_panel, stand_in, ct_node):
    """Slicer is frozen while it segments, shows no progress, and cannot be stopped.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/10
    """
    ticks, timer = [], QtCore.QTimer()
    timer.connect("timeout()", lambda: ticks.append(1))
    timer.start(10)
    before = snapshot(application.scene)
    stand_in.hold()
    application.click(quick_panel.ui.segmentButton)
    application.wait_until(stand_in.waiting.is_set)
    application.wait_until(lambda: len(ticks) > 20)
    application.wait_until(lambda: quick_panel.ui.progressBar.value > 0)
    assert quick_panel.ui.progressBar.visible and "Finding the liver" in quick_panel.ui.statusLabel.text
    assert quick_panel.ui.segmentButton.text == messages.CANCEL and stand_in.waiting.is_set()
    application.click(quick_panel.ui.segmentButton)
    timer.stop()
    assert quick_panel.ui.statusLabel.text == messages.CANCELLED
    assert snapshot(application.scene) == before
    application.wait_until(lambda: not stand_in.waiting.is_set())


# ---- 8, 9 ------------------------------------------------------------------------------------------------------------


def test_8_nothing_that_slicer_brings_is_installed_or_pinned(application, quick_panel, ct_node):
    """An extension replaces Slicer's own packages, or those of another extension.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/4 https://github.com/Slicer/Slicer/issues/6711
    https://github.com/Slicer/Slicer/issues/7171 https://github.com/R-Vessel-X/SlicerRVXLiverSegmentation/issues/17
    """
    from packaging.requirements import Requirement

    application.installer.hide("torch", "nibabel")
    segment(application, quick_panel)
    listed = (MODULE_FILE.parent / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    asked = [requirement for _who, requirements in application.installer.calls for requirement in requirements]
    wanted = [Requirement(line) for line in [*asked, *listed] if line.strip() and not line.startswith("#")]
    assert {requirement.name for requirement in wanted} == {"torch", "nibabel"}
    assert {specifier.operator for requirement in wanted for specifier in requirement.specifier} == {">="}


def test_9_the_module_loads_opens_and_installs_on_a_slicer_without_any_of_its_packages():
    """The module does not load, since its file imports what Slicer does not bring.

    https://github.com/Slicer/ExtensionsIndex/pull/2083 https://github.com/Slicer/ExtensionsIndex/pull/2113
    https://github.com/fepegar/SlicerTorchIO/issues/10
    """
    said = python(
        """
        import sys
        from Testing.bench import slicer_application

        with slicer_application() as application:
            application.installer.hide("torch", "nibabel", "scipy", "SimpleITK", "PIL")
            before = set(sys.modules)
            application.load_module()
            loaded = {name.split(".")[0] for name in set(sys.modules) - before}
            assert not loaded & {"torch", "nibabel", "scipy", "SimpleITK", "PIL"}, loaded
            application.installer._reveal({"scipy", "SimpleITK", "PIL"})
            panel = application.open_panel()
            assert panel.ui.segmentButton.text == "Segment Liver"
            assert not {"torch", "nibabel"} & set(sys.modules)

            from LiverSegLib import mrml
            from Testing.widget.stand_in import small_ct

            mrml.volume_from_ct(small_ct()[0])
            application.answer_with(False, True)
            for _ in range(2):
                application.click(panel.ui.segmentButton)
                application.wait_until(lambda: not panel._runner.running, 60)
            assert [dialog.kind for dialog in application.dialogs] == ["question", "question"]
            assert panel._parameterNode.outputSegmentation is not None and application.errors == []
        """
    )
    assert said.returncode == 0, said.stderr


# ---- 10 --------------------------------------------------------------------------------------------------------------


def test_10_a_run_opens_no_connection_and_the_weights_are_there(application, panel, a_phantom, monkeypatch):
    """Behind a firewall the weights do not come, or have to be fetched by hand.

    https://github.com/KitwareMedical/SlicerNNUnet/issues/16
    https://github.com/coendevente/SlicerNNInteractive/issues/25
    https://github.com/gaudot/SlicerDentalSegmentator/issues/24
    """

    def no_network(*arguments, **options):
        raise OSError("Network is unreachable")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, no_network)
    mrml.volume_from_ct(a_phantom.ct)
    assert segment(application, panel) is not None
    assert errors(application) == []
    assert (MODULE_FILE.parent / "Resources" / "Models" / "liver_unet.pt").stat().st_size > 1e6


# ---- 11 --------------------------------------------------------------------------------------------------------------


def turned(ct: CTVolume, order: tuple[int, ...], flips: tuple[int, ...]) -> CTVolume:
    """The same patient stored with other axes: (k, j, i) in another order, and some of them backwards."""
    flip = tuple(slice(None, None, step) for step in flips)
    hu = np.ascontiguousarray(ct.hu.transpose(order)[flip])
    # Index in the old array from the index in the new one, both (i, j, k).
    move = np.zeros((4, 4))
    move[3, 3] = 1.0
    for new, (old, step) in enumerate(zip(order, flips, strict=True)):
        move[2 - old, 2 - new] = step
        move[2 - old, 3] = 0 if step > 0 else ct.hu.shape[old] - 1
    return CTVolume(hu, ct.affine @ move, ct.name)


def turned_labels(labels, order, flips):
    return labels.transpose(order)[tuple(slice(None, None, step) for step in flips)]


@pytest.mark.parametrize("order, flips", [ALL_ORIENTATIONS[n] for n in np.random.default_rng(0).permutation(48)[:4]])
def test_11_the_liver_is_the_same_however_the_axes_are_stored(application, network_panel, a_phantom, order, flips):
    """An image with other axes gives nonsense, or a liver that is flipped.

    https://github.com/wasserth/TotalSegmentator/issues/494 https://github.com/wasserth/TotalSegmentator/issues/229
    https://github.com/spinalcordtoolbox/spinalcordtoolbox/issues/4528
    """
    usual = mrml.volume_from_ct(a_phantom.ct)
    expected = mrml.segmentation_to_labels(segment(application, network_panel), usual)
    other = mrml.volume_from_ct(turned(a_phantom.ct, order, flips))
    application.choose(network_panel.ui.inputSelector, other)
    found = mrml.segmentation_to_labels(segment(application, network_panel), other)
    assert expected.any()
    np.testing.assert_array_equal(found, turned_labels(expected, order, flips))


def test_11_all_48_orientations_come_back_onto_their_own_voxels(application, quick_panel, stand_in):
    """The same complaint, for each orientation that there is; with the stand-in, which sees the voxels as stored.

    https://github.com/wasserth/TotalSegmentator/issues/78 https://github.com/wasserth/TotalSegmentator/issues/509
    """
    ct, labels = small_ct()
    for order, flips in ALL_ORIENTATIONS:
        node = mrml.volume_from_ct(turned(ct, order, flips))
        quick_panel.logic.segment(node)
        output = mrml.segmentation_of(node)
        np.testing.assert_array_equal(
            mrml.segmentation_to_labels(output, node) > 0, turned_labels(labels, order, flips) > 0, str((order, flips))
        )


def test_11_an_oblique_volume_gives_the_liver_where_it_is(application, network_panel, a_phantom):
    """The liver of a gantry-tilted or oblique image is flipped or misplaced.

    https://github.com/MuscleMap/MuscleMap/issues/22 https://github.com/wasserth/TotalSegmentator/issues/144
    """
    affine = oblique(15.0) @ a_phantom.ct.affine
    mrml.volume_from_ct(CTVolume(a_phantom.ct.hu, affine, "Oblique"))
    reference = mrml.labelmap_from_array(a_phantom.labels, affine, "Manual")
    choose_reference(application, network_panel, reference)
    segment(application, network_panel)
    assert float(network_panel.ui.diceLabel.text) > 0.9


# ---- 12 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_12_with_several_volumes_each_result_lies_on_its_own_under_its_own_transform(
    application, quick_panel, transform
):
    """With a second volume open, or one under a transform, the segment lands elsewhere.

    https://github.com/coendevente/SlicerNNInteractive/issues/31
    """
    (first_ct, first_labels), (second_ct, second_labels) = small_ct("First"), small_ct("Second", seed=3)
    first, second = mrml.volume_from_ct(first_ct), mrml.volume_from_ct(second_ct)
    second.SetAndObserveTransformNodeID(add_transform(application.scene, transform))
    outputs = []
    for node in (first, second):
        application.choose(quick_panel.ui.inputSelector, node)
        outputs.append(segment(application, quick_panel))
    assert outputs[0] is not outputs[1]
    assert outputs[1].GetTransformNodeID() == second.GetTransformNodeID()
    for node, output, labels in zip((first, second), outputs, (first_labels, second_labels), strict=True):
        read = slicer.util.arrayFromSegmentBinaryLabelmap(output, mrml.SEGMENT_IDS[LIVER.label], node)
        np.testing.assert_array_equal(read > 0, labels > 0)
    application.choose(quick_panel.ui.inputSelector, first)
    assert quick_panel._parameterNode.outputSegmentation is outputs[0]


# ---- 13 --------------------------------------------------------------------------------------------------------------


def test_13_the_cause_is_shown_and_the_log_holds_all_of_it(application, quick_panel, stand_in, ct_node, caplog):
    """It says that the segmentation failed to load; why it was never made is nowhere to be found.

    https://github.com/gaudot/SlicerDentalSegmentator/issues/8 https://github.com/KitwareMedical/SlicerNNUnet/issues/18
    https://github.com/gaudot/SlicerDentalSegmentator/issues/19
    """
    stand_in.error = ValueError("operands could not be broadcast together")
    with caplog.at_level(logging.ERROR):
        segment(application, quick_panel)
    [sentence] = errors(application)
    assert "operands could not be broadcast" in sentence and "Error Log" in sentence
    [cause] = {record.exc_info[1] for record in caplog.records if record.exc_info}
    assert cause is stand_in.error


def test_13_a_pytorch_that_does_not_load_is_named_as_the_cause(application, panel, ct_node, monkeypatch):
    """The same complaint, where a library of PyTorch was missing.

    https://github.com/gaudot/SlicerDentalSegmentator/issues/33
    """
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setattr(sys, "meta_path", [BrokenTorch(), *sys.meta_path])
    segment(application, panel)
    [sentence] = errors(application)
    assert "libcudart.so.12" in sentence and "uninstall PyTorch" in sentence


# ---- 14 --------------------------------------------------------------------------------------------------------------

AWKWARD = "Jürgen Müller – 肝臓 ٣ (Kopie) with spaces"


def test_14_a_run_writes_no_file_whatever_the_temporary_folder_is_like(
    application, network_panel, a_phantom, monkeypatch, tmp_path
):
    """Names with accents, localised digits or many characters in the temporary folder break the run.

    https://github.com/Slicer/Slicer/pull/7460 https://github.com/gaudot/SlicerDentalSegmentator/issues/8
    """
    folder = tmp_path / AWKWARD / ("long " * 40)
    folder.mkdir(parents=True)
    mrml.volume_from_ct(CTVolume(a_phantom.ct.hu, a_phantom.ct.affine, AWKWARD))
    with a_full_disk(monkeypatch, folder):
        output = segment(application, network_panel)
    assert errors(application) == [] and output.GetName() == f"{AWKWARD} liver segmentation"
    assert list(folder.iterdir()) == []


def test_14_the_module_runs_from_a_folder_with_an_awkward_name(tmp_path):
    """The same complaint, for the folder that Slicer is installed in.

    https://github.com/gaudot/SlicerDentalSegmentator/issues/8
    """
    folder = tmp_path / AWKWARD / ("long " * 20)
    folder.mkdir(parents=True)
    shutil.copy(MODULE_FILE, folder)
    for name in ("LiverSegLib", "Resources"):
        shutil.copytree(MODULE_FILE.parent / name, folder / name)
    said = python(
        """
        import LiverSegLib
        from LiverSegLib import mrml, phantom
        from Testing.bench import slicer_application

        with slicer_application() as application:
            application.load_module()
            panel = application.open_panel()
            sample = phantom.make_phantom(seed=0, shape=(24, 96, 96), spacing=(10.0, 3.8, 3.8))
            mrml.volume_from_ct(sample.ct)
            application.click(panel.ui.segmentButton)
            application.wait_until(lambda: not panel._runner.running, 60)
            assert application.dialogs == [] and panel._parameterNode.outputSegmentation is not None
            print(ascii(LiverSegLib.__file__))
        """,
        LIVERSEG_MODULE_FILE=str(folder / "LiverSeg.py"),
        PYTHONPATH=os.pathsep.join([str(ROOT), str(folder)]),
    )
    assert said.returncode == 0, said.stderr
    assert ascii(str(folder))[1:-1] in said.stdout


# ---- 15 --------------------------------------------------------------------------------------------------------------


def test_15_all_frames_of_a_sequence_are_segmented_on_request(application, quick_panel):
    """A sequence gives the liver of one frame only.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/53
    """
    scene, frames = application.scene, [small_ct(f"CT {n}", seed=n) for n in range(3)]
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "CT")
    for n, (ct, _labels) in enumerate(frames):
        node = mrml.volume_from_ct(ct)
        sequence.SetDataNodeAtValue(node, str(n))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "Browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    volume = browser.GetProxyNode(sequence)
    application.choose(quick_panel.ui.inputSelector, volume)
    application.click(quick_panel.ui.advancedSection)
    application.wait_until(lambda: not quick_panel._runner.running)
    application.click(quick_panel.ui.allFramesCheckBox)
    output = segment(application, quick_panel)
    assert errors(application) == [] and "3 frames" in quick_panel.ui.statusLabel.text
    for n, (_ct, labels) in enumerate(frames):
        browser.SetSelectedItemNumber(n)
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
        np.testing.assert_array_equal(mrml.segmentation_to_labels(output, volume) > 0, labels > 0, f"frame {n}")


def test_15_many_volumes_can_be_segmented_from_python_and_give_numbers(application, quick_panel):
    """How do I segment a folder of scans, and where are the volumes of the segments?

    https://github.com/Slicer/Slicer/issues/7015 https://github.com/bowang-lab/MedSAMSlicer/issues/54
    https://github.com/wasserth/TotalSegmentator/issues/81
    """
    cts = [small_ct(f"Patient {n}", seed=n) for n in range(3)]
    reports = [quick_panel.logic.segment(mrml.volume_from_ct(ct)).to_dict() for ct, _labels in cts]
    for report, (ct, labels) in zip(reports, cts, strict=True):
        voxel_ml = abs(np.linalg.det(ct.affine[:3, :3])) / 1000
        assert report["input"] == ct.name
        assert report["liver_volume_ml"] == pytest.approx(np.count_nonzero(labels) * voxel_ml, abs=0.05)
    assert len(slicer.util.getNodesByClass("vtkMRMLSegmentationNode")) == 3


def test_15_the_numbers_are_in_the_panel_and_in_a_table(application, quick_panel, ct_node):
    """I want the volume, not to be sent to another module for it.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/8
    """
    ct, labels = small_ct()
    ml = np.count_nonzero(labels) * abs(np.linalg.det(ct.affine[:3, :3])) / 1000
    choose_reference(application, quick_panel, mrml.labelmap_from_array(labels, ct.affine, "Manual"))
    segment(application, quick_panel)
    assert quick_panel.ui.liverVolumeLabel.text == f"{ml:.0f} ml" and quick_panel.ui.diceLabel.text == "1.000"
    [table] = slicer.util.getNodesByClass("vtkMRMLTableNode")
    rows = {table.GetCellText(n, 0): table.GetCellText(n, 1) for n in range(table.GetNumberOfRows())}
    assert rows[messages.MEASURE_LIVER_VOLUME] == f"{ml:.1f}" and rows[messages.MEASURE_DICE] == "1.0000"


def test_15_segments_have_the_names_codes_and_colours_that_others_know(application, quick_panel, ct_node):
    """Segments are called Segment_1 and are green.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/64 https://github.com/wasserth/TotalSegmentator/issues/294
    """
    application.click(quick_panel.ui.tumourCheckBox)
    segmentation = segment(application, quick_panel).GetSegmentation()
    segments = [segmentation.GetSegment(name) for name in segmentation.GetSegmentIDs()]
    assert [segment.GetName() for segment in segments] == [LIVER.name, TUMOUR.name]
    for found, structure in zip(segments, (LIVER, TUMOUR), strict=True):
        terminology = vtk.reference("")
        found.GetTag(found.GetTerminologyEntryTagName(), terminology)
        assert str(terminology) == structure.terminology
        assert np.round(np.multiply(found.GetColor(), 255)).tolist() == list(structure.colour)
    assert "SCT^10200004^Liver" in LIVER.terminology


# ---- what else they ask for ------------------------------------------------------------------------------------------


def test_the_views_are_centred_on_the_liver_after_a_run(application, quick_panel):
    """Centre the 3D view on the result by itself.

    https://github.com/lassoan/SlicerTotalSegmentator/issues/1
    """
    ct, labels = small_ct()
    mrml.volume_from_ct(ct)
    layout = application.app.layoutManager()
    before = layout.reset_3d_views
    output = segment(application, quick_panel)
    assert layout.reset_3d_views > before
    assert output.GetSegmentation().ContainsRepresentation(mrml.CLOSED_SURFACE)
    k, j, i = np.nonzero(labels)
    corners = np.array([[f(i), f(j), f(k), 1.0] for f in (np.min, np.max)]) @ ct.affine.T
    centre = corners.mean(axis=0)[:3]
    axial = layout.sliceWidget("Red").mrmlSliceNode().GetSliceToRAS()
    np.testing.assert_allclose([axial.GetElement(row, 3) for row in range(3)], centre, atol=0.1)


def test_the_logic_runs_outside_slicer():
    """Let me use the module's logic without the application.

    https://github.com/R-Vessel-X/SlicerRVXLiverSegmentation/issues/16
    """
    said = python(
        """
        import sys
        from LiverSeg import LiverSegLogic
        from LiverSegLib import mrml, phantom

        scene = mrml.ensure_scene()
        sample = phantom.make_phantom(seed=0, shape=(24, 96, 96), spacing=(10.0, 3.8, 3.8))
        report = LiverSegLogic().segment(mrml.volume_from_ct(sample.ct))
        assert report.liver_volume_ml > 0 and scene.GetFirstNodeByName(report.output) is not None
        assert not {"qt", "ctk", "PySide6"} & set(sys.modules)
        """
    )
    assert said.returncode == 0, said.stderr


def test_packages_are_installed_on_the_main_thread(application, quick_panel, ct_node, monkeypatch):
    """Installing from a thread crashes Slicer 5.12 on macOS.

    https://github.com/coendevente/SlicerNNInteractive/pull/100 https://github.com/Slicer/Slicer/issues/9256
    """
    threads, install = [], application.installer.install

    def noted(*arguments, **options):
        threads.append(threading.current_thread())
        return install(*arguments, **options)

    monkeypatch.setattr(application.installer, "install", noted)
    application.installer.hide("torch", "nibabel")
    segment(application, quick_panel)
    assert threads == [threading.main_thread()] * 2
