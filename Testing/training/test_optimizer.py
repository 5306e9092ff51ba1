"""Muon for kernels and AdamW for the rest, as one optimiser: what it moves, how far, and how it goes on."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

from LiverSegLib.model.unet import UNet
from Training.optimizer import MuonAdamW

RATE = 0.01


@pytest.fixture
def network() -> UNet:
    torch.manual_seed(0)
    return UNet(3, 3, (8, 16), patch=2).to(memory_format=torch.channels_last)


def learn(network: nn.Module, optimizer: Optimizer, steps: int, seed: int = 1) -> list[float]:
    """Losses of a small task: the network is to repeat where its input is positive."""
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for _ in range(steps):
        images = torch.randn(2, 3, 16, 16, generator=generator)
        loss = nn.functional.cross_entropy(network(images), (images[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in network.named_parameters()}


def test_every_weight_moves_and_the_loss_falls(network: UNet) -> None:
    before = weights(network)
    losses = learn(network, MuonAdamW(network, RATE, 0.0), 40)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    assert all(not torch.equal(before[name], after) for name, after in weights(network).items())


def test_the_step_of_a_kernel_has_no_direction_that_lags_behind(network: UNet) -> None:
    before = weights(network)
    learn(network, MuonAdamW(network, RATE, 0.0), 1)
    name = "down.0.3.weight"  # 16 channels from 16, 3×3
    step = (weights(network)[name] - before[name]).flatten(1)
    sizes = torch.linalg.svdvals(step)
    assert sizes.min() > 0.4 * sizes.max()
    # As large as AdamW's: 0.2 of the rate in the mean square.
    assert step.square().mean().sqrt().item() == pytest.approx(0.2 * RATE, rel=0.25)


def test_all_but_the_kernels_move_as_with_adamw(network: UNet) -> None:
    other = copy.deepcopy(network)
    learn(network, MuonAdamW(network, RATE, 0.1), 1)
    learn(other, AdamW(other.parameters(), RATE, weight_decay=0.1), 1)
    ours, theirs = weights(network), weights(other)
    same = {name for name in ours if torch.equal(ours[name], theirs[name])}
    assert same == {name for name, weight in ours.items() if weight.ndim == 1 or weight.shape[-1] == 1}


def test_a_schedule_sets_the_rate_of_both(network: UNet) -> None:
    before, optimizer = weights(network), MuonAdamW(network, RATE, 0.0)
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    learn(network, optimizer, 1)
    assert all(torch.equal(before[name], after) for name, after in weights(network).items())


def test_a_saved_state_goes_on_as_if_nothing_had_happened(network: UNet) -> None:
    optimizer = MuonAdamW(network, RATE, 0.1)
    learn(network, optimizer, 3)
    other = copy.deepcopy(network)
    resumed = MuonAdamW(other, RATE, 0.1)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    assert learn(network, optimizer, 3, seed=2) == learn(other, resumed, 3, seed=2)
