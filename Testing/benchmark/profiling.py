"""Where the time of a segmentation goes, operation by operation, by torch.profiler."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from Testing.benchmark.command import follow
from Testing.benchmark.places import BACK, watched
from Testing.benchmark.stages import StageClock

ROWS = 50


def measure(ct: str, device: str, output: str) -> dict[str, Any]:
    """Profile a resident segmenter's second segmentation, and write the stages and the table as text.

    To be watched slows it down: the shares count, not the seconds.
    """
    import torch
    from torch.profiler import ProfilerActivity, profile, record_function

    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.io.files import read_ct

    scan, segmenter = read_ct(ct), Segmenter(device=device)
    segmenter.segment(scan)
    on_gpu = segmenter.device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    clock = StageClock(BACK)

    @contextmanager
    def enter(stage: str) -> Iterator[None]:
        with clock.stage(stage), record_function(f"stage: {stage}"):
            yield

    with profile(activities=activities) as profiler, watched(enter, lambda used: follow(used.device, clock)):
        segmenter.segment(scan)
        seconds = clock.stop()
        if on_gpu:
            torch.cuda.synchronize()
    order = "self_device_time_total" if on_gpu else "self_cpu_time_total"
    operations = profiler.key_averages()
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{stage:<20} {taken:9.3f} s" for stage, taken in seconds.items()]
    table = operations.table(sort_by=order, row_limit=ROWS, max_name_column_width=60)
    path.write_text("\n".join([*lines, "", table]) + "\n", encoding="utf-8")
    return {"path": str(path), "seconds": seconds}
