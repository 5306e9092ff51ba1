"""The work on a scene, in steps: the network runs in a worker thread, the main thread only reads and writes nodes.

Each method of :class:`SceneSegmenter` is a generator for the main thread. It yields the share done, 0 to 1, and the
stage in words, each time after a few milliseconds; its return value is the result. Whoever advances it from a timer
keeps the window alive, whoever runs it to its end at once (:func:`run_to_end`) has a plain function. Nothing in the
scene changes before the last step, so closing the generator at any time leaves the scene as it was.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from .. import install, messages, mrml
from ..data.bounding_box import Box, box_round
from ..data.corrections import Corrections
from ..data.metrics import compare
from ..data.modality import AUTO, CT, MR
from ..errors import Cancelled, InputError
from ..evaluation.report import SegmentationReport
from ..inference.options import SegmentOptions
from ..inference.worker import Function, Progress, Task, Worker

if TYPE_CHECKING:
    import slicer

    from ..data.patient_space import PatientSpace
    from ..data.volume import CTVolume
    from ..inference.segmenter import Segmentation, Segmenter

T = TypeVar("T")
Step = tuple[float, str]
Steps = Generator[Step, None, T]
Span = tuple[float, float]

# In Slicer the worker computes only while the main thread waits here; the window is redrawn between two waits.
WAIT_SECONDS = 0.02
# How the progress bar is shared out: copying the voxels, the network, measuring, writing the nodes.
COPY_SPAN, WORK_SPAN, MEASURE_SPAN, WRITE_SHARE = (0.0, 0.04), (0.04, 0.93), (0.93, 0.95), 0.95


@dataclass(frozen=True)
class Outcome:
    """What a run wrote and how good it is.

    ``labels`` and ``reference_labels`` are uint8 (k, j, i) on the CT's grid; the latter is None without a reference,
    and where it does not fit, of which ``reference_problem`` tells in a sentence.
    """

    report: SegmentationReport
    segmentation_node: slicer.vtkMRMLSegmentationNode
    labels: np.ndarray
    reference_labels: np.ndarray | None = None
    reference_problem: str = ""


@dataclass(frozen=True)
class Comparison:
    """A result against a reference: measures of :func:`LiverSegLib.data.metrics.compare`, and both on the CT's grid.

    ``frame`` is the index value of what was compared if the CT is a frame of a sequence.
    """

    measures: dict[str, float]
    warnings: list[str]
    labels: np.ndarray
    reference_labels: np.ndarray
    frame: str | None = None


def run_to_end(
    steps: Steps[T], progress: Progress | None = None, cancel: threading.Event | None = None, share: float = 1.0
) -> T:
    """Run all steps at once and return their result.

    Raises
    ------
    Cancelled
        If ``cancel`` is set between two steps; the scene is as it was.
    """
    try:
        while True:
            if cancel is not None and cancel.is_set():
                raise Cancelled()
            done, stage = next(steps)
            if progress is not None:
                progress(done, stage)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


@dataclass
class SceneSegmenter:
    """Keeps the network between runs, one for each device that was asked for, and what is needed to undo a run.

    ``make_segmenter`` makes what segments on a device, given its name; it is called in the worker thread.
    """

    make_segmenter: Callable[[str], Segmenter]
    history: mrml.History = field(default_factory=mrml.History)
    _worker: Worker = field(default_factory=Worker)
    _segmenters: dict[str, Segmenter] = field(default_factory=dict)
    _warm_up: Task[None] | None = None

    def segment(
        self,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
        reference: Any = None,
        options: SegmentOptions | None = None,
        reference_must_fit: bool = True,
    ) -> Steps[Outcome]:
        """Segment a CT and write the result; the nodes are those of ``LiverSegLogic.segment``.

        A reference that does not fit is refused before the network runs, or left out if it need not fit.
        """
        started, options = perf_counter(), options or SegmentOptions()
        ct = yield from self.copied(volume_node, COPY_SPAN, options.modality)
        mrml.check_transform(volume_node)
        if segmentation_node is not None:
            mrml.check_output(segmentation_node, volume_node)
        truth = _Tried(reference_must_fit)
        if reference is not None:
            truth.take(lambda: mrml.read_reference(reference, volume_node, segmentation_node))

        def work(progress: Progress, cancel: threading.Event) -> _Found:
            # The reference comes first: one that does not fit is refused before the network runs.
            if truth.value is not None:
                truth.take(truth.value.labels)
            segmentation = self._find(ct, progress, cancel, options)
            return _Found.of(segmentation, *(truth.value or ()))

        found = yield from self.in_worker(work, WORK_SPAN)
        report = yield from self._measured(ct, found, volume_node, volume_node, options)
        labels = found.segmentation.labels
        yield WRITE_SHARE, messages.WRITING_RESULT
        write_started = perf_counter()
        tumour = options.on(found.segmentation.model.modality).tumour
        node = self._write(volume_node, segmentation_node, found.segmentation, tumour)
        finished = perf_counter()
        seconds = {**report.seconds, "write": finished - write_started, "total": finished - started}
        report = replace(report, output=node.GetName(), seconds=seconds)
        mrml.store_report(node, report.to_dict())
        mrml.store_corrections(node, Corrections())
        return Outcome(report, node, labels, found.reference_labels, truth.problem)

    def segment_frames(
        self,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        segmentation_node: slicer.vtkMRMLSegmentationNode | None = None,
        options: SegmentOptions | None = None,
    ) -> Steps[list[Outcome]]:
        """Segment every frame of the sequence that a volume node belongs to; written together at the end.

        Returns one outcome for each frame, in the sequence's order; without labels, which are in the scene by then.
        """
        browser = mrml.sequence_browser_of(volume_node)
        if browser is None:
            raise InputError(messages.NO_SEQUENCE.format(name=volume_node.GetName()))
        mrml.check_transform(volume_node)
        if segmentation_node is not None:
            mrml.check_output(segmentation_node, volume_node)
        started = perf_counter()
        options = options or SegmentOptions()
        nodes = mrml.frame_nodes(volume_node)
        frames, anatomies, reports = [], {}, []
        for number, (value, frame_node) in enumerate(nodes):
            steps = self._one_frame(frame_node, volume_node, options)
            part = (WRITE_SHARE * number / len(nodes), WRITE_SHARE * (number + 1) / len(nodes))
            stage = messages.FRAME_PROGRESS.format(number=number + 1, count=len(nodes), stage="{stage}")
            report, found = yield from _scaled(steps, part, stage)
            frames.append((value, found.labels))
            anatomies[value] = found.anatomy
            reports.append(report)
        yield WRITE_SHARE, messages.WRITING_RESULT
        self.check_still_there(volume_node, segmentation_node)
        modality = MR if messages.MR_EXPERIMENTAL in (report.modality for report in reports) else CT
        with self._output(volume_node, segmentation_node, modality) as node:
            mrml.write_frames(browser, volume_node, node, frames, options.on(modality).tumour, anatomies)
        self._forget(node)
        outcomes = [Outcome(replace(report, output=node.GetName()), node, np.empty(0)) for report in reports]
        values = [value for value, _ in frames]
        mrml.store_report(node, _report_of_frames(values, outcomes, perf_counter() - started))
        mrml.store_corrections(node, Corrections())
        return outcomes

    def compare(
        self,
        segmentation_node: slicer.vtkMRMLSegmentationNode,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        reference: Any,
    ) -> Steps[Comparison]:
        """Compare the liver that a former run wrote with a reference, on the grid of the CT; changes nothing."""
        found = mrml.read_result(segmentation_node, volume_node)
        truth = mrml.read_reference(reference, volume_node, segmentation_node)
        frame = mrml.shown_frame(segmentation_node)

        def read(progress: Progress, cancel: threading.Event) -> tuple[np.ndarray, np.ndarray, list[str], Box]:
            labels, _ = found.labels()
            reference_labels, warnings = truth.labels()
            return labels, reference_labels, warnings, box_round(labels, reference_labels)

        labels, reference_labels, warnings, box = yield from self.in_worker(read, (0.0, 0.5), messages.COMPARING)
        space = yield from space_of(volume_node, volume_node, box, (0.5, messages.COMPARING))
        spacing = volume_node.GetSpacing()[::-1]

        def measure(progress: Progress, cancel: threading.Event) -> dict[str, float]:
            return compare(labels > 0, reference_labels > 0, space or spacing)

        measures = yield from self.in_worker(measure, (0.5, 1.0), messages.COMPARING)
        return Comparison(measures, warnings, labels, reference_labels, frame)

    def devices(self) -> Steps[list[str]]:
        """Names of the devices that run a kernel now."""

        def work(progress: Progress, cancel: threading.Event) -> list[str]:
            progress(0.0, messages.FINDING_DEVICES)
            install.check_pytorch()
            from ..model.devices import usable_devices

            return usable_devices()

        return (yield from self.in_worker(work, (0.0, 1.0)))

    def warm_up(self, device: str = "auto") -> Steps[None]:
        """Load the network and let it run once, so that the first segmentation need not; any other work ends it."""

        def work(progress: Progress, cancel: threading.Event) -> None:
            if device in self._segmenters or cancel.is_set():
                return
            segmenter = self._segmenter(device, progress)
            if not cancel.is_set():
                segmenter.warm_up()

        self._warm_up = self._worker.start(work)
        try:
            while not self._warm_up.wait(WAIT_SECONDS):
                yield 0.0, messages.LOADING_NETWORK
            self._warm_up.result()
        finally:
            self._warm_up.cancel.set()

    def close(self) -> None:
        """Stop what runs and end the worker thread."""
        self._worker.close()

    # ---- the parts ---------------------------------------------------------------------------------------------------

    def copied(self, volume_node: slicer.vtkMRMLScalarVolumeNode, span: Span, modality: str = AUTO) -> Steps[CTVolume]:
        pieces = mrml.copy_volume_in_pieces(volume_node, modality=modality)
        try:
            while True:
                yield within(span, next(pieces)), messages.COPYING_VOLUME
        except StopIteration as end:
            return end.value
        finally:
            pieces.close()

    def _one_frame(
        self,
        frame_node: slicer.vtkMRMLScalarVolumeNode,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        options: SegmentOptions,
    ) -> Steps[tuple[SegmentationReport, Segmentation]]:
        ct = yield from self.copied(frame_node, COPY_SPAN, options.modality)

        def work(progress: Progress, cancel: threading.Event) -> _Found:
            return _Found.of(self._find(ct, progress, cancel, options))

        found = yield from self.in_worker(work, WORK_SPAN)
        report = yield from self._measured(ct, found, volume_node, frame_node, options)
        return report, found.segmentation

    def _measured(
        self,
        ct: CTVolume,
        found: _Found,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        image_node: slicer.vtkMRMLScalarVolumeNode,
        options: SegmentOptions,
    ) -> Steps[SegmentationReport]:
        """The report, with the volumes and distances in the patient."""
        space = yield from space_of(volume_node, image_node, found.box, (MEASURE_SPAN[0], messages.MEASURING))

        def measure(progress: Progress, cancel: threading.Event) -> SegmentationReport:
            return SegmentationReport.of(
                found.segmentation,
                space or ct.spacing,
                input=ct.name,
                output="",
                reference=found.reference_labels,
                hu=ct.hu,
                tumour=options.tumour,
                extra_warnings=found.warnings,
            )

        return (yield from self.in_worker(measure, MEASURE_SPAN, messages.MEASURING))

    def _find(self, ct: CTVolume, progress: Progress, cancel: threading.Event, options: SegmentOptions) -> Any:
        """In the worker: the network on one CT."""
        return self._segmenter(options.device, progress).segment(ct, options, progress, cancel)

    def _segmenter(self, device: str, progress: Progress) -> Segmenter:
        """In the worker: the one for this device, loaded when it is first asked for."""
        if device not in self._segmenters:
            progress(0.0, messages.LOADING_NETWORK)
            self._segmenters[device] = self.make_segmenter(device)
        return self._segmenters[device]

    def in_worker(self, function: Function[T], span: Span, stage: str = messages.STARTING) -> Steps[T]:
        """Wait for a function in the worker thread, a few milliseconds a step; closing the generator cancels it."""
        if self._warm_up is not None:
            self._warm_up.cancel.set()
        task = self._worker.start(function)
        latest = within(span, 0.0), stage
        try:
            while not task.wait(WAIT_SECONDS):
                for share, stage in task.take_progress():
                    latest = within(span, share), stage
                yield latest
            return task.result()
        finally:
            task.cancel.set()

    def _write(
        self,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        segmentation_node: slicer.vtkMRMLSegmentationNode | None,
        found: Segmentation,
        tumour: bool,
    ) -> slicer.vtkMRMLSegmentationNode:
        self.check_still_there(volume_node, segmentation_node)
        modality = found.model.modality
        with self._output(volume_node, segmentation_node, modality) as node:
            if segmentation_node is None:
                mrml.write_segmentation(node, found.labels, volume_node, tumour, found.anatomy)
            else:
                self._refill(node, found, volume_node, tumour)
        return node

    def _refill(
        self,
        node: slicer.vtkMRMLSegmentationNode,
        found: Segmentation,
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        tumour: bool,
    ) -> None:
        """Write into a node that can be brought back to what it was; it is, at once, if the writing fails."""
        self.history.save(node)
        try:
            mrml.write_segmentation(node, found.labels, volume_node, tumour, found.anatomy)
        except BaseException:
            self.history.undo(node)
            self.forget_redo(node)
            raise

    def forget_redo(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """What was undone was no result."""
        self.history.save(node)
        self.history.forget(node)

    def _forget(self, node: slicer.vtkMRMLSegmentationNode) -> None:
        """Results of single frames cannot be put back into a node that now shows all frames."""
        self.forget_redo(node)
        while self.history.can_undo(node):
            self.history.forget(node)

    @staticmethod
    @contextmanager
    def _output(
        volume_node: slicer.vtkMRMLScalarVolumeNode,
        segmentation_node: slicer.vtkMRMLSegmentationNode | None,
        modality: str,
    ) -> Iterator[slicer.vtkMRMLSegmentationNode]:
        """The node to write into: the chosen one, or a new one that leaves the scene again if the writing fails."""
        if segmentation_node is not None:
            yield segmentation_node
            return
        scene = volume_node.GetScene()
        node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", mrml.new_segmentation_name(volume_node, modality))
        try:
            yield node
        except BaseException:
            mrml.remove_whole(node)
            raise

    @staticmethod
    def check_still_there(
        volume_node: slicer.vtkMRMLScalarVolumeNode, segmentation_node: slicer.vtkMRMLSegmentationNode | None
    ) -> None:
        if volume_node.GetScene() is None:
            raise InputError(messages.INPUT_DELETED)
        if segmentation_node is not None and segmentation_node.GetScene() is None:
            raise InputError(messages.OUTPUT_DELETED)


@dataclass(frozen=True)
class _Found:
    """What came of the network and of the reference; ``box`` holds the labels of both, and the spleen."""

    segmentation: Any
    box: Box
    reference_labels: np.ndarray | None = None
    warnings: list[str] | tuple[str, ...] = ()

    @classmethod
    def of(
        cls, segmentation: Any, reference_labels: np.ndarray | None = None, warnings: list[str] | tuple[str, ...] = ()
    ) -> _Found:
        masks = (segmentation.labels, segmentation.anatomy.spleen, reference_labels)
        box = box_round(*(mask for mask in masks if mask is not None))
        return cls(segmentation, box, reference_labels, warnings)


@dataclass
class _Tried:
    """A value that is got step by step, or None and the problem in words if it need not be there."""

    must_succeed: bool
    value: Any = None
    problem: str = ""

    def take(self, get: Callable[[], Any]) -> None:
        try:
            self.value = get()
        except InputError as error:
            if self.must_succeed:
                raise
            self.value, self.problem = None, str(error)


def space_of(
    volume_node: slicer.vtkMRMLScalarVolumeNode, image_node: slicer.vtkMRMLScalarVolumeNode, box: Box, step: Step
) -> Steps[PatientSpace | None]:
    """:func:`LiverSegLib.mrml.patient_space` in steps."""
    placing = mrml.patient_space(volume_node, image_node, box)
    while True:
        try:
            next(placing)
        except StopIteration as end:
            return end.value
        yield step


def _report_of_frames(values: list[str], outcomes: list[Outcome], seconds: float) -> dict[str, Any]:
    """One report for all frames, as :meth:`LiverSegLib.evaluation.report.SegmentationReport.to_dict` gives it for one.

    Its ``frames`` hold the index value, volumes, quality and anatomy of each; those on top are the first one's, without
    the anatomy, in which a resection could be planned.
    """
    reports = [outcome.report.to_dict() for outcome in outcomes]
    measures = ("liver_volume_ml", "tumour_volume_ml", "quality")
    frames = [
        {"frame": value, **{key: report.get(key) for key in measures}, **outcome.report.anatomy}
        for value, outcome, report in zip(values, outcomes, reports, strict=True)
    ]
    warnings = list(dict.fromkeys(warning for report in reports for warning in report["warnings"]))
    total = {**reports[0]["seconds"], "total": round(seconds, 3)}
    first = {key: value for key, value in reports[0].items() if key not in outcomes[0].report.anatomy}
    return {**first, "seconds": total, "warnings": warnings, "frames": frames}


def within(span: Span, share: float) -> float:
    return span[0] + (span[1] - span[0]) * share


def _scaled(steps: Steps[T], span: Span, stage_text: str) -> Steps[T]:
    """The same steps as a part of longer work: shares within a span, the stage within a longer text."""
    try:
        while True:
            share, stage = next(steps)
            yield within(span, share), stage_text.format(stage=stage)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
