"""A real MRML scene from slicer-core, small CT nodes in it, and a stand-in for the network."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from LiverSegLib import mrml
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled
from Testing.anatomy_stand_in import anatomy_of

LIVER_HU, TUMOUR_HU = 110, 70
SHAPE = (10, 16, 20)


@pytest.fixture
def a_scene():
    """The scene, empty."""
    scene = mrml.ensure_scene()
    scene.Clear()
    return scene


@pytest.fixture
def labels():
    """An uneven liver with a tumour in it, so that no flip or shift of it looks like itself; uint8 (k, j, i)."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2:7, 3:12, 4:15] = 1
    labels[7, 3:6, 4:8] = 1
    labels[3:5, 6:9, 10:13] = 2
    return labels


@pytest.fixture
def hu(labels):
    """A CT that holds those labels as HU, int16 (k, j, i)."""
    return np.choose(labels, (-50, LIVER_HU, TUMOUR_HU)).astype(np.int16)


@pytest.fixture
def affine():
    """Axes to left, posterior and superior, as of an axial CT; IJK→RAS mm."""
    matrix = np.diag([-1.5, -1.25, 4.0, 1.0])
    matrix[:3, 3] = 30.0, -12.0, 250.0
    return matrix


@pytest.fixture
def a_volume_node(a_scene, hu, affine):
    return mrml.volume_from_ct(CTVolume(hu, affine, "CT"))


@pytest.fixture
def a_segmentation_node(a_scene):
    return a_scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Result")


class StandIn:
    """Finds the liver by its HU, exactly, and counts how often it was asked."""

    def __init__(self, device="auto"):
        self.device = device
        self.calls = 0

    def segment(self, ct, options=None, progress=None, cancel=None):
        tumour = options is not None and options.tumour
        self.calls += 1
        for share in (0.0, 1.0):
            if cancel is not None and cancel.is_set():
                raise Cancelled()
            if progress is not None:
                progress(share, "Finding the liver")
        labels = np.select([ct.hu == LIVER_HU, ct.hu == TUMOUR_HU], [1, 2 if tumour else 1]).astype(np.uint8)
        seconds = dict.fromkeys(("load", "preprocess", "network", "postprocess"), 0.0)
        card = SimpleNamespace(name="stand-in", version="1", sha256="0" * 64, modality="CT")
        return SimpleNamespace(
            labels=labels,
            affine=ct.affine,
            warnings=(),
            seconds=seconds,
            device="cpu",
            model=card,
            quality=None,
            anatomy=anatomy_of(labels, options),
            places=(),
            corrections=0,
            probabilities=None,
        )


@pytest.fixture
def a_stand_in():
    return StandIn()
