"""Each kind of file that the library writes, by the ending of its name, as a function of the path.

Every file is larger than 400 bytes: more than fits on a disk that is full to the last block.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch

from LiverSegLib.batch.page import write_page
from LiverSegLib.batch.record import CaseRecord
from LiverSegLib.data.metrics import compare
from LiverSegLib.data.structures import LIVER, TUMOUR
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.dicom.measurements import write_measurements
from LiverSegLib.dicom.segmentation import write_segmentation
from LiverSegLib.evaluation import picture
from LiverSegLib.evaluation.report import SegmentationReport
from LiverSegLib.io import files
from LiverSegLib.model.liver_model import ModelCard, bundled_model_path
from Testing.dicom_files import save, slices_of
from Training.export import export
from Training.settings import Settings

LABELS = np.random.default_rng(0).integers(0, 3, (12, 40, 40), dtype=np.uint8)
AFFINE = np.diag((0.75, 0.75, 2.5, 1.0))
CARD = ModelCard.read(bundled_model_path().with_suffix(".json"))
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
    export(Path(a_training_run().name) / "last.ckpt", path, "untrained")


@cache
def a_training_run() -> TemporaryDirectory:
    """What training leaves, removed when the process ends."""
    folder = TemporaryDirectory()
    average = {"module.head.weight": torch.zeros(64, 4, 1, 1)}
    about = {"trained_on": ["ircad_e01"], "validated_on": [], "earlier": [], "code": "none"}
    state = {"settings": asdict(Settings()), "average": average, "step": 4, **about}
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


def segmentation(path: Path) -> None:
    """A DICOM SEG."""
    write_segmentation(path, LABELS, a_series(), CARD)


def measurements(path: Path) -> None:
    """A DICOM report, of a DICOM SEG that is there."""
    write_measurements(path, a_dicom_seg(), a_series(), CARD, {LIVER: 1234.5, TUMOUR: 5.0})


def page(path: Path) -> None:
    """What a browser shows of a batch."""
    write_page(path, [CaseRecord("ct", "ct.nii.gz", "done", report=REPORT.to_dict())], "Livers")


@cache
def a_series() -> tuple[Path, ...]:
    """The files of a CT of the size of the labels."""
    return tuple(save(slices_of(LABELS.astype(np.int16), AFFINE), Path(a_dicom_folder().name, "series")))


@cache
def a_dicom_seg() -> Path:
    """A DICOM SEG of that CT."""
    path = Path(a_dicom_folder().name, "seg.dcm")
    segmentation(path)
    return path


@cache
def a_dicom_folder() -> TemporaryDirectory:
    """Removed when the process ends."""
    return TemporaryDirectory()


# These hold a time or an identifier of their own, or cannot be read as labels or an image: no two of them are equal.
MORE_WRITERS: dict[str, Callable[[Path], None]] = {
    "segmentation.dcm": segmentation,
    "measurements.dcm": measurements,
    "index.html": page,
}
ALL_WRITERS = WRITERS | MORE_WRITERS
