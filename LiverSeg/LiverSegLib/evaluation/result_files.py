"""Writes the files of a result: labels or DICOM SEG, picture, report and measurements, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from ..data.structures import COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS, Structure, to_map
from ..data.volume import CTVolume
from ..io.atomic import replacing
from ..io.files import write_labels
from .report import SegmentationReport

if TYPE_CHECKING:
    from ..inference.segmenter import Segmentation


@dataclass(frozen=True)
class ResultFiles:
    """Where the files of a result go; what is None is not written.

    Parameters
    ----------
    labels
        By its suffix a label map, or with ``slices`` a DICOM SEG.
    report, picture, measurements
        JSON, PNG, and a DICOM structured report of the SEG.
    anatomy
        A label map of Couinaud segments, spleen and vessels, where the labels' own file does not hold them.
    slices
        The files of the CT that DICOM objects refer to.
    through_links
        Write to what a link leads to, instead of taking the link's place.
    """

    labels: Path
    report: Path | None = None
    picture: Path | None = None
    measurements: Path | None = None
    anatomy: Path | None = None
    slices: Sequence[Path] = ()
    through_links: bool = False

    def __iter__(self) -> Iterator[Path]:
        """The files that are written."""
        files = (self.labels, self.anatomy, self.report, self.picture, self.measurements)
        return (path for path in files if path is not None)


@dataclass(frozen=True)
class Result:
    """A segmentation and what is told of it.

    ``reference`` is uint8 (k, j, i) on the CT's grid, or None; ``warnings`` are those of steps outside the segmenter;
    ``input`` and ``output`` are what the report calls the image and the result; ``name`` is what the DICOM objects call
    the series. ``started``, as perf_counter tells, is when the whole began; without it the stages are added up.
    """

    segmentation: Segmentation
    ct: CTVolume
    input: str
    output: str
    tumour: bool
    reference: np.ndarray | None = None
    warnings: Sequence[str] = ()
    name: str = ""
    started: float | None = None


def write_result(files: ResultFiles, result: Result) -> SegmentationReport:
    """Write all files of a result, or on any error none: they take their places together at the end.

    Raises
    ------
    OutputError
        If a file cannot be written; those that were there before are as they were.
    """
    found = result.segmentation
    with ExitStack() as places:

        def place(path: Path) -> Path:
            return places.enter_context(replacing(path, through_links=files.through_links))

        started = perf_counter()
        labels_file = place(files.labels)
        _write_labels(labels_file, files, result)
        if files.anatomy:
            labels_beside = to_map(found.anatomy)
            labels_beside = np.zeros_like(found.labels) if labels_beside is None else labels_beside
            write_labels(place(files.anatomy), labels_beside, found.affine, result.ct.header)
        if files.picture:
            from . import picture

            image = replace(result.ct, modality=found.model.modality)
            drawn = picture.overlay(image, found.labels, result.reference, anatomy=found.anatomy)
            picture.write_png(place(files.picture), drawn)
        report = _measured(result, perf_counter() - started)
        if files.report:
            report.write_json(place(files.report))
        if files.measurements:
            from ..dicom.measurements import write_measurements

            target = place(files.measurements)
            write_measurements(target, labels_file, files.slices, found.model, _volumes(report), result.name)
    return report


def _write_labels(path: Path, files: ResultFiles, result: Result) -> None:
    found = result.segmentation
    if files.slices:
        from ..dicom.segmentation import write_segmentation

        about = result.name, found.anatomy, found.corrections
        write_segmentation(path, found.labels, files.slices, found.model, *about)
    else:
        write_labels(path, found.labels, found.affine, result.ct.header, found.anatomy)


def _volumes(report: SegmentationReport) -> dict[Structure, float | None]:
    """In ml, rounded as the report in JSON, so that segments add up to the liver there, too."""
    told = report.to_dict()
    segments = told.get("segments_ml", {})
    return {
        LIVER: told["liver_volume_ml"],
        TUMOUR: told["tumour_volume_ml"],
        **{structure: segments.get(str(structure.label)) for structure in COUINAUD},
        SPLEEN: told.get("spleen_volume_ml"),
        VESSELS: told.get("vessels_volume_ml"),
    }


def _measured(result: Result, write_seconds: float) -> SegmentationReport:
    report = SegmentationReport.of(
        result.segmentation,
        result.ct.spacing,
        input=result.input,
        output=result.output,
        reference=result.reference,
        hu=result.ct.hu,
        tumour=result.tumour,
        extra_warnings=tuple(result.warnings),
        write_seconds=write_seconds,
    )
    if result.started is None:
        return report
    return replace(report, seconds={**report.seconds, "total": perf_counter() - result.started})
