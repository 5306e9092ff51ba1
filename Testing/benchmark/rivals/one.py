"""One rival, measured in this process: what ``make bench-rivals`` calls for each in a fresh one."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from Testing.benchmark.rivals.configurations import ONNX_RUNTIME, OPENVINO, OURS, RIVALS, NnUNet, SegResNet
from Testing.benchmark.rivals.measurement import Measurement

NO_LIVER = "Where to crop is not known, since our segmenter found no liver; see the lines above."


def measure(
    name: str,
    ct: str,
    threads: int,
    runs: int,
    sample: int | None,
    liver_box: list[tuple[int, int]] | None,
    onnx: str,
) -> dict[str, Any]:
    """What the table and the JSON tell of a rival; the arguments are those of the command, and ``onnx`` is our
    network as an ONNX file, for the engines.
    """
    started = perf_counter()
    import torch

    torch.set_num_threads(threads)
    measured = _measure(name, ct, runs, sample, liver_box, onnx)
    return {
        "seconds": measured.seconds,
        "whole": measured.whole,
        "patches": measured.patches,
        "patches timed": measured.patches_timed,
        "estimated": measured.is_estimated,
        "peak memory in GB": measured.peak_gb,
        "process in seconds": perf_counter() - started,
        "details": measured.details,
    }


def export(path: str) -> dict[str, Any]:
    """Write our network as an ONNX file: in a process of its own, since no user of an engine needs its memory."""
    from Testing.benchmark.rivals import engines

    engines.export(path)
    return {}


def _measure(
    name: str, ct: str, runs: int, sample: int | None, liver_box: list[tuple[int, int]] | None, onnx: str
) -> Measurement:
    # Each needs packages that the others do not have.
    configuration = RIVALS[name].configuration
    if isinstance(configuration, NnUNet):
        from Testing.benchmark.rivals import nnunet

        if configuration.liver_only and liver_box is None:
            raise SystemExit(NO_LIVER)
        return nnunet.measure(configuration, ct, sample, liver_box if configuration.liver_only else None)
    if isinstance(configuration, SegResNet):
        from Testing.benchmark.rivals import segresnet

        return segresnet.measure(configuration, ct, sample)
    from Testing.benchmark.rivals import engines, ours

    if name == OURS:
        return ours.measure(ours.TimedSegmenter, ct, runs)
    make = {ONNX_RUNTIME: engines.onnx_runtime, OPENVINO: engines.openvino}[name]
    return engines.measure(make, onnx, ct, runs)
