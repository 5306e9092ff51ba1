"""The time that a network takes for its patches, wherever a sliding window calls it."""

from __future__ import annotations

from statistics import mean
from time import perf_counter

import torch
from torch import Tensor, nn


class PatchTimer(nn.Module):
    """In the place of a network: runs it, and keeps the seconds of each call.

    Parameters
    ----------
    network
        In evaluation mode.
    sample
        Run only so many patches; for the others a copy of the last answer is given, so that the sliding window goes on
        as usual, and the time of the network is estimated. None runs all.
    """

    def __init__(self, network: nn.Module, sample: int | None = None) -> None:
        super().__init__()
        if sample is not None and sample < 1:
            raise ValueError("at least one patch has to be timed")
        self.network, self.sample = network, sample
        self.patches = 0
        self.seconds_of_patches: list[float] = []
        self.seconds_inside = 0.0
        self._last: Tensor | None = None

    def forward(self, images: Tensor) -> Tensor:
        started = perf_counter()
        self.patches += 1
        if self.sample is None or self.patches <= self.sample:
            answer = self.network(images)
            self.seconds_of_patches.append(perf_counter() - started)
            if self.patches == self.sample:
                # A copy, since the sliding window may weight what it is given in its place.
                self._last = answer.clone()
        else:
            assert self._last is not None
            answer = self._last.clone()
        self.seconds_inside += perf_counter() - started
        return answer

    @property
    def network_seconds(self) -> float:
        """Of all patches: measured, or the mean of the sample times their number."""
        return mean(self.seconds_of_patches) * self.patches if self.seconds_of_patches else 0.0

    @torch.inference_mode()
    def warm_up(self, images: Tensor) -> None:
        """One call that does not count: what PyTorch prepares for a shape is not part of any patch."""
        self.network(images)

    @property
    def parameters_in_millions(self) -> float:
        """Size of the network."""
        return sum(weights.numel() for weights in self.network.parameters()) / 1e6
