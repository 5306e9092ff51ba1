"""Which functions of the library belong to which stage; they are watched from outside, and the library knows nothing.

What happens in a segmentation and is not named here is the way back to the grid: from the network's logits to labels
on the scan's own voxels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

LOAD, PREPARE, NETWORK, BACK = "load", "prepare", "network", "back to the grid"
CLEAN_UP, WRITE, SURFACE = "clean-up", "write", "surface"
STAGES = (LOAD, PREPARE, NETWORK, BACK, CLEAN_UP, WRITE)

# Enters a stage: a StageClock's, or one of the profiler's.
Enter = Callable[[str], Any]
Replacement = tuple[Any, str, Callable[..., Any]]


@contextmanager
def watched(
    enter: Enter, begin: Callable[[Any], None] = lambda segmenter: None, end: Callable[[], None] = lambda: None
) -> Iterator[list[list[int]]]:
    """Let the functions of the library enter their stages, and give the shapes of the batches of the network.

    Parameters
    ----------
    enter
        Called with the name of a stage; what it gives is entered and left.
    begin
        Called with the segmenter before each segmentation.
    end
        Called after each.
    """
    from LiverSegLib.inference import segmenter
    from LiverSegLib.inference.label_writer import LabelWriter
    from LiverSegLib.inference.predictor import Predictor
    from LiverSegLib.inference.slice_cache import SliceCache
    from LiverSegLib.inference.stack import StackInference

    Segmenter = segmenter.Segmenter
    batches: list[list[int]] = []
    segment, log_odds = Segmenter.segment, Predictor.log_odds

    @functools.wraps(segment)
    def one_segmentation(self: Any, *arguments: Any, **options: Any) -> Any:
        begin(self)
        try:
            with enter(BACK):
                return segment(self, *arguments, **options)
        finally:
            end()

    @functools.wraps(log_odds)
    def one_batch(self: Any, images: Any, *organ: Any) -> Any:
        batches.append(list(images.shape))
        with enter(NETWORK):
            return log_odds(self, images, *organ)

    stages = [
        (segmenter, "check_input", PREPARE),
        (segmenter, "to_upright", PREPARE),
        (StackInference, "__init__", PREPARE),
        (SliceCache, "stacks", PREPARE),
        (LabelWriter, "clean_up", CLEAN_UP),
        (segmenter, "check_result", CLEAN_UP),
    ]
    replaced: list[Replacement] = [(Segmenter, "segment", one_segmentation), (Predictor, "log_odds", one_batch)]
    replaced += [(place, name, _in_stage(getattr(place, name), enter, stage)) for place, name, stage in stages]
    with _replaced(replaced):
        yield batches


def _in_stage(function: Callable[..., Any], enter: Enter, stage: str) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*arguments: Any, **options: Any) -> Any:
        with enter(stage):
            return function(*arguments, **options)

    return run


@contextmanager
def _replaced(replacements: list[Replacement]) -> Iterator[None]:
    originals = [getattr(place, name) for place, name, _ in replacements]
    for place, name, replacement in replacements:
        setattr(place, name, replacement)
    try:
        yield
    finally:
        for (place, name, _), original in zip(replacements, originals, strict=True):
            setattr(place, name, original)
