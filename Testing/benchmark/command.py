"""One ``liverseg segment`` as a user starts it, with the time or the peak memory of each stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from Testing.benchmark import memory
from Testing.benchmark.places import LOAD, WRITE, watched
from Testing.benchmark.stages import StageClock


def measure(ct: str, folder: str, device: str, started: float, with_memory: bool) -> dict[str, Any]:
    """Run the command in this process, and leave its result as ``liver.nii.gz`` in a folder.

    Parameters
    ----------
    started
        When this process was started, as perf_counter tells: loading Python is a part of loading.
    with_memory
        Ask for the memory as well. That takes a tenth of a millisecond for each change of stage, so that the times of
        such a run are not for use.

    Returns
    -------
    dict
        ``seconds`` and ``peak_gb`` by stage, ``process_gb``, and what :func:`flops.work` tells of the network.
    """
    peaks = memory.PeakMemory() if with_memory else None
    clock = StageClock(LOAD, started, peaks)
    from LiverSegLib import cli

    labels = Path(folder) / "liver.nii.gz"

    def begin(segmenter: Any) -> None:
        follow(segmenter.device, clock, peaks)

    with watched(clock.stage, begin, lambda: clock.go_on_as(WRITE)) as batches:
        failed = cli.main(["segment", ct, "-o", str(labels), "--device", device])
        seconds = clock.stop()
    if failed:
        raise SystemExit(failed)
    of_process = [peak[memory.COMPUTER] for peak in clock.peak_gb.values() if memory.COMPUTER in peak]
    from LiverSegLib.model.liver_model import LiverModel
    from Testing.benchmark import flops

    return {
        "seconds": seconds,
        "peak_gb": clock.peak_gb,
        "process_gb": max(of_process) if of_process else memory.whole_process_gb(),
        **flops.work(LiverModel.load().network, batches),
    }


def follow(device: Any, clock: StageClock, peaks: memory.PeakMemory | None = None) -> None:
    """On a CUDA GPU, take the time in its queue, and its memory."""
    if device.type != "cuda":
        return
    import torch

    def event() -> Any:
        noted = torch.cuda.Event(enable_timing=True)
        noted.record(torch.cuda.current_stream(device))
        return noted

    if peaks is not None:
        peaks.watch_gpu(device)
    clock.use_events(event)
