"""The largest memory of this process between two moments: of the computer, and of a CUDA GPU if it uses one.

Linux keeps the largest resident size of a process (VmHWM in /proc/self/status) and forgets it when asked to
(5 in /proc/self/clear_refs); see proc(5). It counts from the start of the program, so that the process which started
this one does not matter, as it does for getrusage.
"""

from __future__ import annotations

import re
import resource
import sys
from pathlib import Path
from typing import Any

STATUS, FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
COMPUTER, GPU = "computer", "gpu"


class PeakMemory:
    """Peaks in GB (10⁹ bytes) since the last time that they were asked for."""

    def __init__(self) -> None:
        self._gpu: Any = None

    def watch_gpu(self, device: Any) -> None:
        """From now on tell the peak of what PyTorch holds on a CUDA device as well."""
        self._gpu = device

    def take(self) -> dict[str, float]:
        """The peaks by kind of memory; without the computer's where its system does not tell."""
        peaks = {}
        computer = _take_resident_gb()
        if computer is not None:
            peaks[COMPUTER] = computer
        if self._gpu is not None:
            import torch

            peaks[GPU] = torch.cuda.max_memory_allocated(self._gpu) / 1e9
            torch.cuda.reset_peak_memory_stats(self._gpu)
        return peaks


def whole_process_gb() -> float:
    """The peak since the process began, for systems that do not tell it in parts."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9


def _take_resident_gb() -> float | None:
    try:
        found = re.search(rb"^VmHWM:\s+(\d+) kB", STATUS.read_bytes(), re.MULTILINE)
        FORGET.write_bytes(b"5")
    except OSError:
        return None
    return int(found[1]) * 1024 / 1e9 if found else None
