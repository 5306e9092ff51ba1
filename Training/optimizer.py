"""What lowers the loss: Muon for the kernels of convolutions, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer


class MuonAdamW(Optimizer):
    """Muon for the kernels of more than one pixel, AdamW for all else, with one rate for both.

    Muon (Jordan et al., https://kellerjordan.github.io/posts/muon) turns the step of a matrix into the nearest
    orthogonal one, so that no direction of it lags behind. A kernel is seen as the matrix of its first axis by all
    others. Steps are as large as AdamW's (Liu et al., arXiv 2502.16982), so its rate suits both.

    Parameters
    ----------
    network
        On the device on which it will be trained: PyTorch's Muon works on matrices that share the kernels' memory.
    lr, weight_decay
        Rate and decay of all weights.

    Raises
    ------
    ValueError
        If the network's memory format is not ``torch.channels_last``.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float) -> None:
        kernels = [weight for weight in network.parameters() if _is_kernel(weight)]
        others = [weight for weight in network.parameters() if not _is_kernel(weight)]
        options = {"lr": lr, "weight_decay": weight_decay}
        super().__init__([{"params": others}, {"params": kernels}], options)
        self.matrices = [nn.Parameter(as_matrix(kernel.detach())) for kernel in kernels]
        if any(matrix.data_ptr() != kernel.data_ptr() for matrix, kernel in zip(self.matrices, kernels, strict=True)):
            raise ValueError(
                "Bring the network to torch.channels_last first: Muon trains kernels whose channels lie last."
            )
        self.muon = Muon(self.matrices, adjust_lr_fn="match_rms_adamw", **options)
        self.adamw = AdamW(others, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of both, at the rate of their groups."""
        with torch.enable_grad():
            loss = closure() if closure else None
        of_others, of_kernels = self.param_groups
        self.adamw.param_groups[0]["lr"] = of_others["lr"]
        self.muon.param_groups[0]["lr"] = of_kernels["lr"]
        for kernel, matrix in zip(of_kernels["params"], self.matrices, strict=True):
            matrix.grad = None if kernel.grad is None else as_matrix(kernel.grad)
        self.adamw.step()
        self.muon.step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"adamw": self.adamw.state_dict(), "muon": self.muon.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the states of both; rates are the schedule's to set."""
        self.adamw.load_state_dict(state_dict["adamw"])
        self.muon.load_state_dict(state_dict["muon"])


def _is_kernel(weight: Tensor) -> bool:
    return weight.ndim == 4 and weight[0, 0].numel() > 1


def as_matrix(kernel: Tensor) -> Tensor:
    """A kernel (out, in, rows, columns) as (out, rows * columns * in), in the same memory if its channels lie last.

    Of a transposed convolution, whose kernels are (in, out, rows, columns), in and out change places.
    """
    return kernel.permute(0, 2, 3, 1).flatten(1)
