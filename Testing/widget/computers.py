"""Computers on which something is wrong: a GPU that fails, a PyTorch that does not load, a disk without room."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest
import slicer

from Testing.gpu import believe_in_a_gpu


def segmenter_on_a_gpu(monkeypatch: pytest.MonkeyPatch, change: Callable) -> Callable:
    """Factory of real segmenters that believe the CPU to be cuda:0; ``change`` is given the network and replaces it."""
    from LiverSegLib.inference.segmenter import BATCH_SIZE, Segmenter

    def make(device: str) -> Segmenter:
        segmenter = Segmenter(device="cuda:0")
        segmenter.predictor.network = change(segmenter.predictor.network)
        return segmenter

    believe_in_a_gpu(monkeypatch)
    monkeypatch.setitem(BATCH_SIZE, "cuda", 4)
    return make


class Lost:
    """A network whose GPU answers one batch and then never again."""

    def __init__(self, network: Callable) -> None:
        self._network, self._batches = network, 1

    def __call__(self, images):
        self._batches -= 1
        if self._batches < 0:
            raise RuntimeError("CUDA error: unspecified launch failure\nCompile with TORCH_USE_CUDA_DSA")
        return self._network(images)


class BrokenTorch:
    """For sys.meta_path: PyTorch is found, but one of its libraries is not."""

    def find_spec(self, name, path=None, target=None):
        return ModuleSpec(name, self) if name == "torch" else None

    def create_module(self, spec) -> None: ...

    def exec_module(self, module) -> None:
        raise OSError("libcudart.so.12: cannot open shared object file: No such file or directory\nmore lines")


@contextmanager
def a_full_disk(monkeypatch: pytest.MonkeyPatch, temporary_folder: Path) -> Iterator[None]:
    """No file can be written by anybody in this process, C++ included; temporary ones belong into the given folder."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        for name in ("TMPDIR", "TEMP", "TMP"):
            patch.setenv(name, str(temporary_folder))
        patch.setattr(tempfile, "tempdir", str(temporary_folder))
        patch.setattr(slicer.app, "temporaryPath", str(temporary_folder))
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
