"""How many threads of the CPU the network takes: fewer where other work beside it makes that faster.

Threads wait for each other at every small operation. One that shares its core with another program keeps all others
waiting, and where somebody else loaded PyTorch before us (as in Slicer) they spin meanwhile, and keep each other from
their cores: two can be slower than one. Where it was tried, the result is the same bit for bit with one and with two
(docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter, thread_time

import torch

# A thread with a core of its own is on it nearly all the time; one that shares it, or waits for such a one, is not.
HINDERED_SHARE = 0.8
# So much faster another number has to be: times scatter from batch to batch.
GAIN = 0.9
# A trial may take twice the time of a batch, so after one that failed so many batches go by.
REST = 20


class Threads:
    """The number of threads of one network, which follows what is free from batch to batch."""

    def __init__(self) -> None:
        self._count: int | None = None  # as many as PyTorch takes
        self._trial: int | None = None
        self._seconds = 0.0  # for a pixel, with the number before the trial
        self._rest = 2  # the first batch makes PyTorch prepare each operation, and tells nothing

    @contextmanager
    def batch(self, pixels: int) -> Iterator[None]:
        """What happens within is one batch of so many pixels."""
        most = torch.get_num_threads()
        count = min(self._trial or self._count or most, most)
        began, own = perf_counter(), thread_time()
        try:
            _use(count)
            yield
        finally:
            _use(most)
        seconds = perf_counter() - began
        self._judge(count, most, seconds / pixels, thread_time() - own < HINDERED_SHARE * seconds)

    def _judge(self, count: int, most: int, seconds: float, is_hindered: bool) -> None:
        """Choose the number for the next batch, after one that took these seconds for a pixel."""
        if self._trial is None:
            self._seconds = seconds
            self._rest -= 1
        else:
            is_better = seconds < GAIN * self._seconds
            if is_better:
                self._count, self._seconds = count, seconds
            self._rest = 0 if is_better and is_hindered and count > 1 else REST
            self._trial = None
        if self._rest > 0:
            return
        if is_hindered and count > 1:
            self._trial = count // 2
        elif count < most:
            self._trial = min(2 * count, most)


def _use(count: int) -> None:
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
