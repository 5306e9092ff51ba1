"""One case from file to record, in three stages: load, segment, write; those of different cases can overlap.

A stage raises what goes wrong. :func:`run_case` and :func:`failed_record` make a record of it, so that one bad scan
costs a night's work nothing.
"""

from __future__ import annotations

import errno
import shutil
import threading
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from .. import dicom, messages
from ..data.resample import reference_on_grid
from ..data.volume import CTVolume
from ..errors import Cancelled, DeviceError, InputError, LiverSegError, OutputError, is_out_of_memory
from ..evaluation.result_files import Result, ResultFiles, write_result
from ..io import files
from ..io.atomic import meant_for
from .cases import Case
from .options import DICOM_SUFFIX, BatchOptions
from .own_places import check_own_folders
from .record import RECORD_FILE, CaseRecord, case_folder, write_record

if TYPE_CHECKING:
    from ..inference.segmenter import Segmentation, Segmenter

SEGMENTATION, REPORT, PICTURE = "liver", "report.json", "overlay.png"

# With less than this, nothing more can be written, whatever the case is.
LEAST_FREE_BYTES = 1_000_000
DISK_FULL_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


@dataclass(frozen=True)
class LoadedCase:
    """A case with its image in memory.

    ``reference`` is uint8 (k, j, i) on the image's grid, None without one; ``warnings`` are about both.
    ``patient`` is as in :class:`LiverSegLib.batch.record.CaseRecord`, ``seconds`` how long loading took.
    """

    case: Case
    ct: CTVolume
    input_sha256: str
    reference: np.ndarray | None = None
    warnings: tuple[str, ...] = ()
    patient: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True)
class Found:
    """A case with what the network found in it."""

    loaded: LoadedCase
    segmentation: Segmentation


def run_case(
    case: Case, options: BatchOptions, output: Path, segmenter: Segmenter, cancel: threading.Event | None = None
) -> CaseRecord:
    """Load, segment and write a case; the record, which is on disk by then, tells what went wrong with it.

    Raises
    ------
    Cancelled
        If ``cancel`` was set.
    OutputError
        If nothing can be written into ``output`` any more, because the disk is full, say: the run is over.
    """
    try:
        loaded = load_case(case, options)
        return write_case(segment_loaded(loaded, segmenter, options, cancel), output, options)
    except Cancelled:
        raise
    except Exception as error:  # the boundary of a case: whatever it is, it becomes a record
        return failed_record(case, error, output)


def load_case(case: Case, options: BatchOptions) -> LoadedCase:
    """Read the image and its reference.

    Raises
    ------
    InputError
        If the case has a problem, or a file cannot be used.
    OSError
        If a file vanished while it was read.
    """
    started = perf_counter()
    if case.problem:
        raise InputError(case.problem)
    if options.suffix == DICOM_SUFFIX and case.series_uid is None:
        raise InputError(messages.SEG_NEEDS_DICOM_CASE.format(name=case.source or case.name))
    if options.suffix == DICOM_SUFFIX:
        from ..dicom.segmentation import check_can_write

        check_can_write(case.files, case.name)
    ct = _read_ct(case, options)
    reference, warnings = None, tuple[str, ...]()
    if case.reference is not None:
        on_grid = reference_on_grid(files.read_labels(case.reference), ct.geometry)
        reference, warnings = on_grid.labels, on_grid.warnings
    patient = _patient(case) if options.patient_data else {}
    digest = case.input_digest()
    return LoadedCase(case, ct, digest, reference, (*case.warnings, *warnings), patient, perf_counter() - started)


def segment_loaded(
    loaded: LoadedCase, segmenter: Segmenter, options: BatchOptions, cancel: threading.Event | None = None
) -> Found:
    """Run the network; raises what :meth:`LiverSegLib.inference.segmenter.Segmenter.segment` raises."""
    return Found(loaded, segmenter.segment(loaded.ct, options, cancel=cancel))


def write_case(found: Found, output: Path, options: BatchOptions) -> CaseRecord:
    """Write segmentation, report and picture, and at last the record, which makes them whole.

    Raises
    ------
    OutputError
        If a file cannot be written; those of this case are taken away again.
    """
    loaded, segmentation = found.loaded, found.segmentation
    case = loaded.case
    targets = _targets(case, emptied_folder(output, case.name), options)
    written = {
        "segmentation": targets.labels,
        "anatomy": targets.anatomy,
        "report": targets.report,
        "picture": targets.picture,
    }
    paths = {role: path.relative_to(output).as_posix() for role, path in written.items() if path}
    seconds = {**segmentation.seconds, "load": segmentation.seconds.get("load", 0.0) + loaded.seconds}
    result = Result(
        replace(segmentation, seconds=seconds, warnings=_without_paths(segmentation.warnings, case)),
        loaded.ct,
        input=case.source or case.name,
        output=paths["segmentation"],
        tumour=options.tumour,
        reference=loaded.reference,
        warnings=_without_paths(loaded.warnings, case),
        name=case.name,
    )
    report = write_result(targets, result)
    model_sha256 = segmentation.model.sha256
    record = CaseRecord(
        name=case.name,
        input=case.source or case.name,
        status="done",
        input_sha256=loaded.input_sha256,
        model_sha256=model_sha256,
        options=options.digest(model_sha256),
        report=report.to_dict(),
        files=paths,
        seconds=round(report.seconds["total"], 3),
        patient=loaded.patient,
    )
    write_record(output, record)
    return record


