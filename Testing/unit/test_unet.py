"""The U-Net as a function of shapes."""

from __future__ import annotations

import pytest
import torch

from LiverSegLib.model.fusion import ConvReLU, fuse_relu
from LiverSegLib.model.unet import UNet, fold_batch_norm


def test_logits_have_the_input_s_size_and_one_channel_a_class() -> None:
    network = UNet(5, 3, (4, 8, 16)).eval()
    assert network(torch.zeros(2, 5, 32, 16)).shape == (2, 3, 32, 16)


def test_squares_of_pixels_leave_the_output_as_fine_as_the_input() -> None:
    network = UNet(5, 3, (4, 8, 16), patch=2).eval()
    images = torch.randn(1, 5, 32, 16)
    logits = network(images)
    assert logits.shape == (1, 3, 32, 16)
    # Neighbouring pixels of one square have logits of their own.
    assert not torch.allclose(logits[..., ::2, :], logits[..., 1::2, :])


def test_every_parameter_takes_part() -> None:
    network = UNet(3, 3, (4, 8, 8))
    network(torch.randn(2, 3, 16, 16)).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_folding_batch_norm_keeps_the_function() -> None:
    torch.manual_seed(0)
    network = UNet(3, 3, (4, 8, 8))
    for _ in range(3):  # moves the running statistics away from their start
        network(torch.randn(4, 3, 16, 16) * 3 + 1)
    network.eval()
    images = torch.randn(2, 3, 32, 32)
    assert torch.allclose(fold_batch_norm(network)(images), network(images), atol=1e-5)


def test_folding_leaves_the_original_alone() -> None:
    network = UNet(3, 3, (4, 8))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fold_batch_norm(network)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fusing_keeps_the_function_for_images_of_any_size(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    network = fold_batch_norm(UNet(3, 3, (16, 32, 32)).eval()).to(dtype, memory_format=torch.channels_last)
    fused = fuse_relu(network)
    for shape in ((1, 3, 16, 32), (5, 3, 96, 64)):
        images = torch.randn(shape).to(dtype, memory_format=torch.channels_last)
        with torch.inference_mode():
            assert torch.allclose(fused(images), network(images), atol=1e-5 if dtype == torch.float32 else 2e-2)


def test_where_pytorch_cannot_fuse_the_network_stays_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise NotImplementedError("another build")

    network = fold_batch_norm(UNet(3, 3, (4, 8)).eval())
    assert fuse_relu(network) is not network
    monkeypatch.setattr(ConvReLU, "forward", refuse)
    assert fuse_relu(network) is network
