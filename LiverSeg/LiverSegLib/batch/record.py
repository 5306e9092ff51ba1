"""CaseRecord: what became of one case, on disk in the case's folder; it is written last, so it means: whole."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from ..io.json_file import write_json

RECORD_FILE = "record.json"
# Ours have some thousand; others may lie in the input.
LARGEST_RECORD_BYTES = 1_000_000
CASES_FOLDER = "cases"


@dataclass(frozen=True)
class CaseRecord:
    """What became of one case.

    Parameters
    ----------
    name, input
        The case, and its path relative to the run's input (a DICOM series: its name).
    status
        "done" or "failed".
    reason, kind
        Of a failed case: one sentence, and the name of the error's class; else empty.
    input_sha256
        Digest of the image's and the reference's content; empty if they could not be read.
    model_sha256, options
        Digests of the weights and of :meth:`BatchOptions.digest`.
    report
        :meth:`LiverSegLib.evaluation.report.SegmentationReport.to_dict`; None of a failed case.
    files
        What was written: role ("segmentation", "anatomy", "report", "picture") -> path relative to the run's output,
        with "/".
    seconds
        From the start of loading to the end of writing, without waiting for other cases.
    patient
        "patient_id" and "study_date" of a DICOM case if they were asked for; else empty.
    """

    name: str
    input: str
    status: Literal["done", "failed"]
    reason: str = ""
    kind: str = ""
    input_sha256: str = ""
    model_sha256: str = ""
    options: str = ""
    report: dict[str, Any] | None = None
    files: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    patient: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> CaseRecord:
        """The inverse of :meth:`to_dict`.

        Raises
        ------
        TypeError
            If a field without a default is missing, or something is not what it should be.
        """
        record = cls(**{entry.name: content[entry.name] for entry in fields(cls) if entry.name in content})
        if not all(isinstance(value, dict) for value in (record.files, record.patient, record.report or {})):
            raise TypeError("not a record")
        return record


def case_folder(output: Path, name: str) -> Path:
    """Where the files of a case lie."""
    return output / CASES_FOLDER / name


def write_record(output: Path, record: CaseRecord) -> None:
    """Write the record into its case's folder; OutputError if that cannot be done."""
    write_json(case_folder(output, record.name) / RECORD_FILE, record.to_dict())


def read_record(folder: Path) -> CaseRecord | None:
    """The record of the case in this folder; None if there is none, or none that makes sense."""
    path = folder / RECORD_FILE
    try:
        if not _is_own_file(path) or path.stat().st_size > LARGEST_RECORD_BYTES:
            return None
        return CaseRecord.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def is_current(record: CaseRecord | None, input_sha256: str, model_sha256: str, options: str, output: Path) -> bool:
    """Whether a case need not be done again: done, of the same input, weights and options, and all its files there."""
    return (
        record is not None
        and record.status == "done"
        and (record.input_sha256, record.model_sha256, record.options) == (input_sha256, model_sha256, options)
        and "segmentation" in record.files
        and all(_is_own_file(output / path) for path in record.files.values())
    )


def _is_own_file(path: Path) -> bool:
    """Whether it is a file and no link to one."""
    return path.is_file() and not path.is_symlink()
