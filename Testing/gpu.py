"""A GPU made of the CPU, for what must work where there is one and is tested where there is none."""

from __future__ import annotations

import pytest


def believe_in_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every segmenter believe its device to be cuda:0; what it sends there stays on the CPU."""
    import torch

    from LiverSegLib.model.devices import fast_dtype

    gpu, cpu, to = torch.device("cuda:0"), torch.device("cpu"), torch.Tensor.to

    def stay(self: torch.Tensor, *arguments: object, **options: object) -> torch.Tensor:
        return self if gpu in arguments else to(self, *arguments, **options)

    monkeypatch.setattr(torch.Tensor, "to", stay)
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr("LiverSegLib.inference.predictor.fast_dtype", lambda device: fast_dtype(cpu))
    monkeypatch.setattr("LiverSegLib.inference.predictor.choose_device", lambda name: (gpu, []))
