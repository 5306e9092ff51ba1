"""The machine's own limit: how fast large convolutions run through the library that the network runs through."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

# Channels and pixels of a side of 3×3 convolutions: the larger half of what U-Nets are made of.
SIZES = ((64, 112), (128, 56), (128, 112), (256, 56))
# Enough for the device to be busy, and calls that are timed together: a GPU takes them without waiting.
IMAGES, CALLS = {"cpu": 4, "cuda": 64, "mps": 16}, {"cpu": 1, "cuda": 20, "mps": 20}


def measure(device: str = "auto", seconds: float = 0.5) -> dict[str, Any]:
    """GFLOP/s by precision, the best that any convolution reached, and of each; each is repeated for so many seconds.

    Precisions are float32 and the one that the segmenter chooses on this device, or else bfloat16.
    """
    import torch

    from LiverSegLib.model.devices import choose_device, fast_dtype

    chosen, _ = choose_device(device)
    used = fast_dtype(chosen)
    dtypes = {torch.float32: None, (torch.bfloat16 if used is torch.float32 else used): None}
    convolutions = [
        {"precision": _name(dtype), "channels": channels, "pixels": pixels, "gflops": rate}
        for dtype in dtypes
        for channels, pixels in SIZES
        for rate in [_rate(chosen, dtype, channels, pixels, seconds)]
    ]
    best = {
        _name(dtype): max(each["gflops"] for each in convolutions if each["precision"] == _name(dtype))
        for dtype in dtypes
    }
    processor = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else _processor()
    return {
        "device": str(chosen),
        "processor": processor,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "precision": _name(used),
        "gflops": best,
        "convolutions": convolutions,
    }


def _rate(device: Any, dtype: Any, channels: int, pixels: int, seconds: float) -> float:
    """Best GFLOP/s of one convolution."""
    import torch

    images, calls = IMAGES[device.type], CALLS[device.type]
    convolution = torch.nn.Conv2d(channels, channels, 3, padding=1, bias=False).to(device, dtype)
    convolution = convolution.to(memory_format=torch.channels_last)
    given = torch.randn(images, channels, pixels, pixels, device=device).to(dtype)
    given = given.contiguous(memory_format=torch.channels_last)
    flop = calls * images * 2 * 9 * channels**2 * pixels**2
    with torch.inference_mode():
        return flop / 1e9 / _quickest(lambda: [convolution(given) for _ in range(calls)], device, seconds)


def _quickest(work: Callable[[], Any], device: Any, seconds: float) -> float:
    """Seconds of the quickest of several repeats; the first one, which prepares what the others find, is left out."""
    work()
    _wait_for(device)
    taken: list[float] = []
    begun = perf_counter()
    while not taken or perf_counter() - begun < seconds:
        started = perf_counter()
        work()
        _wait_for(device)
        taken.append(perf_counter() - started)
    return min(taken)


def _wait_for(device: Any) -> None:
    import torch

    if device.type != "cpu":
        getattr(torch, device.type).synchronize()


def _name(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")


def _processor() -> str:
    """The processor's name, as far as the system tells."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(encoding="utf-8").splitlines() if information.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
