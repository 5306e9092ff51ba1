"""A parent transform that no result can go through is refused before any work is done."""

from __future__ import annotations

import numpy as np
import pytest
import slicer
import slicer.util

from LiverSegLib import mrml
from LiverSegLib.errors import InputError
from Testing.mrml.snapshot import snapshot
from Testing.mrml.transforms import TRANSFORMS, add_transform, add_warp, oblique


def put_under(scene, volume_node, matrix):
    node = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "Matrix")
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    volume_node.SetAndObserveTransformNodeID(node.GetID())


def squeezed(factor):
    """Displacements along x that multiply distances by a factor between x = -20 and 20, where the volume lies."""

    def field(x, y, z):
        return np.stack([np.clip(x, -20, 20) * (factor - 1), 0 * y, 0 * z], axis=-1)

    return field


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_ordinary_transforms_are_allowed(a_scene, a_volume_node, transform):
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, transform))
    mrml.check_transform(a_volume_node)


@pytest.mark.parametrize("mirror", [np.diag([-1.0, 1, 1, 1]), np.diag([-1.0, -1, -1, 1]) @ oblique(30.0)])
def test_a_mirror_is_allowed(a_scene, a_volume_node, mirror):
    put_under(a_scene, a_volume_node, mirror)
    mrml.check_transform(a_volume_node)


def test_a_warp_under_a_mirror_is_allowed(a_scene, a_volume_node):
    put_under(a_scene, a_volume_node, np.diag([-1.0, 1, 1, 1]))
    mirror = a_volume_node.GetTransformNodeID()
    a_volume_node.SetAndObserveTransformNodeID(add_transform(a_scene, "grid"))
    a_volume_node.GetParentTransformNode().SetAndObserveTransformNodeID(mirror)
    mrml.check_transform(a_volume_node)


@pytest.mark.parametrize("factor", [0.2, 3.0])
def test_squeezing_and_stretching_are_allowed(a_scene, a_volume_node, factor):
    a_volume_node.SetAndObserveTransformNodeID(add_warp(a_scene, squeezed(factor)))
    mrml.check_transform(a_volume_node)


@pytest.mark.parametrize("factor", [-1.0, -0.2])
def test_a_warp_that_folds_a_part_of_the_volume_is_refused(a_scene, a_volume_node, factor):
    a_volume_node.SetAndObserveTransformNodeID(add_warp(a_scene, squeezed(factor)))
    before = snapshot(a_scene)
    with pytest.raises(InputError, match="folds CT onto itself"):
        mrml.check_transform(a_volume_node)
    assert snapshot(a_scene) == before


def test_a_fold_outside_the_volume_does_not_matter(a_scene, a_volume_node):
    def far_away(x, y, z):
        return np.stack([np.where(x > 100, -3 * (x - 100), 0), 0 * y, 0 * z], axis=-1)

    a_volume_node.SetAndObserveTransformNodeID(add_warp(a_scene, far_away))
    mrml.check_transform(a_volume_node)


@pytest.mark.parametrize("flat", [np.diag([1.0, 1, 0, 1]), np.diag([0.0, 0, 0, 1])])
def test_a_singular_matrix_is_refused(a_scene, a_volume_node, flat):
    put_under(a_scene, a_volume_node, flat)
    with pytest.raises(InputError, match="makes CT flat"):
        mrml.check_transform(a_volume_node)


def test_a_warp_to_nowhere_is_refused(a_scene, a_volume_node):
    a_volume_node.SetAndObserveTransformNodeID(add_warp(a_scene, lambda x, y, z: np.full((*x.shape, 3), np.nan)))
    with pytest.raises(InputError, match="leads nowhere"):
        mrml.check_transform(a_volume_node)


def test_a_volume_of_one_slice_is_looked_at_too(a_scene, hu, affine):
    node = slicer.util.addVolumeFromArray(hu[:1], affine, "Slice")
    node.SetAndObserveTransformNodeID(add_warp(a_scene, squeezed(0.5)))
    mrml.check_transform(node)
    node.SetAndObserveTransformNodeID(add_warp(a_scene, squeezed(-0.5)))
    with pytest.raises(InputError, match="folds"):
        mrml.check_transform(node)
