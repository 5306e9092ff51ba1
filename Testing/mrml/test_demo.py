"""The demo leaves what it promises, and answers bad input in one line."""

from __future__ import annotations

import ctypes.util
import json
import sys

import numpy as np
import pytest
import slicer
from PIL import Image

import LiverSeg
from LiverSegLib import mrml
from LiverSegLib.errors import OutputError
from LiverSegLib.io import files
from Testing.demo import demo as demo_script
from Testing.demo.views import check_rendering

FILES = ["ct.nii.gz", "liver.seg.nrrd", "overlay.png", "report.json", "view3d.png"]


@pytest.fixture
def demo(monkeypatch, a_scene, a_stand_in):
    """The demo script, with the stand-in for the network."""
    monkeypatch.setattr(LiverSeg, "_bundledSegmenter", lambda device: a_stand_in)
    return demo_script


@pytest.fixture
def a_ct_file(tmp_path, a_volume_node):
    mrml.save_node(a_volume_node, tmp_path / "scan.nii.gz")
    return tmp_path / "scan.nii.gz"


@pytest.fixture
def a_reference_file(tmp_path, labels, affine):
    files.write_labels(tmp_path / "manual.nii.gz", labels, affine)
    return tmp_path / "manual.nii.gz"


@pytest.fixture
def no_rendering(monkeypatch):
    """A computer whose EGL finds no driver, on which VTK crashes."""
    if ctypes.util.find_library("OSMesa") or sys.platform != "linux":
        pytest.skip("VTK renders here even without EGL")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_DIRS", "/nonexistent")


def rendering_works():
    try:
        check_rendering()
    except OutputError:
        return False
    return True


needs_rendering = pytest.mark.skipif(not rendering_works(), reason="nothing here renders off-screen; see `make system`")


@needs_rendering
def test_the_demo_leaves_all_its_files_and_prints_the_dice(demo, tmp_path, a_ct_file, a_reference_file, capsys):
    arguments = ["--output", str(tmp_path / "new/demo"), "--ct", str(a_ct_file), "--reference", str(a_reference_file)]
    assert demo.main(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "new/demo").iterdir()) == FILES
    printed = capsys.readouterr().out
    assert "Dice: 1.000" in printed and str(tmp_path / "new/demo") in printed


@needs_rendering
def test_what_the_demo_leaves_can_be_loaded_again(demo, tmp_path, a_ct_file, hu, labels, affine):
    assert demo.main(["--output", str(tmp_path / "demo"), "--ct", str(a_ct_file)]) == 0
    ct = files.read_ct(tmp_path / "demo/ct.nii.gz")
    np.testing.assert_array_equal(ct.hu, hu)
    np.testing.assert_allclose(ct.affine, affine, atol=1e-5)
    report = json.loads((tmp_path / "demo/report.json").read_text())
    assert report["input"].endswith("ct.nii.gz") and report["output"].endswith("liver.seg.nrrd")
    node = load_segmentation(tmp_path / "demo/liver.seg.nrrd")
    read, _ = mrml.reference_to_labels(node, mrml.volume_from_ct(ct))
    np.testing.assert_array_equal(read, labels > 0)
    for picture in ("overlay.png", "view3d.png"):
        with Image.open(tmp_path / "demo" / picture) as image:
            assert len(set(image.convert("L").resize((32, 32)).tobytes())) > 10


def load_segmentation(path):
    node = mrml.ensure_scene().AddNewNodeByClass("vtkMRMLSegmentationNode", "Loaded")
    storage = slicer.vtkMRMLSegmentationStorageNode()
    storage.SetFileName(str(path))
    assert storage.ReadData(node)
    return node


def test_without_rendering_the_demo_leaves_that_picture_out_and_says_so(
    demo, tmp_path, a_ct_file, no_rendering, capsys
):
    (tmp_path / "view3d.png").write_text("of an earlier run")
    assert demo.main(["--output", str(tmp_path), "--ct", str(a_ct_file)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {*FILES, "scan.nii.gz"} - {"view3d.png"}
    assert "apt-get install libegl1" in capsys.readouterr().out


def test_a_missing_ct_is_one_line_and_exit_code_2(demo, tmp_path, capsys):
    assert demo.main(["--output", str(tmp_path / "demo"), "--ct", str(tmp_path / "none.nii.gz")]) == 2
    printed = capsys.readouterr().err
    assert printed.count("\n") == 1 and "none.nii.gz" in printed
    assert not (tmp_path / "demo").exists()


def test_an_output_that_cannot_be_a_folder_is_refused(demo, tmp_path, a_ct_file, capsys):
    assert demo.main(["--output", str(a_ct_file / "demo"), "--ct", str(a_ct_file)]) == 2
    assert "--output" in capsys.readouterr().err


def test_a_reference_alone_is_a_usage_error(demo, capsys):
    with pytest.raises(SystemExit) as stopped:
        demo.main(["--reference", "liver.nii.gz"])
    assert stopped.value.code == 2


def test_a_stop_is_exit_code_130(demo, monkeypatch, tmp_path, a_ct_file, a_stand_in, capsys):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(a_stand_in, "segment", stopped)
    assert demo.main(["--output", str(tmp_path / "demo"), "--ct", str(a_ct_file)]) == 130
    assert "Cancelled" in capsys.readouterr().err


def test_a_node_cannot_be_written_into_a_folder_that_is_not_there(tmp_path, a_volume_node):
    with pytest.raises(OutputError, match="does not exist"):
        mrml.save_node(a_volume_node, tmp_path / "none/ct.nii.gz")


def test_an_empty_result_still_gives_an_overlay(demo, tmp_path, a_ct_file, a_stand_in, monkeypatch, no_rendering):
    found = a_stand_in.segment
    monkeypatch.setattr(a_stand_in, "segment", lambda *arguments, **options: emptied(found(*arguments, **options)))
    assert demo.main(["--output", str(tmp_path / "demo"), "--ct", str(a_ct_file)]) == 0
    assert (tmp_path / "demo/overlay.png").exists()


def emptied(segmentation):
    segmentation.labels[:] = 0
    return segmentation