def failed_record(case: Case, error: BaseException, output: Path) -> CaseRecord:
    """Write and return the record of a case that failed; what an earlier run found in it is taken away.

    Also for a case whose process or worker died.

    Raises
    ------
    OutputError
        If nothing can be written into ``output`` any more: then it is not the case that is bad.
    """
    if _is_disk_full(error, output):
        raise OutputError(messages.DISK_FULL.format(folder=output)) from error
    reason = case.without_paths(_sentence(error)).replace(f"{output}/", "")
    kind = type(error).__name__
    record = CaseRecord(case.name, case.source or case.name, "failed", reason=" ".join(reason.split()), kind=kind)
    try:
        emptied_folder(output, case.name)
        write_record(output, record)
    except OutputError as another:
        if _is_disk_full(another, output):
            raise OutputError(messages.DISK_FULL.format(folder=output)) from another
        raise
    return record


def make_segmenter(options: BatchOptions) -> Segmenter:
    """The network of a process, on the device and with the threads that were asked for.

    Raises
    ------
    ModelError
        If the weights are missing or damaged.
    DeviceError
        If the device does not exist.
    """
    from ..inference.segmenter import Segmenter
    from ..model.devices import use_threads
    from ..model.liver_model import LiverModel

    if options.threads is not None:
        use_threads(options.threads)
    return Segmenter(LiverModel.load(options.model), options.device)


class ResidentSegmenter:
    """The network between the cases of one process: made for the first, and anew after one had to leave the GPU.

    A segmenter that ran out of a GPU's memory stays on the CPU for good. One scan of unusual size shall not make all
    that follow it slow.
    """

    def __init__(self, options: BatchOptions) -> None:
        self._options = options
        self._segmenter: Segmenter | None = None
        self._began_on = ""

    def get(self) -> Segmenter:
        """The network, on its device; raises what :func:`make_segmenter` raises."""
        if self._segmenter is None or str(self._segmenter.device) != self._began_on:
            self._segmenter = None  # its memory first
            self._segmenter = make_segmenter(self._options)
            self._began_on = str(self._segmenter.device)
        return self._segmenter


def _read_ct(case: Case, options: BatchOptions) -> CTVolume:
    if case.series_uid is None:
        return files.read_ct(case.ct, options.force, options.modality)
    # In its messages and in pictures the series goes by its name: folders are often named after patients.
    return replace(dicom.read_files(case.files, case.name, options.force), name=case.name)


def _targets(case: Case, folder: Path, options: BatchOptions) -> ResultFiles:
    labels = folder / f"{SEGMENTATION}{options.suffix}"
    return ResultFiles(
        labels=labels,
        anatomy=files.anatomy_file(labels) if options.wants_anatomy else None,
        report=folder / REPORT,
        picture=folder / PICTURE if options.pictures else None,
        slices=case.files if options.suffix == DICOM_SUFFIX else (),
    )


def _without_paths(warnings: Iterable[str], case: Case) -> tuple[str, ...]:
    return tuple(case.without_paths(warning) for warning in warnings)


def _patient(case: Case) -> dict[str, str]:
    """Patient ID and study date of a DICOM case; of other formats nothing is known."""
    if case.series_uid is None:
        return {}
    from ..dicom.header import read_dataset

    header = read_dataset(case.files[0], ("PatientID", "StudyDate"))
    return {"patient_id": str(header.get("PatientID", "")), "study_date": str(header.get("StudyDate", ""))}


def emptied_folder(output: Path, name: str) -> Path:
    """The case's folder, without the files that this library writes there: they are of an earlier run or half-done.

    The record goes first, so that none ever stands for files that are not its own. OutputError if the folder cannot be
    written, or is a link.
    """
    folder = case_folder(output, name)
    check_own_folders((folder, folder.parent))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD_FILE).unlink(missing_ok=True)
        for path in list(folder.iterdir()):
            if _is_ours(path.name) and path.is_file():
                path.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(messages.FOLDER_NOT_WRITABLE.format(folder=folder, reason=error.strerror)) from error
    return folder


def _is_ours(name: str) -> bool:
    """Whether a file has a name that this library gives, or the temporary one that a killed process left."""
    name = meant_for(name)
    return name in (REPORT, PICTURE, RECORD_FILE) or name.startswith((f"{SEGMENTATION}.", f"{SEGMENTATION}_anatomy."))


def _sentence(error: BaseException) -> str:
    if isinstance(error, LiverSegError):
        return str(error)
    if is_out_of_memory(error):
        return str(DeviceError(messages.OUT_OF_MEMORY))
    return messages.CASE_UNFORESEEN.format(kind=type(error).__name__, error=error)


def _is_disk_full(error: BaseException, output: Path) -> bool:
    # What goes wrong with an input may be for want of space, too, but in the folder for temporary files.
    if isinstance(error, InputError):
        return False
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in DISK_FULL_ERRORS:
            return True
        cause = cause.__cause__ or cause.__context__
    # ITK does not tell why it could not write.
    return isinstance(error, OutputError) and shutil.disk_usage(output).free < LEAST_FREE_BYTES
