"""Corrections of a result in the scene, in steps as those of :mod:`LiverSegLib.mrml.scene_run`."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter, sleep
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .. import messages, mrml
from ..data.anatomy import Anatomy
from ..data.bounding_box import Box, box_round
from ..data.corrections import Corrections
from ..data.labels import LabelVolume
from ..data.strokes import Stroke
from ..data.structures import TUMOUR
from ..data.volume import CTVolume
from ..errors import InputError
from ..evaluation.corrections import corrected_report
from ..inference.worker import Progress
from .scene_run import Span, Steps, space_of

if TYPE_CHECKING:
    import slicer

    from .scene_run import SceneSegmenter

COPY_SPAN, WORK_SPAN, MEASURE_SPAN, WRITE_SHARE, SURFACE_SHARE = (0.0, 0.1), (0.1, 0.8), (0.8, 0.9), 0.9, 0.95
# As long as Slicer's views need to be drawn.
SHOW_SECONDS = 0.05


class SceneRefiner(Protocol):
    """What corrects the labels of one scan; see :class:`LiverSegLib.inference.refine.Refiner`."""

    @property
    def warnings(self) -> list[str]: ...

    def refine(
        self, labels: np.ndarray, strokes: Sequence[Stroke], cancel: threading.Event | None = None
    ) -> np.ndarray: ...


MakeRefiner = Callable[[CTVolume, np.ndarray, str], SceneRefiner]


@dataclass
class _Scan:
    """A CT that was copied out of the scene and what it was made of; and what corrects it, made for some labels."""

    made_of: tuple[Any, ...]
    ct: CTVolume
    refiner: SceneRefiner | None = None
    automatic: np.ndarray | None = None


@dataclass(frozen=True)
class _Corrected:
    """A result after its strokes, on the CT's grid; ``box`` holds all that is in it, and what was changed."""

    labels: np.ndarray
    anatomy: Anatomy
    corrections: Corrections
    box: Box
    warnings: tuple[str, ...] = ()

    @property
    def part(self) -> _Corrected:
        """What lies in the box, as a grid of its own."""
        first = tuple(start - part.start for start, part in zip(self.corrections.first, self.box, strict=True))
        moved = replace(self.corrections, first=(first[0], first[1], first[2]))
        return _Corrected(self.labels[self.box], self.anatomy.part(self.box), moved, self.box)


