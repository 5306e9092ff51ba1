"""Floating-point operations of the network on the batches that it was given; a multiplication and an addition are two.

They are counted by torch.utils.flop_counter on tensors without memory: convolutions count, and next to them nothing
else matters.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


def work(network: Any, batches: Sequence[Sequence[int]]) -> dict[str, int]:
    """What the network did: batches, images, their pixels, and operations ``flop``."""
    return {
        "batches": len(batches),
        "images": sum(count for count, *_ in batches),
        "pixels": sum(count * rows * columns for count, _, rows, columns in batches),
        "flop": of_batches(network, batches),
    }


def of_batches(network: Any, batches: Iterable[Sequence[int]]) -> int:
    """Operations of a network on batches (n, channel, rows, columns), with the padding that the segmenter adds."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from LiverSegLib.inference.preprocess import pad_to_multiple

    images: Counter[tuple[int, ...]] = Counter()
    for count, *size in batches:
        images[tuple(size)] += count
    bare = copy.deepcopy(network).to("meta").eval()
    total = 0
    for size, count in images.items():
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            bare(pad_to_multiple(torch.empty((1, *size), device="meta"), -1.0))
        total += count * counter.get_total_flops()
    return total
