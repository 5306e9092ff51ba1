"""Each kind of file that the library writes, by the ending of its name, as a function of the path.

Every file is larger than 400 bytes, so that writing can be stopped after the first half of that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from LiverSegLib import files, picture
from LiverSegLib.metrics import compare
from LiverSegLib.report import SegmentationReport
from LiverSegLib.volume import CTVolume
from Training.export import export
from Training.fit import Settings

LABELS = np.random.default_rng(0).integers(0, 3, (12, 40, 40), dtype=np.uint8)
AFFINE = np.diag((0.75, 0.75, 2.5, 1.0))
REPORT = SegmentationReport(
    input="ct.nii.gz",
    output="liver.nii.gz",
    model={"name": "untrained", "version": "0", "sha256": "0" * 64},
    device="cpu",
    seconds={"load": 0.1, "preprocess": 0.2, "network": 0.3, "postprocess": 0.4, "write": 0.5, "total": 1.5},
    liver_volume_ml=1234.5,
    tumour_volume_ml=None,
    warnings=("The liver was found in 3 separate pieces; check that each of them is liver.",),
    **compare(LABELS > 0, LABELS > 1, (2.5, 0.75, 0.75)),
)


def labels(path: Path) -> None:
    """As NIfTI, NRRD or a segmentation."""
    files.write_labels(path, LABELS, AFFINE)


def ct(path: Path) -> None:
    """The image of a phantom."""
    files.write_ct(path, CTVolume(LABELS.astype(np.int16), AFFINE))


def overlay(path: Path) -> None:
    """A picture that PNG cannot make small."""
    picture.write_png(path, np.random.default_rng(0).integers(0, 255, (60, 60, 3), dtype=np.uint8))


def model(path: Path) -> None:
    """Weights with their card, from a checkpoint as training leaves it."""
    export(Path(a_training_run().name) / "last.ckpt", path, "untrained", None)


@cache
def a_training_run() -> TemporaryDirectory:
    """What training leaves, removed when the process ends."""
    folder = TemporaryDirectory()
    (Path(folder.name) / "log.csv").write_text("step,loss\n4,0.5\n")
    average = {"module.head.weight": torch.zeros(64, 4, 1, 1)}
    state = {"settings": asdict(Settings()), "average": average, "step": 4, "commit": "none"}
    torch.save(state, Path(folder.name) / "last.ckpt")
    return folder


WRITERS: dict[str, Callable[[Path], None]] = {
    "liver.nii.gz": labels,
    "liver.nii": labels,
    "liver.nrrd": labels,
    "liver.seg.nrrd": labels,
    "ct.nii.gz": ct,
    "report.json": REPORT.write_json,
    "report.csv": REPORT.write_csv,
    "overlay.png": overlay,
    "model.pt": model,
}
