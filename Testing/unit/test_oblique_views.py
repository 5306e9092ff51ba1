"""Oblique volumes are straightened for the network, and the result comes back to where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.oblique_views import interpolate_from_upright, is_oblique, slices_of_part, to_upright

SHAPE = (24, 40, 48)


def tilted_affine(angles_degrees: tuple[float, float, float]) -> np.ndarray:
    """A canonical affine of 2×2×4 mm voxels, turned about R, A and S."""
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", angles_degrees, degrees=True).as_matrix() @ np.diag((-2.0, -2.0, 4.0))
    affine[:3, 3] = (30, -20, 100)
    return affine


def ball(volume_shape: tuple[int, int, int], affine: np.ndarray, centre: np.ndarray, radius: float) -> np.ndarray:
    """A ball in the patient, sampled at the voxel centres."""
    k, j, i = np.indices(volume_shape)
    world = np.stack((i, j, k), axis=-1) @ affine[:3, :3].T + affine[:3, 3]
    return np.linalg.norm(world - centre, axis=-1) < radius


@pytest.mark.parametrize(
    ("angles", "oblique"), [((0, 0, 0), False), ((4.5, 0, 0), False), ((0, 5.5, 0), True), ((0, 0, 20), True)]
)
def test_only_a_marked_angle_counts_as_oblique(angles: tuple[float, float, float], oblique: bool) -> None:
    volume = CTVolume(np.zeros(SHAPE, np.int16), tilted_affine(angles))
    assert is_oblique(volume) is oblique


@pytest.mark.parametrize("angles", [(20, 0, 0), (0, -15, 0), (10, 10, 10)])
def test_a_ball_goes_upright_and_back_to_its_place(angles: tuple[float, float, float]) -> None:
    affine = tilted_affine(angles)
    centre = affine[:3, :3] @ (np.array(SHAPE[::-1]) / 2) + affine[:3, 3]
    truth = ball(SHAPE, affine, centre, 25.0)
    oblique = CTVolume(np.where(truth, 100, -100).astype(np.int16), affine)

    upright = to_upright(oblique, 1.5)
    assert upright.geometry.obliquity_degrees == 0
    assert dice(upright.hu > 0, ball(upright.hu.shape, upright.affine, centre, 25.0)) > 0.97
    back = interpolate_from_upright(upright.hu, (0, 0, 0), upright, oblique, range(SHAPE[0]), fill=-1000)
    assert dice(back > 0, truth) > 0.97


def test_a_part_comes_back_to_its_place_on_the_slices_that_it_meets() -> None:
    affine = tilted_affine((15, -10, 5))
    oblique = CTVolume(np.random.default_rng(0).integers(-100, 100, SHAPE).astype(np.int16), affine)
    upright = to_upright(oblique, 2.0)
    whole = np.full(upright.hu.shape, -8.0, np.float32)
    shape = (8, 12, 15)
    middle, beside, before = (n // 2 for n in upright.hu.shape)
    first = middle, beside - 10, before - 8
    part = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    whole[tuple(slice(start, start + size) for start, size in zip(first, shape, strict=True))] = part
    everywhere = interpolate_from_upright(whole, (0, 0, 0), upright, oblique, range(SHAPE[0]), fill=-8.0)
    slices = slices_of_part(shape, first, upright, oblique)
    assert 0 < slices.start < slices.stop < SHAPE[0]
    found = interpolate_from_upright(part, first, upright, oblique, slices, fill=-8.0)
    outside = np.delete(everywhere, list(slices), axis=0)
    assert (outside == -8.0).all()
    # At the faces of the part the one blends into what is around, the other ends.
    inner = np.pad(np.ones([n - 2 for n in shape], np.float32), 1)
    core = interpolate_from_upright(inner, first, upright, oblique, slices, fill=0) > 0.999
    assert core.sum() > 30
    assert np.allclose(found[core], everywhere[slices.start : slices.stop][core], atol=1e-4)


def test_the_upright_grid_holds_every_corner() -> None:
    oblique = CTVolume(np.full(SHAPE, 50, np.int16), tilted_affine((20, 0, 0)))
    upright = to_upright(oblique, 1.5)
    volume_ml = (upright.hu > 0).sum() * upright.voxel_volume_ml
    assert volume_ml == pytest.approx(np.prod(SHAPE) * oblique.voxel_volume_ml, rel=0.02)
