"""What this process holds: memory, threads, open files and tensors, as Linux and Python tell; and the end of a soak."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Allocators never give back all.
MOST_MEGABYTES = 20.0


@dataclass(frozen=True)
class Holdings:
    """At one moment, after everything that is free was given back: memory of its own in megabytes, and counts."""

    megabytes: float
    threads: int
    files: int
    tensors: int

    def to_dict(self) -> dict[str, float]:
        """As JSON has it."""
        return asdict(self)


def holdings() -> Holdings:
    """What this process holds now.

    Raises
    ------
    SystemExit
        Where the system does not tell: anywhere but on Linux.
    """
    if sys.platform != "linux":
        raise SystemExit("This needs Linux, which tells what a process holds; run it there.")
    import torch

    gc.collect()
    _give_back_free_memory()
    # By the type: isinstance would ask each object for its class, and some of PyTorch's warn when they are asked.
    tensors = sum(issubclass(type(held), torch.Tensor) for held in gc.get_objects())
    return Holdings(_own_megabytes(), len(os.listdir("/proc/self/task")), _open_files(), tensors)


def growth(before: Holdings, after: Holdings, megabytes: float = MOST_MEGABYTES) -> Iterator[str]:
    """A sentence for each thing that a process holds more of than before; of memory, more than so many megabytes."""
    if after.megabytes - before.megabytes > megabytes:
        yield f"memory grew from {before.megabytes:.0f} to {after.megabytes:.0f} MB, by more than {megabytes:g} MB"
    for name in ("threads", "files", "tensors"):
        old, new = getattr(before, name), getattr(after, name)
        if new > old:
            yield f"{name} grew from {old} to {new}"


def leave(found: Mapping[str, Any], what: str, output: Path) -> int:
    """Write what was found as JSON and say whether it passed; the exit code, 0 if it did."""
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(f"{what}: {'passed' if found['passed'] else 'failed'}", *found["failures"], sep="\n  ")
    return 0 if found["passed"] else 1


def _own_megabytes() -> float:
    """In memory or swapped out; without pages of files, which come and go as the system likes."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", status, flags=re.MULTILINE))
    return (int(kilobytes["RssAnon"]) + int(kilobytes["VmSwap"])) * 1024 / 1e6


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd")) - 1  # one of them is the folder that is listed


def _give_back_free_memory() -> None:
    """What the allocator keeps for later is no leak; glibc gives it back when asked, others know no such call."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
