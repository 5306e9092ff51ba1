"""What the times were measured on, and with which packages."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    *("torch", "numpy", "scipy", "nibabel", "nnunetv2", "dynamic-network-architectures", "monai"),
    *("onnxruntime", "openvino", "onnx", "onnxscript"),
)
# Instructions that decide how fast a CPU computes convolutions.
INSTRUCTIONS = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")


def described(threads: int) -> dict[str, Any]:
    """The machine, in words and numbers."""
    about = _text_of("/proc/cpuinfo")
    model = re.search(r"^model name\s*: (.+)$", about, re.MULTILINE)
    flags = set(about.split())
    return {
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "instructions": [name for name in INSTRUCTIONS if name in flags],
        "cores": os.cpu_count(),
        "threads": threads,
        "memory in GB": _memory_gb(),
        "system": f"{platform.system()} {platform.release()}",
        "python": sys.version.split()[0],
    }


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
