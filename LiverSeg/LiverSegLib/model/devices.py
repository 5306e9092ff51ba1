"""Which processor runs the network: asked for by name, proved by a kernel that really runs."""

from __future__ import annotations

import numpy as np
import torch

from .. import messages
from ..errors import DeviceError


def choose_device(name: str = "auto") -> tuple[torch.device, list[str]]:
    """The device to compute on, and warnings in plain words.

    Parameters
    ----------
    name
        "auto" (CUDA, then MPS, then the CPU), "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    DeviceError
        If the name means nothing here: unknown, or a GPU that this computer does not have. A GPU that is there but
        cannot run a kernel is no error: the CPU takes over and a warning says so.
    """
    if name == "auto":
        name = "cuda:0" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = _named_device(name)
    failure = _kernel_failure(device)
    if failure is None:
        return device, []
    return torch.device("cpu"), [messages.GPU_WITHOUT_KERNEL.format(device=device, reason=failure)]


def usable_devices() -> list[str]:
    """Names of all devices that run a kernel now."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [name for name in names if _kernel_failure(torch.device(name)) is None]


def use_threads(count: int) -> None:
    """Let the network take so many threads of the CPU in this process, from now on."""
    torch.set_num_threads(count)


def keep_freed_memory() -> None:
    """Let this process reuse the memory of a batch for the next one, from the first batch on.

    glibc gives each large block back to the system when it is freed, and the next one comes anew, page by page, until a
    larger one was freed: from then on it keeps blocks up to that size, at most 32 MiB (mallopt(3), M_MMAP_THRESHOLD).
    So one is freed here; it is never touched, and elsewhere nothing changes. A first segmentation takes a tenth less.

    Raises
    ------
    MemoryError
        If there is not even room for it.
    """
    _ = np.empty(31 * 2**20, np.uint8)


def fast_dtype(device: torch.device) -> torch.dtype:
    """The type in which this device runs a network fastest: one of half precision where it has the instructions."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return torch.float32


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(messages.NO_DEVICE.format(name=repr(name))) from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(messages.UNSUPPORTED_DEVICE.format(name=repr(name)))
    if device.type == "cuda":
        index = device.index or 0
        if index >= torch.cuda.device_count():
            raise DeviceError(messages.NO_GPU.format(name=repr(name), count=torch.cuda.device_count()))
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError(messages.NO_APPLE_GPU)
    return torch.device(device.type)


def _kernel_failure(device: torch.device) -> str | None:
    # torch.cuda.is_available() is True on GPUs that the installed wheel has no kernels for: only running one tells.
    if device.type == "cpu":
        return None
    try:
        image, kernel = (torch.ones(1, 1, size, size, device=device) for size in (8, 3))
        dtype = fast_dtype(device)
        answer = torch.nn.functional.conv2d(image.to(dtype), kernel.to(dtype))
        total = answer.float().sum().item()  # waits for the kernel: only now is a failure known
    except (RuntimeError, AssertionError, torch.cuda.DeferredCudaCallError) as error:
        return str(error).splitlines()[0]
    return None if total == 6 * 6 * 9 else messages.WRONG_NUMBERS


def _cpu_has_bfloat16() -> bool:
    # Emulated bfloat16 is slower than float32. PyTorch has no public question for the native instructions.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, question, lambda: False)() for question in questions)