class SceneCorrector:
    """Corrects results with strokes; keeps the scan of the last one, so that the next stroke is quick.

    Parameters
    ----------
    segmenter
        Of the same scene: its worker thread and its history are used.
    make_refiner
        Makes what corrects a scan, given its CT, its labels and the name of a device; called in the worker thread.
    """

    def __init__(self, segmenter: SceneSegmenter, make_refiner: MakeRefiner) -> None:
        self._segmenter, self._make_refiner = segmenter, make_refiner
        self._scan: _Scan | None = None

    def prepare(self, segmentation_node: slicer.vtkMRMLSegmentationNode, device: str = "auto") -> Steps[None]:
        """Make ready what the first stroke needs; nothing in the scene changes."""
        scan = yield from self._copied(segmentation_node, device, COPY_SPAN)
        found = mrml.read_result(segmentation_node, _volume_of(segmentation_node))
        before = mrml.stored_corrections(segmentation_node)

        def work(progress: Progress, cancel: threading.Event) -> None:
            progress(0.0, messages.PREPARING_CORRECTION)
            self._refiner(scan, _automatic(found.labels()[0], before), device)

        yield from self._segmenter.in_worker(work, WORK_SPAN, messages.PREPARING_CORRECTION)

    def add(
        self, segmentation_node: slicer.vtkMRMLSegmentationNode, strokes: Sequence[Stroke], device: str = "auto"
    ) -> Steps[None]:
        """Correct the result where strokes, in the frame of its CT, say so; each of them in its turn."""
        before = mrml.stored_corrections(segmentation_node).strokes
        return self._correct(segmentation_node, [*before, *strokes], len(before), device)

    def delete(
        self, segmentation_node: slicer.vtkMRMLSegmentationNode, number: int, device: str = "auto"
    ) -> Steps[None]:
        """Take out a stroke, counted from 0: the others are made once more, from the result before the first."""
        strokes = list(mrml.stored_corrections(segmentation_node).strokes)
        del strokes[number]
        return self._correct(segmentation_node, strokes, 0, device)

    def forget(self) -> None:
        """Let go of the scan, which is large."""
        self._scan = None

    # ---- the parts ---------------------------------------------------------------------------------------------------

    def _correct(
        self, node: slicer.vtkMRMLSegmentationNode, strokes: list[Stroke], done: int, device: str
    ) -> Steps[None]:
        """Make the strokes after those that are done."""
        volume_node = _volume_of(node)
        mrml.check_output(node, volume_node)
        scan = yield from self._copied(node, device, COPY_SPAN)
        state, before = mrml.content_state(node), mrml.stored_corrections(node)
        found, anatomy = mrml.read_result(node, volume_node), mrml.read_anatomy(node, volume_node)

        def work(progress: Progress, cancel: threading.Event) -> _Corrected:
            present = found.labels()[0]
            automatic = _automatic(present, before)
            labels = present if done else automatic
            refiner = self._refiner(scan, automatic, device) if len(strokes) > done else None
            for number in range(done, len(strokes)):
                progress((number - done) / (len(strokes) - done), messages.CORRECTING)
                assert refiner is not None  # nosec B101 # for mypy
                labels = refiner.refine(labels, strokes[: number + 1], cancel)
            fitted = anatomy.anatomy().fitted_to(labels > 0, scan.ct.spacing)
            corrections = Corrections.between(strokes, automatic, labels)
            warnings = tuple(refiner.warnings) if refiner is not None else ()
            return _Corrected(labels, fitted, corrections, _box(labels, fitted, corrections), warnings)

        corrected = yield from self._segmenter.in_worker(work, WORK_SPAN, messages.CORRECTING)
        report = yield from self._measured(node, volume_node, scan.ct, corrected)
        yield WRITE_SHARE, messages.WRITING_RESULT
        self._segmenter.check_still_there(volume_node, node)
        if mrml.content_state(node) != state:
            raise InputError(messages.RESULT_CHANGED_MEANWHILE)
        stale = self._write(node, volume_node, corrected, report)
        try:
            # The slices show it first: a surface takes longer.
            shown = perf_counter() + SHOW_SECONDS
            while stale and perf_counter() < shown:
                yield SURFACE_SHARE, messages.WRITING_RESULT
                sleep(SHOW_SECONDS / 5)
        finally:
            if node.GetScene() is not None:
                mrml.renew_surfaces(node, stale)

    def _copied(self, node: slicer.vtkMRMLSegmentationNode, device: str, span: Span) -> Steps[_Scan]:
        """The result's CT: that of the last stroke, unless somebody has changed it."""
        volume_node = _volume_of(node)
        made_of = (volume_node.GetID(), mrml.content_state(volume_node), mrml.affine_of(volume_node).tobytes(), device)
        if self._scan is None or self._scan.made_of != made_of:
            self._scan = None
            ct = yield from self._segmenter.copied(volume_node, span)
            self._scan = _Scan(made_of, ct)
        return self._scan

    def _refiner(self, scan: _Scan, labels: np.ndarray, device: str) -> SceneRefiner:
        """In the worker: what corrects this scan, made when it is first needed for such labels before all strokes."""
        if scan.refiner is None or scan.automatic is None or not np.array_equal(scan.automatic, labels):
            scan.refiner, scan.automatic = self._make_refiner(scan.ct, labels, device), labels
        return scan.refiner

    def _measured(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        ct: CTVolume,
        corrected: _Corrected,
    ) -> Steps[dict[str, Any]]:
        box, report = corrected.box, mrml.stored_report(node) or {}
        step = (MEASURE_SPAN[0], messages.MEASURING)
        space = yield from space_of(volume_node, volume_node, box, step)

        def measure(progress: Progress, cancel: threading.Event) -> dict[str, Any]:
            # A space knows its place on the whole grid; without one no voxel outside of the box matters.
            part = corrected if space is not None else corrected.part
            result = LabelVolume(part.labels, ct.affine, anatomy=part.anatomy)
            hu = ct.hu if space is not None else ct.hu[corrected.box]
            found = corrected_report(report, result, part.corrections, space, hu)
            warnings = dict.fromkeys((*corrected.warnings, *report.get("warnings", ())))
            return {**found, "warnings": list(warnings)}

        return (yield from self._segmenter.in_worker(measure, MEASURE_SPAN, messages.MEASURING))

    def _write(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        corrected: _Corrected,
        report: dict[str, Any],
    ) -> list[str]:
        """Into a node that can be brought back to what it was; it is, at once, if the writing fails.

        Returns the ids of the segments whose surfaces are still those of before.
        """
        history = self._segmenter.history
        history.save(node)
        tumour = node.GetSegmentation().GetSegment(mrml.SEGMENT_IDS[TUMOUR.label]) is not None
        try:
            found = corrected.labels, volume_node, tumour, corrected.anatomy
            stale = mrml.write_segmentation(node, *found, surfaces_later=True)
            mrml.store_report(node, report)
            mrml.store_corrections(node, corrected.corrections)
            mrml.describe_segments(node)
            return stale
        except BaseException:
            history.undo(node)
            self._segmenter.forget_redo(node)
            raise


def _volume_of(node: slicer.vtkMRMLSegmentationNode) -> slicer.vtkMRMLScalarVolumeNode:
    volume_node = mrml.volume_to_correct(node)
    if volume_node is None:
        raise InputError(messages.NOTHING_TO_CORRECT.format(name=node.GetName()))
    return volume_node


def _automatic(labels: np.ndarray, corrections: Corrections) -> np.ndarray:
    """Labels before all strokes; those of another grid are none."""
    return corrections.undone(labels) if corrections.fits(labels.shape) else labels


def _box(labels: np.ndarray, anatomy: Anatomy, corrections: Corrections) -> Box:
    masks = [mask for mask in (labels, anatomy.spleen) if mask is not None]
    found = [box for box in (box_round(*masks), corrections.box) if box[0].stop > box[0].start]
    k, j, i = (
        slice(min((box[n].start for box in found), default=0), max((box[n].stop for box in found), default=0))
        for n in range(3)
    )
    return k, j, i
