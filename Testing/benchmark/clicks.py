"""The first click after the start against the following ones: in one process, with and without the panel's warm-up."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from Testing.benchmark.command import follow
from Testing.benchmark.places import watched
from Testing.benchmark.stages import StageClock

BETWEEN = "between"


def measure(ct: str, device: str, warmed_up: bool, count: int = 3) -> dict[str, Any]:
    """Seconds from each click to the labels, of a CT that is open already, and those of each stage.

    Warmed up, the network was loaded and has run once, as the panel sees to while the user looks at it
    (LiverSegLib.mrml.scene_run.SceneSegmenter.warm_up); else the first click loads PyTorch and the network.

    Returns
    -------
    dict
        ``clicks``, a list of ``seconds`` in all and of ``stages``; of the last one what :func:`flops.work` tells.
    """
    from LiverSegLib.io.files import read_ct

    scan = read_ct(ct)
    segmenter = None
    if warmed_up:
        segmenter = _loaded(device)
        segmenter.warm_up()
    clicks = []
    for _ in range(count):
        clicked = perf_counter()
        segmenter = segmenter or _loaded(device)
        clock = StageClock(BETWEEN)
        with watched(clock.stage, lambda used, clock=clock: follow(used.device, clock)) as batches:
            segmenter.segment(scan)
            seconds = perf_counter() - clicked
            stages = clock.stop()
        stages.pop(BETWEEN)
        clicks.append({"seconds": seconds, "stages": stages})
    from Testing.benchmark import flops

    return {"clicks": clicks, **flops.work(segmenter.model.network, batches)}


def _loaded(device: str) -> Any:
    from LiverSegLib.inference.segmenter import Segmenter

    return Segmenter(device=device)
