"""Which processor runs the network: asked for by name, proved by a kernel that really runs."""

from __future__ import annotations

import torch

from .errors import DeviceError


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
    warning = (
        f"The GPU {device} is there but cannot run the network ({failure}); the CPU was used. "
        "Install a PyTorch build that supports this GPU to use it."
    )
    return torch.device("cpu"), [warning]


def usable_devices() -> list[str]:
    """Names of all devices that run a kernel now."""
    names = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [name for name in names if _kernel_failure(torch.device(name)) is None]


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """The half-precision type that this device computes fast in, or None for float32."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    if device.type == "cpu" and _cpu_has_bfloat16():
        return torch.bfloat16
    return None


def _named_device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"There is no device called {name!r}; use auto, cpu, cuda, cuda:N or mps.") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise DeviceError(f"The device {name!r} is not supported; use auto, cpu, cuda, cuda:N or mps.")
    if device.type == "cuda":
        index = device.index or 0
        if index >= torch.cuda.device_count():
            raise DeviceError(
                f"There is no GPU {name!r}: PyTorch sees {torch.cuda.device_count()} CUDA devices; use auto or cpu."
            )
        return torch.device("cuda", index)
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("This computer has no Apple GPU that PyTorch can use; use auto or cpu.")
    return torch.device(device.type)


def _kernel_failure(device: torch.device) -> str | None:
    # torch.cuda.is_available() is True on GPUs that the installed wheel has no kernels for: only running one tells.
    if device.type == "cpu":
        return None
    try:
        image = torch.ones(1, 1, 8, 8, device=device)
        torch.nn.functional.conv2d(image, torch.ones(1, 1, 3, 3, device=device)).sum().item()
    except RuntimeError as error:
        return str(error).splitlines()[0]
    return None


def _cpu_has_bfloat16() -> bool:
    # Emulated bfloat16 is slower than float32. PyTorch has no public question for the native instructions.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, question, lambda: False)() for question in questions)
