"""Which processor is chosen, and what is said when the wanted one cannot work."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest
import torch

from LiverSegLib.errors import DeviceError
from LiverSegLib.model.devices import choose_device, usable_devices


@pytest.fixture
def a_gpu_without_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer whose PyTorch sees a GPU that its wheel has no kernels for."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    ones = torch.ones

    def no_kernel(*size: int, device: object = None, **options: object) -> torch.Tensor:
        if torch.device(device or "cpu").type == "cuda":
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nmore lines")
        return ones(*size, **options)

    monkeypatch.setattr(torch, "ones", no_kernel)


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A computer without any GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_the_cpu_always_works() -> None:
    assert choose_device("cpu") == (torch.device("cpu"), [])
    assert "cpu" in usable_devices()


@pytest.mark.usefixtures("no_gpu")
def test_auto_means_the_cpu_where_there_is_no_gpu() -> None:
    assert choose_device("auto") == (torch.device("cpu"), [])


@pytest.mark.usefixtures("no_gpu")
@pytest.mark.parametrize("name", ["cuda", "cuda:0", "cuda:7", "mps"])
def test_a_gpu_that_is_not_there_is_refused_with_the_alternative(name: str) -> None:
    with pytest.raises(DeviceError, match="use auto or cpu"):
        choose_device(name)


@pytest.mark.parametrize("name", ["gpu", "", "cuda:x", "cpu cpu", "meta", "xpu"])
def test_an_unknown_name_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(DeviceError, match="use auto, cpu, cuda"):
        choose_device(name)


@pytest.mark.usefixtures("a_gpu_without_kernels")
@pytest.mark.parametrize("name", ["auto", "cuda", "cuda:0"])
def test_a_gpu_that_runs_no_kernel_is_replaced_by_the_cpu_with_a_warning(name: str) -> None:
    device, warnings = choose_device(name)
    assert device == torch.device("cpu")
    assert len(warnings) == 1
    assert "no kernel image" in warnings[0]
    assert "\n" not in warnings[0]


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: device-side assert triggered"),
        AssertionError("Torch not compiled with CUDA enabled"),
        torch.cuda.DeferredCudaCallError("CUDA call failed lazily at initialization"),
        NotImplementedError("The operator is not implemented for this device"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_failure_of_a_gpu_gets_through(
    a_gpu_without_kernels: None, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*arguments: object) -> None:
        raise error

    ones = torch.ones
    monkeypatch.setattr(torch, "ones", lambda *size, **options: fail() if "device" in options else ones(*size))
    device, warnings = choose_device("cuda")
    assert device == torch.device("cpu")
    assert str(error) in warnings[0]
    assert usable_devices() == ["cpu"]


def test_a_gpu_that_computes_nonsense_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    ones = torch.ones
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr("LiverSegLib.model.devices.fast_dtype", lambda device: torch.float32)
    monkeypatch.setattr(torch, "ones", lambda *size, device: ones(*size))  # a GPU made of the CPU
    assert usable_devices() == ["cpu", "cuda:0"]
    monkeypatch.setattr(torch, "ones", lambda *size, device: torch.zeros(*size))
    assert usable_devices() == ["cpu"]


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators keep what is freed anyway")
def test_freed_memory_is_kept_from_the_first_batch_on() -> None:
    """The pages that ever larger blocks touch are mostly those of the blocks before."""
    program = (
        "import resource, sys; import numpy as np; from LiverSegLib.model.devices import keep_freed_memory\n"
        "if sys.argv[1] == 'keep': keep_freed_memory()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "for size in range(500_000, 3_500_000, 100_000): np.ones(size, np.uint8)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)"
    )

    def pages_touched(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", program, how], check=True, capture_output=True).stdout)

    assert pages_touched("keep") < pages_touched("as it is") / 4
