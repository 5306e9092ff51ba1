"""The grid that the network sees."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from LiverSegLib.inference.preprocess import (
    Rectangle,
    neighbour_stacks,
    pad_to_multiple,
    part_to_other_size,
    to_model_spacing,
    window,
)


def test_window_maps_its_limits_to_minus_one_and_one_and_clips_beyond() -> None:
    hu = torch.tensor([-1000.0, -160.0, 40.0, 240.0, 3000.0])
    assert window(hu, (-160, 240)).tolist() == [-1, -1, 0, 1, 1]


def test_window_leaves_its_input_alone() -> None:
    hu = torch.tensor([500.0])
    window(hu, (-160, 240))
    assert hu.item() == 500


def test_pixels_become_square_and_the_field_of_view_stays() -> None:
    stack = torch.zeros(3, 100, 200)
    assert to_model_spacing(stack, (3.0, 0.75), 1.5).shape == (3, 200, 100)


def test_a_stack_at_the_model_spacing_is_not_touched() -> None:
    stack = torch.rand(2, 10, 10)
    assert torch.equal(to_model_spacing(stack, (1.5, 1.5), 1.5), stack)


def whole(slices: torch.Tensor) -> Rectangle:
    return slice(0, slices.shape[1]), slice(0, slices.shape[2])


@given(st.integers(8, 40), st.integers(8, 40), st.floats(0.4, 4.0), st.floats(0.4, 4.0))
def test_a_ramp_keeps_its_place_on_the_way_to_the_model_and_back(rows: int, columns: int, dy: float, dx: float) -> None:
    ramp = torch.arange(rows, dtype=torch.float32)[:, None] * dy + torch.arange(columns)[None] * dx
    there = to_model_spacing(ramp[None], (dy, dx), 1.5)
    back = part_to_other_size(there[:, None], whole(there), there.shape[1:], whole(ramp[None]), ramp.shape)[0, 0]
    # Interpolation flattens the ramp near the edge only, within the filter's reach; inside it must not move.
    margin_y, margin_x = int(3 * max(1.5, dy) / dy) + 1, int(3 * max(1.5, dx) / dx) + 1
    inside = (slice(margin_y, rows - margin_y), slice(margin_x, columns - margin_x))
    assert torch.allclose(back[inside], ramp[inside], atol=0.25 * max(dy, dx, 1.5))


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    checkerboard = ((torch.arange(64)[:, None] + torch.arange(64)[None]) % 2).float()[None]
    shrunk = to_model_spacing(checkerboard, (0.75, 0.75), 1.5)
    assert torch.allclose(shrunk[:, 2:-2, 2:-2], torch.tensor(0.5), atol=0.05)


def test_noise_of_fine_pixels_averages_out() -> None:
    noise = 100 * torch.randn(1, 256, 256, generator=torch.Generator().manual_seed(0))
    # Of 16 pixels under one, plain bilinear interpolation takes four: it would leave 50.
    assert to_model_spacing(noise, (0.375, 0.375), 1.5).std() < 25


def test_neighbours_are_taken_at_millimetres_not_at_slices() -> None:
    height = torch.arange(20, dtype=torch.float32)[:, None, None].expand(20, 2, 2)
    for slice_spacing in (0.8, 2.0, 5.0):
        position = torch.tensor([10])
        stacks = neighbour_stacks(height * slice_spacing, position, slice_spacing, (-6.0, 0.0, 3.0))
        expected = 10 * slice_spacing + torch.tensor([-6.0, 0.0, 3.0])
        assert torch.allclose(stacks[0, :, 0, 0], expected, atol=1e-4)


def test_beyond_the_ends_the_outermost_slice_is_repeated() -> None:
    stack = torch.arange(3, dtype=torch.float32)[:, None, None].expand(3, 2, 2)
    stacks = neighbour_stacks(stack, torch.tensor([0, 2]), 1.0, (-5.0, 0.0, 5.0))
    assert stacks[:, :, 0, 0].tolist() == [[0, 0, 2], [0, 2, 2]]


def test_one_slice_is_its_own_neighbour() -> None:
    stack = torch.rand(1, 4, 4)
    stacks = neighbour_stacks(stack, torch.tensor([0]), 5.0, (-3.0, 0.0, 3.0))
    assert torch.equal(stacks[0], stack.expand(3, 4, 4))


@pytest.mark.parametrize(("size", "padded"), [((32, 64), (32, 64)), ((33, 1), (64, 32))])
def test_padding_reaches_the_next_multiple(size: tuple[int, int], padded: tuple[int, int]) -> None:
    images = pad_to_multiple(torch.zeros(1, 1, *size), -1.0)
    assert images.shape[2:] == padded
    assert (images[..., size[0] :, :] == -1).all()
