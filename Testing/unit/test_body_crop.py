"""The outline of the body: air is left out, the body never."""

from __future__ import annotations

import numpy as np
import pytest

from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.body_crop import AROUND_MM, WHOLE, Body, Outline

WINDOW = (-160.0, 240.0)
PIXEL_MM = 2.0
SHAPE = (20, 200, 200)
SPACING_MM = 6.0
# Rows and columns of the body's box.
TOP, BOTTOM, LEFT, RIGHT = 60, 140, 40, 160


def scan(noise: float = 8.0) -> np.ndarray:
    """A trunk in air: 160 mm by 240 mm of muscle in a layer of fat, with lungs."""
    j, i = np.indices(SHAPE[1:])
    radius = np.hypot((j - 99.5) / 40, (i - 99.5) / 60)
    slice_hu = np.select([radius < 0.85, radius < 1], [50.0, -100.0], -1000.0)
    hu = np.broadcast_to(slice_hu, SHAPE).copy()
    hu[:8, 90:110, 60:90] = -850
    return hu + np.random.default_rng(0).normal(0, noise, SHAPE)


def outline_of(hu: np.ndarray, ranges: list[range] | None = None) -> Outline:
    stack = CTVolume(np.rint(hu).astype(np.int16), np.diag((-PIXEL_MM, -PIXEL_MM, SPACING_MM, 1.0)))
    return Body(stack, WINDOW).outline([range(SHAPE[0])] if ranges is None else ranges)


def in_pixels(outline: Outline) -> np.ndarray:
    return np.array(outline) * np.array((SHAPE[1], SHAPE[1], SHAPE[2], SHAPE[2]))


def assert_snug(outline: Outline, box: tuple[int, int, int, int] = (TOP, BOTTOM, LEFT, RIGHT)) -> None:
    """All of the box with the margin around, and no more than that and two blocks."""
    around = (in_pixels(outline) - box) * (-1, 1, -1, 1) * PIXEL_MM
    assert (around >= AROUND_MM - 10).all() and (around <= AROUND_MM + 10).all(), around


def test_the_air_around_the_body_is_left_out() -> None:
    assert_snug(outline_of(scan()))


def test_a_table_under_the_body_is_left_out() -> None:
    hu = scan()
    hu[:, 160:163, 20:180] = 20  # its shell
    hu[:, 163:180, 20:180] = -700  # its foam
    hu[:, 180:183, 20:180] = 20
    assert_snug(outline_of(hu))


def test_arms_are_part_of_the_body() -> None:
    hu = scan()
    hu[:, 80:120, 5:30] = 40
    assert_snug(outline_of(hu), (TOP, BOTTOM, 5, RIGHT))


def test_where_fat_is_clipped_to_air_the_muscle_and_a_margin_stay() -> None:
    top, bottom, left, right = in_pixels(outline_of(np.clip(scan(), -40, 160)))
    assert top < 66 - 3 and bottom > 134 + 3 and left < 49 - 3 and right > 151 + 3
    assert bottom - top < 0.7 * SHAPE[1]


def test_padding_outside_the_scanners_circle_is_air() -> None:
    hu = scan()
    hu[:, :20] = hu[:, -20:] = -3024
    assert_snug(outline_of(hu))


def test_a_field_of_view_within_the_body_is_taken_whole() -> None:
    inside = np.random.default_rng(0).normal(50, 15, SHAPE)
    inside[:, :30] -= 150  # fat
    assert outline_of(inside) == WHOLE
    assert outline_of(scan()[:, 80:120, 70:130]) == WHOLE


def test_no_body_at_all_is_the_whole_field_of_view() -> None:
    air = np.full(SHAPE, -1000.0)
    air[0, 0, 0] = 0
    assert outline_of(air) == WHOLE
    assert outline_of(scan(), []) == WHOLE


def test_a_wide_part_of_the_body_does_not_widen_the_outline_elsewhere() -> None:
    hu = scan()
    hu[14:, 70:130, 5:195] = 40  # the shoulders
    assert_snug(outline_of(hu, [range(2, 9)]))
    assert_snug(outline_of(hu), (TOP, BOTTOM, 5, 195))


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 40, 3), (3, 2, 90)])
def test_any_shape_has_an_outline_within_it(shape: tuple[int, int, int]) -> None:
    hu = np.random.default_rng(0).integers(-1000, 200, shape).astype(np.int16)
    top, bottom, left, right = Body(CTVolume(hu, np.diag((-1.0, -1.0, 2.0, 1.0))), WINDOW).outline([range(shape[0])])
    assert 0 <= top < bottom <= 1 and 0 <= left < right <= 1
