"""A device that runs out of memory or is lost, as PyTorch tells of it; injected, so that no GPU is needed.

The ways that go on are tested beside the segmenter, in Testing/unit/test_segmenter.py.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from LiverSegLib.cli import main
from LiverSegLib.errors import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        np._core._exceptions._ArrayMemoryError((10**6, 10**6), np.dtype("f4")),
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)."),
        RuntimeError("[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you"),
        RuntimeError("could not create a primitive"),
    ],
    ids=lambda error: str(error)[:30],
)
def test_memory_that_runs_out_while_the_network_is_loaded_is_said_in_a_sentence(
    a_ct_file, tmp_path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    def without_memory(path: object) -> None:
        raise error

    assert is_out_of_memory(error)
    monkeypatch.setattr("LiverSegLib.model.liver_model.LiverModel.load", without_memory)
    assert main(["segment", str(a_ct_file), "-o", str(tmp_path / "liver.nii.gz")]) == 2
    assert "too little memory" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", ["CUDA error: unspecified launch failure", "a mistake of ours", "invalid argument"])
def test_other_errors_are_not_taken_for_a_lack_of_memory(words: str) -> None:
    assert not is_out_of_memory(RuntimeError(words))


def test_pytorch_tells_of_a_lost_gpu_with_an_error_that_the_segmenter_takes() -> None:
    """PyTorch has a class of its own for it since 2.8."""
    assert issubclass(getattr(torch, "AcceleratorError", RuntimeError), RuntimeError)
    assert issubclass(torch.cuda.OutOfMemoryError, RuntimeError)
