"""Our U-Net under other engines: exported to ONNX, fed with our segmenter's batches, compared with PyTorch."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from LiverSegLib.inference.preprocess import pad_to_multiple
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.unet import fold_batch_norm
from Testing.benchmark.rivals import ours
from Testing.benchmark.rivals.measurement import Measurement

# Of the pixels, how many must get the same class as from PyTorch in float32, whatever the engine computes in.
LEAST_AGREEMENT = 0.995
Engine = Callable[[np.ndarray], np.ndarray]


class EngineSegmenter(ours.TimedSegmenter):
    """Our segmenter with another engine for its network."""

    def __init__(self, engine: Engine, precision: str) -> None:
        super().__init__()
        self._engine, self._precision = engine, precision

    def answer(self, images: Tensor) -> Tensor:
        rows, columns = images.shape[2:]
        padded = pad_to_multiple(images, -1.0).contiguous()
        return torch.from_numpy(self._engine(padded.numpy()))[..., :rows, :columns]

    @property
    def precision(self) -> str:
        return self._precision


def measure(make: Callable[[str, int], tuple[Engine, str]], onnx: str, ct_path: str, runs: int) -> Measurement:
    """Run our segmenter with an engine, which ``make`` starts from an ONNX file with so many threads.

    Raises
    ------
    SystemExit
        If the engine's answer is not that of PyTorch.
    """
    segmenter = EngineSegmenter(*make(onnx, torch.get_num_threads()))
    measured = ours.measure(lambda: segmenter, ct_path, runs)
    measured.details["agreement"] = agreement(segmenter)
    return measured


def export(path: str) -> None:
    """Write the bundled U-Net, batch normalisation folded, for batches of any number and size of slices."""
    model = LiverModel.load()
    example = torch.zeros(2, len(model.card.offsets_mm), 96, 128)
    anything = torch.export.Dim.DYNAMIC
    with contextlib.redirect_stdout(None):
        torch.onnx.export(
            fold_batch_norm(model.network),
            (example,),
            path,
            dynamo=True,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes={"images": {0: anything, 2: anything, 3: anything}},
            verbose=False,
        )


def agreement(segmenter: EngineSegmenter) -> dict[str, float]:
    """How the engine's logits of the last batch lie to those of PyTorch in float32, and how ours do."""
    images = segmenter.last_images
    assert images is not None
    rows, columns = images.shape[2:]
    with torch.inference_mode():
        exact = segmenter.model.network(pad_to_multiple(images, -1.0))[..., :rows, :columns]
        engine, own = segmenter.answer(images), super(EngineSegmenter, segmenter).answer(images)
    found = {"same class": same_class(engine, exact), "largest difference": float((engine - exact).abs().max())}
    found |= {"same class, ours": same_class(own, exact), "largest difference, ours": float((own - exact).abs().max())}
    if found["same class"] < LEAST_AGREEMENT:
        raise SystemExit(f"The engine's network is not ours: {found}; compare versions before any time is believed.")
    return found


def same_class(logits: Tensor, others: Tensor) -> float:
    """Share of the pixels for which two logits (n, class, rows, columns) name the same class."""
    return float((logits.argmax(dim=1) == others.argmax(dim=1)).float().mean())


def onnx_runtime(path: str, threads: int) -> tuple[Engine, str]:
    """On the CPU, in float32: ONNX Runtime converts nothing by itself."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return (lambda images: session.run(None, {"images": images})[0]), "float32"


def openvino(path: str, threads: int) -> tuple[Engine, str]:
    """On the CPU, in the precision that OpenVINO takes by itself: bfloat16 where the CPU has it."""
    import openvino as runtime

    compiled: Any = runtime.Core().compile_model(path, "CPU", {"INFERENCE_NUM_THREADS": threads})
    precision = compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    # A copy, since the next batch overwrites the answer.
    return (lambda images: np.array(compiled(images)[0])), {"bf16": "bfloat16", "f32": "float32"}.get(
        precision, precision
    )
