"""A network's convolutions with bias and ReLU in one pass of oneDNN, their weights laid out once for all batches."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from .unet import ConvBlock, UNet

# Weights are laid out for inputs of about that size, and right for all.
USUAL_INPUT = (12, 96, 128)


class ConvReLU(nn.Module):
    """What a convolution and a ReLU do, in inference on the CPU, as `torch.compile` would call oneDNN for it."""

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        self._bias = None if convolution.bias is None else convolution.bias.detach()
        self._geometry = (convolution.padding, convolution.stride, convolution.dilation, convolution.groups)
        number, rows, columns = USUAL_INPUT
        size = [number, convolution.in_channels, rows, columns]
        self._weight = torch.ops.mkldnn._reorder_convolution_weight(convolution.weight.detach(), *self._geometry, size)

    def forward(self, images: Tensor) -> Tensor:
        return torch.ops.mkldnn._convolution_pointwise(
            images, self._weight, self._bias, *self._geometry, "relu", [], ""
        )


def fuse_relu(network: UNet) -> UNet:
    """A copy of a network with folded normalisation, on the CPU, that gives the same in fewer passes over its features.

    The network itself is returned where PyTorch has no such operation.
    """
    if not _is_known(next(network.parameters()).dtype):
        return network
    fused = copy.deepcopy(network)
    for block in fused.modules():
        if type(block) is ConvBlock:
            for position in (0, 3):
                convolution = block[position]
                assert isinstance(convolution, nn.Conv2d)  # nosec B101
                block[position], block[position + 2] = ConvReLU(convolution), nn.Identity()
    return fused


def _is_known(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch has the operations, for this precision and this CPU."""
    try:
        ConvReLU(nn.Conv2d(1, 1, 1, dtype=dtype))(torch.zeros(1, 1, 1, 1, dtype=dtype))
    except (AttributeError, RuntimeError):
        return False
    return True
