"""What lowers the loss: Muon for the kernels of convolutions, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer

MOMENTUM = 0.95
# Jordan et al.: of the quintic that brings the singular values of a matrix near 1 in five rounds.
QUINTIC = (3.4445, -4.7750, 2.0315)
ROUNDS = 5


class MuonAdamW(Optimizer):
    """Muon for the kernels of more than one pixel or voxel, AdamW for all else, with one rate for both.

    Muon (Jordan et al., https://kellerjordan.github.io/posts/muon) turns the step of a matrix into the nearest
    orthogonal one, so that no direction of it lags behind. A kernel is seen as the matrix of its first axis by all
    others. Steps are as large as AdamW's (Liu et al., arXiv 2502.16982), so its rate suits both. PyTorch's own Muon
    works in bfloat16 alone, which takes 25 times as long on a CPU without it.

    Parameters
    ----------
    network
        Whose weights to move.
    lr, weight_decay
        Rate and decay of all weights.
    """

    def __init__(self, network: nn.Module, lr: float, weight_decay: float) -> None:
        kernels = [weight for weight in network.parameters() if _is_kernel(weight)]
        others = [weight for weight in network.parameters() if not _is_kernel(weight)]
        options = {"lr": lr, "weight_decay": weight_decay}
        super().__init__([{"params": others}, {"params": kernels}], options)
        self.momenta = [torch.zeros_like(kernel) for kernel in kernels]
        self.adamw = AdamW(others, **options)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """One step of both, at the rate of their groups."""
        with torch.enable_grad():
            loss = closure() if closure else None
        of_others, of_kernels = self.param_groups
        self.adamw.param_groups[0]["lr"] = of_others["lr"]
        self.adamw.step()
        for kernel, momentum in zip(of_kernels["params"], self.momenta, strict=True):
            if kernel.grad is not None:
                momentum.lerp_(kernel.grad, 1 - MOMENTUM)
                update = orthogonal(kernel.grad.lerp(momentum, MOMENTUM).flatten(1)).view_as(kernel)
                kernel.mul_(1 - of_kernels["lr"] * of_kernels["weight_decay"])
                kernel.add_(update, alpha=-of_kernels["lr"] * 0.2 * max(kernel.flatten(1).shape) ** 0.5)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The states of both."""
        return {"adamw": self.adamw.state_dict(), "muon": self.momenta}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the states of both; rates are the schedule's to set."""
        self.adamw.load_state_dict(state_dict["adamw"])
        for momentum, saved in zip(self.momenta, state_dict["muon"], strict=True):
            momentum.copy_(saved)


def _is_kernel(weight: Tensor) -> bool:
    return weight.ndim >= 4 and weight[0, 0].numel() > 1


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (m, n) with all singular values brought near 1, by a quintic Newton-Schulz iteration."""
    tall = matrix.shape[0] > matrix.shape[1]
    result = (matrix.T if tall else matrix).to(fast_dtype(matrix.device))
    result = result / result.norm().clamp(min=1e-7)
    a, b, c = QUINTIC
    for _ in range(ROUNDS):
        gram = result @ result.T
        result = torch.addmm(result, torch.addmm(gram, gram, gram, beta=b, alpha=c), result, beta=a)
    return (result.T if tall else result).to(matrix.dtype)


def fast_dtype(device: torch.device) -> torch.dtype:
    """bfloat16, but float32 on a CPU that would emulate it, at a tenth of the speed or less."""
    native = device.type != "cpu" or any(torch.cpu.get_capabilities().get(name) for name in ("avx512_bf16", "amx_bf16"))
    return torch.bfloat16 if native else torch.float32
