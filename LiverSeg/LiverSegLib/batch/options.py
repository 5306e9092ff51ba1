"""BatchOptions: what is wanted of every case of a run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass

from .. import __version__, messages
from ..errors import InputError, OutputError
from ..inference.options import SegmentOptions
from ..io.files import WRITABLE_SUFFIXES

DICOM_SUFFIX = ".dcm"
SUFFIXES = (*WRITABLE_SUFFIXES, DICOM_SUFFIX)

# What may differ between two runs of which the one goes on with the other's results. Devices and numbers of threads
# round differently, which moves a voxel now and then; a night's work is not thrown away for that, and the report of
# each case names its device. The weights are told apart by their content, not by where they lie.
_WITHOUT_EFFECT = ("device", "threads", "model")


@dataclass(frozen=True)
class BatchOptions(SegmentOptions):
    """The same for all cases of a run: beside what is wanted of each segmentation, what is wanted of its files.

    Parameters
    ----------
    suffix
        Ending of the segmentations, one of :data:`SUFFIXES`; ".dcm" is DICOM SEG, for DICOM cases only.
    pictures
        Draw the outlines on some slices of each case.
    patient_data
        Add patient ID and study date of DICOM cases to the records.
    threads
        Threads of the network in each process; None leaves it to PyTorch.

    Raises
    ------
    OutputError
        If segmentations cannot be written with this ending.
    InputError
        If the number of threads is not positive.
    """

    suffix: str = ".nii.gz"
    pictures: bool = True
    patient_data: bool = False
    threads: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.suffix not in SUFFIXES:
            formats = messages.ONE_OF.format(others=", ".join(SUFFIXES[:-1]), last=SUFFIXES[-1])
            raise OutputError(messages.FORMAT_NOT_WRITABLE.format(path=self.suffix or '""', formats=formats))
        if self.threads is not None and self.threads < 1:
            raise InputError(messages.BAD_THREADS.format(threads=self.threads))

    def digest(self, model_sha256: str) -> str:
        """A short text that changes when anything that changes results changes: options, weights, library version."""
        wanted = {key: value for key, value in asdict(self).items() if key not in _WITHOUT_EFFECT}
        content = json.dumps([wanted, model_sha256, __version__], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:16]
