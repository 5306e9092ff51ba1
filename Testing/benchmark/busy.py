"""Other work on the computer: made on purpose, and told when it was there unasked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# The limit scatters by a few hundredths on an idle machine.
IDLE_SHARE = 0.85


@contextmanager
def spinning(count: int) -> Iterator[None]:
    """So many processes that take all the time of a core each that they can get."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def lowest_share(limits: Sequence[dict[str, Any]]) -> float:
    """The lowest of several measurements of the machine's limit, as a share of the best: 1 if all are the same."""
    rates = [limit["gflops"][limit["precision"]] for limit in limits]
    return min(rates) / max(rates)


def warning(share: float) -> str | None:
    """What is to be said of the times if the limit fell to this share of its best meanwhile; None if they count."""
    if share >= IDLE_SHARE:
        return None
    return (
        f"**The machine was busy**: between the measurements its own limit fell to {share:.0%} of its best. "
        "These times say nothing of an idle one."
    )
