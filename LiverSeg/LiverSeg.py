"""Liver Segmentation: the scripted module as Slicer sees it; what it does with images is in LiverSegLib.

Slicer imports this file at every start, so nothing heavy is imported here: LiverSegLib only inside methods.
"""

from __future__ import annotations

import logging
import os
import threading
import unittest
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Annotated, Any, Union

import slicer
import vtk
from slicer import vtkMRMLLabelMapVolumeNode, vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.util import VTKObservationMixin

try:
    from slicer.i18n import tr as _
    from slicer.i18n import translate
    from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper
    from slicer.ScriptedLoadableModule import *
except ImportError:
    # slicer-core from PyPI has the MRML classes but not the application's Python layer; the logic needs none of it.
    ScriptedLoadableModule = ScriptedLoadableModuleLogic = object
    ScriptedLoadableModuleTest = unittest.TestCase

    class ScriptedLoadableModuleWidget:
        pass

    def parameterNodeWrapper(parameters: type) -> type:
        return parameters

    def _(text: str) -> str:
        return text

    def translate(context: str, text: str) -> str:
        return text


if TYPE_CHECKING:
    import numpy as np

    from LiverSegLib.data.strokes import Stroke
    from LiverSegLib.data.volume import CTVolume
    from LiverSegLib.evaluation.report import SegmentationReport
    from LiverSegLib.inference.segmenter import Segmenter
    from LiverSegLib.model.refine_model import RefineModel
    from LiverSegLib.mrml.correction_run import MakeRefiner, SceneCorrector, SceneRefiner
    from LiverSegLib.mrml.scene_run import Comparison, Outcome, SceneSegmenter, Steps


# The page of the repository that explains the panel; the same address as in CMakeLists.txt.
MANUAL = "https://publication.invalid/SlicerLiverSegExtension/blob/main/docs/panel.md"


class LiverSeg(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Liver Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Volumes", "Sequences"]
        parent.contributors = ["LiverSegExtension contributors"]
        parent.helpText = _(
            "Segments the liver in an abdominal CT with a network that was trained on real patients and is bundled "
            "with the module: nothing is downloaded, no image leaves the computer. With a reference segmentation it "
            "reports the Dice coefficient. For research use only, not for diagnosis."
        )
        parent.helpText += f' <a href="{MANUAL}">{_("Manual")}</a>'
        parent.acknowledgementText = _(
            "The network was trained on 3D-IRCADb-01 (Soler et al., IRCAD, 2010) and on the LiTS 2017 training set "
            "(Bilic et al., Medical Image Analysis 84, 2023); its weights are for research and non-commercial use."
        )
        if hasattr(slicer, "app"):
            slicer.app.connect("startupCompleted()", registerSampleData)


def registerSampleData() -> None:
    """Offer CTLiver and a synthetic CT that needs no network in the Sample Data module."""
    from LiverSegLib import sample_data

    sample_data.register(os.path.join(os.path.dirname(__file__), "Resources", "Icons"))


@parameterNodeWrapper
class LiverSegParameterNode:
    """All choices of the panel, kept in the scene.

    inputVolume - The CT to segment, in HU, or MR.
    outputSegmentation - Where the liver goes; none for a new segmentation, named after the CT.
    reference - Segmentation or labelmap to compare with.
    referenceSegment - Id of the reference's segment that is the liver; empty to find it by itself.
    device - "auto", "cpu", "cuda:0" ...
    modality - "auto", "ct" or "mr": what the volume is.
    tumour, segments, vessels, spleen - Whether tumours, Couinaud segments, the liver's vessels and the spleen become
    segments of their own.
    allFrames - Whether all frames of the CT's sequence are segmented.
    show3D, surfaceSmoothing - Whether the surface is shown, and its smoothing factor.
    showOutline, showFill - How the segments are drawn on the slices.
    frameLiver - Whether the views are centred on the liver after a run.
    showDisagreement - Whether the difference from the reference is filled on the slices.
    removedSegments - Numbers of the Couinaud segments that a planned resection removes, with spaces between them.
    weightKg, heightCm - Of the patient's body; 0 where they are not given.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    outputSegmentation: vtkMRMLSegmentationNode
    # Written so for Slicer 5.8. The selector makes a node of each class for its name: vtkMRMLNode is abstract.
    reference: Union[vtkMRMLSegmentationNode, vtkMRMLLabelMapVolumeNode, None]  # noqa: UP007
    referenceSegment: str = ""
    device: str = "auto"
    modality: str = "auto"
    tumour: bool = False
    segments: bool = False
    vessels: bool = False
    spleen: bool = False
    allFrames: bool = False
    show3D: bool = True
    surfaceSmoothing: Annotated[float, WithinRange(0.0, 1.0)] = 0.5
    showOutline: bool = True
    showFill: bool = True
    frameLiver: bool = True
    showDisagreement: bool = False
    removedSegments: str = ""
    weightKg: float = 0.0
    heightCm: float = 0.0


# What the user chose stays when the scene is closed; nodes go with it.
LASTING_CHOICES = (
    "device",
    "tumour",
    "segments",
    "vessels",
    "spleen",
    "show3D",
    "surfaceSmoothing",
    "showOutline",
    "showFill",
    "frameLiver",
    "showDisagreement",
)
NODE_CHOICES = ("inputVolume", "outputSegmentation", "reference")


class LiverSegWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """The panel: it starts and stops runs, and keeps its sections in step with the parameter node and the scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)

    def setup(self) -> None:
        """Called when the user opens the module for the first time."""
        from LiverSegLib.panel.advanced import AdvancedSection
        from LiverSegLib.panel.correct import CorrectSection
        from LiverSegLib.panel.places import PlacesSection
        from LiverSegLib.panel.reference import ReferenceSection
        from LiverSegLib.panel.resection import ResectionSection
        from LiverSegLib.panel.results import ResultsSection
        from LiverSegLib.panel.runner import Runner
        from LiverSegLib.panel.texts import Progress
        from LiverSegLib.panel.warm_up import WarmUp

        super().setup()
        self.logic = LiverSegLogic()
        self._parameterNode = self._guiTag = self._shownInput = self._shownReference = None
        self._lastingChoices: dict[str, Any] = {}
        self._message, self._messageSubject = "", None
        self._updating = self._segmenting = False
        self._progress = Progress()

        self._loadInterface()
        self._runner = Runner(self._showProgress)
        self._results = ResultsSection(self.ui, self.logic)
        self._places = PlacesSection(self.ui, self._onChecked)
        window = slicer.util.mainWindow() or self.parent
        needs = (self._installPackages, self._makeWay, self._onCorrectionEnded, self._showError)
        self._correct = CorrectSection(self.ui, self.logic, window, *needs)
        self._resection = ResectionSection(self.ui)
        self._reference = ReferenceSection(self.ui)
        self._advanced = AdvancedSection(self.ui, self._findDevices)
        self._sections = (self._results, self._places, self._resection, self._reference, self._advanced)
        self._warmUp = WarmUp(self.logic, lambda: self._runner.running or self._correct.busy)
        self._observeScene()
        self.initializeParameterNode()

    def _loadInterface(self) -> None:
        from LiverSegLib import messages

        uiWidget = slicer.util.loadUI(self.resourcePath("UI/LiverSeg.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)
        self.ui.outputSelector.noneDisplay = messages.CREATE_NEW_SEGMENTATION
        self.ui.researchUseLabel.text = messages.RESEARCH_USE
        self.ui.segmentButton.connect("clicked(bool)", self.onSegmentButton)
        self.ui.editButton.connect("clicked(bool)", self.onEditButton)
        selectors = (self.ui.inputSelector, self.ui.outputSelector, self.ui.referenceSelector)
        for name, selector in zip(NODE_CHOICES, selectors, strict=True):
            selector.connect("nodeActivated(vtkMRMLNode*)", partial(self.onNodeActivated, name))

    def _observeScene(self) -> None:
        scene = slicer.mrmlScene
        self.addObserver(scene, scene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(scene, scene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(scene, scene.EndImportEvent, self.onSceneEndImport)
        self.addObserver(scene, scene.EndBatchProcessEvent, self.onSceneEndBatch)
        self.addObserver(scene, scene.NodeAddedEvent, self.onNodeAdded)
        self.addObserver(scene, scene.NodeAboutToBeRemovedEvent, self.onNodeAboutToBeRemoved)

    def cleanup(self) -> None:
        """Called before the module is unloaded or reloaded."""
        self._runner.close()
        self._warmUp.close()
        self._correct.close()
        self._results.close()
        self.logic.close()
        self.setParameterNode(None)
        self.removeObservers()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        self.initializeParameterNode()
        self._warmUp.start(self._parameterNode.device)

    def exit(self) -> None:
        """Called each time the user opens a different module: a run that nobody watches ends."""
        from LiverSegLib import messages

        self._warmUp.stop()
        self._correct.leave()
        comparing = self._reference.pending
        stopped = self._stopRun(self._message if comparing else messages.CANCELLED)
        if stopped and comparing:
            # It is compared when the user comes back.
            self._reference.forget()
        self.setParameterNode(None)

    # ---- the scene ---------------------------------------------------------------------------------------------------

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        from LiverSegLib import messages

        self._message = ""
        self._correct.leave()
        self._stopRun(messages.SCENE_CLOSED)
        self._reference.forget()
        parameterNode = self.logic.getParameterNode()
        self._lastingChoices = {name: getattr(parameterNode, name) for name in LASTING_CHOICES}
        self.setParameterNode(None)
        # What is said of the closing holds in the empty scene.
        self._messageSubject = None

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed: the choices that are no nodes stay."""
        parameterNode = self.logic.getParameterNode()
        for name, value in self._lastingChoices.items():
            setattr(parameterNode, name, value)
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneEndImport(self, caller, event) -> None:
        """Called after a scene was loaded: the panel takes over what was saved with it."""
        self._message = ""
        if self._parameterNode:
            # Also where the selectors looked for nodes that were not loaded yet.
            self.initializeParameterNode()

    def onSceneEndBatch(self, caller, event) -> None:
        """Called after many changes at once, in which the panel did not follow each of them."""
        self._chooseFirstVolume()
        self._onParametersModified()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAdded(self, caller, event, node) -> None:
        """The first volume that comes is the input."""
        if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not slicer.mrmlScene.IsBatchProcessing():
            self._chooseFirstVolume()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def onNodeAboutToBeRemoved(self, caller, event, node) -> None:
        """A run that needs this node ends; the scene is as it was before the run."""
        import qt

        text = self._runner.text_without(node)
        if text is not None:
            self._runner.stop()
        self._reference.forget_result(node)
        self._correct.leave_if_needed(node)
        # The selectors would go on to the node above: a result would come into somebody's own segmentation.
        for name in NODE_CHOICES:
            if self._parameterNode and getattr(self._parameterNode, name) is node:
                setattr(self._parameterNode, name, None)
        if text is not None:
            self._onFinished(text)
            # What the same event still brings, such as the sequence's next volume, does not take it back.
            self._messageSubject = None
            qt.QTimer.singleShot(0, self._bindMessage)

    def onNodeActivated(self, name: str, node: slicer.vtkMRMLNode | None) -> None:
        """Called when the user has chosen a node: of one with the same name the binding hears nothing."""
        if self._parameterNode and getattr(self._parameterNode, name) is not node:
            setattr(self._parameterNode, name, node)

    def initializeParameterNode(self) -> None:
        """Take the parameter node of the scene, and choose the input if none is chosen yet."""
        self.setParameterNode(self.logic.getParameterNode())
        self._chooseFirstVolume()

    def _chooseFirstVolume(self) -> None:
        if not self._parameterNode or self._parameterNode.inputVolume:
            return
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode"):
            # Labelmaps and colour images are of subclasses.
            if node.GetClassName() == "vtkMRMLScalarVolumeNode" and not node.GetHideFromEditors():
                self._parameterNode.inputVolume = node
                return

    def setParameterNode(self, parameterNode: LiverSegParameterNode | None) -> None:
        """Show and observe this parameter node from now on."""
        if self._parameterNode:
            self._parameterNode.disconnectGui(self._guiTag)
            self.removeObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
        self._parameterNode = parameterNode
        for section in (self._correct, *self._sections):
            section.parameters = parameterNode
        if self._parameterNode:
            self._reference.take_over()
            self._shownInput, self._shownReference = self._parameterNode.inputVolume, self._parameterNode.reference
            self._guiTag = self._parameterNode.connectGui(self.ui)
            self.addObserver(self._parameterNode, vtk.vtkCommand.ModifiedEvent, self._onParametersModified)
            self._bindMessage()
            self._update()

    def _onParametersModified(self, caller=None, event=None) -> None:
        if slicer.mrmlScene.IsBatchProcessing() or not self._parameterNode:
            return
        if self._parameterNode.inputVolume is not self._shownInput:
            self._onInputSwitched()
        if self._parameterNode.reference is not self._shownReference:
            self._onReferenceSwitched()
        self._update()

    def _onInputSwitched(self) -> None:
        """Another CT: its own result is the output, or a new segmentation; a result is never refilled by mistake."""
        from LiverSegLib import mrml

        self._shownInput = self._parameterNode.inputVolume
        self._resection.forget()
        # What was said of one volume is not true of the next.
        self._parameterNode.modality = "auto"
        self._parameterNode.outputSegmentation = mrml.segmentation_of(self._shownInput) if self._shownInput else None
        if self._shownInput:
            mrml.show_results_of(self._shownInput, self._parameterNode.reference)

    def _onReferenceSwitched(self) -> None:
        """Another reference: the segment of the former one means nothing in it, though ids are often the same."""
        self._shownReference = self._parameterNode.reference
        self._parameterNode.referenceSegment = ""
        self._reference.open_if_chosen()

    def onEditButton(self) -> None:
        """Go to the Segment Editor, with the result and its CT chosen there."""
        segmentationNode, volumeNode = self._parameterNode.outputSegmentation, self._parameterNode.inputVolume
        slicer.util.selectModule("SegmentEditor")
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(segmentationNode)
        editor.setSourceVolumeNode(volumeNode)

    # ---- a run -------------------------------------------------------------------------------------------------------

    def onSegmentButton(self) -> None:
        """Start a run, or cancel the one that is going on."""
        from LiverSegLib import messages

        if not self._stopRun(messages.CANCELLED) and self._installPackages() and self._parameterNode.inputVolume:
            self._message = ""
            self._startSegmentation()

    def _installPackages(self) -> bool:
        """Ask for what is missing, and install it; whether all is there, and the user still is, too."""
        try:
            self.logic.installPackages()
        except Exception as error:  # the panel shows it
            self._showError(error)
            return False
        # While pip ran, the user may have left the panel.
        return self._parameterNode is not None

    def _startSegmentation(self) -> None:
        from LiverSegLib.inference.options import SegmentOptions

        self._correct.leave()
        self._segmenting = True
        parameters, reference = self._parameterNode, self._reference.reference
        volumeNode, segmentationNode = parameters.inputVolume, parameters.outputSegmentation
        names = ("device", "modality", "tumour", "segments", "vessels", "spleen")
        choices = {name: getattr(parameters, name) for name in names}
        options = SegmentOptions(**choices)
        if self._advanced.all_frames:
            steps = self.logic.segmentFramesSteps(volumeNode, segmentationNode, options)
            needed = self._needed(volumeNode, segmentationNode)
            self._startRun(steps, lambda outcomes: self._onFramesSegmented(volumeNode, outcomes), needed)
        else:
            steps = self.logic.segmentSteps(volumeNode, segmentationNode, reference, options, referenceMustFit=False)
            needed = self._needed(volumeNode, segmentationNode, parameters.reference)
            self._startRun(steps, lambda outcome: self._onSegmented(volumeNode, reference, outcome), needed)

    def _startComparison(self, segmentationNode, volumeNode, reference, isNew: bool) -> None:
        # Nobody clicked: what is missing is installed when somebody does.
        if self.logic.missingPackages():
            return
        self._segmenting = False
        nodes = (segmentationNode, volumeNode, self._parameterNode.reference)
        steps = self.logic.compareSteps(segmentationNode, volumeNode, reference)
        # A box is for who has just chosen the reference; one that is left from before is no reason to interrupt.
        onError = self._showError if isNew else partial(self._showError, quietly=True)
        self._startRun(steps, self._onCompared, [(node, self._message) for node in nodes], onError)

    def _startRun(self, steps: Steps[Any], onDone: Callable[[Any], None], needed, onError=None) -> None:
        from LiverSegLib import messages

        self._correct.stop_preparing()
        self._runner.start(steps, onDone, onError or self._showError, needed)
        self._showProgress(0.0, messages.STARTING, 0.0)
        self._update()

    @staticmethod
    def _needed(volumeNode, segmentationNode, referenceNode=None) -> list[tuple[Any, str]]:
        """The nodes of a segmentation, and what to say when one is removed meanwhile."""
        from LiverSegLib import messages

        name = referenceNode.GetName() if referenceNode is not None else ""
        return [
            (volumeNode, messages.INPUT_DELETED),
            (segmentationNode, messages.OUTPUT_DELETED),
            (referenceNode, messages.REFERENCE_DELETED.format(name=name)),
        ]

    def _stopRun(self, text: str) -> bool:
        """Stop what runs, if anything does, and say so; the scene is as it was before."""
        stopped = self._runner.stop()
        if stopped:
            self._onFinished(text)
        return stopped

    def _onSegmented(self, volumeNode, reference, outcome: Outcome) -> None:
        from LiverSegLib.mrml.scene_run import Comparison

        problem = outcome.reference_problem if self._reference.reference == reference else ""
        with slicer.util.NodeModify(self._parameterNode):
            self._showResult(volumeNode, outcome.segmentation_node)
            if problem:
                self._reference.give_up()
            elif outcome.reference_labels is not None and self._reference.reference == reference:
                measures = outcome.report.comparison()
                self._onCompared(Comparison(measures, [], outcome.labels, outcome.reference_labels))
        self._onFinished(problem)

    def _onFramesSegmented(self, volumeNode, outcomes: list[Outcome]) -> None:
        from LiverSegLib.panel import texts

        with slicer.util.NodeModify(self._parameterNode):
            self._showResult(volumeNode, outcomes[0].segmentation_node)
        self._onFinished(texts.frames(outcomes))

    def _showResult(self, volumeNode, segmentationNode) -> None:
        """What came of the run is shown, also if a script has chosen another CT meanwhile."""
        from LiverSegLib import mrml

        self._shownInput = volumeNode
        mrml.show_results_of(volumeNode, self._parameterNode.reference)
        self._parameterNode.inputVolume, self._parameterNode.outputSegmentation = volumeNode, segmentationNode
        self._results.show_new()
        # PyTorch may have been installed for this run.
        self._advanced.ask_for_devices()

    def _onCompared(self, comparison: Comparison) -> None:
        self._reference.show(comparison)
        self._results.write_table(comparison.measures, comparison.frame)
        self._update()

    def _onFinished(self, text: str) -> None:
        self._message, self._messageSubject = text, None
        self._bindMessage()
        self._update()

    # ---- corrections and checks --------------------------------------------------------------------------------------

    def _makeWay(self) -> None:
        """A comparison, or a search for devices, gives way to a correction: it comes again afterwards."""
        if self._runner.stop():
            self._reference.forget()
            self._update()

    def _onCorrectionEnded(self, changed: bool) -> None:
        """Whoever shows the result looks at it again, and what gave way to the correction begins once more."""
        if changed:
            self._results.draw()
            self._results.write_table({})
        self._parameterNode.Modified()

    def _onChecked(self) -> None:
        self._results.write_table({})
        self._parameterNode.Modified()

    def _findDevices(self, onDone: Callable[[list[str]], None]) -> None:
        """Ask PyTorch, if it is there and nothing runs, which devices run a kernel."""

        def done(names: list[str]) -> None:
            onDone(names)
            self._update()

        if not self._runner.running and not self._correct.running and not self.logic.missingPackages():
            self._segmenting = False
            self._startRun(self.logic.deviceSteps(), done, [])

    def _showProgress(self, share: float, stage: str, elapsed: float) -> None:
        self.ui.progressBar.value = round(100 * share)
        self._say(self._progress.text(share, stage, elapsed))

    def _showError(self, error: Exception, quietly: bool = False) -> None:
        from LiverSegLib import messages
        from LiverSegLib.errors import Cancelled, InstallDeclined, LiverSegError

        known = isinstance(error, LiverSegError)
        # CUDA's errors have many lines; the log keeps them all.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        text = str(error) if known else messages.UNEXPECTED_ERROR.format(error=reason)
        self._onFinished(text)
        # What the user decided, or did not ask for now, needs no box to click away.
        if not isinstance(error, Cancelled | InstallDeclined) and not (quietly and known):
            logging.error(text, exc_info=None if known else error)
            slicer.util.errorDisplay(text, windowTitle=_("Liver Segmentation"))

    # ---- what the panel shows ----------------------------------------------------------------------------------------

    def _update(self) -> None:
        if not self._parameterNode or self._updating:
            return
        self._updating = True
        try:
            running = self._runner.running
            self._correct.update(running and self._segmenting)
            for section in self._sections:
                section.update(running or self._correct.running)
            if self._messageSubject is not None and self._messageSubject != self._subject():
                self._message = ""
            self._updateButton()
        finally:
            self._updating = False
        if not self._runner.running and not self._correct.busy:
            self._reference.compare_if_needed(self._startComparison)

    def _bindMessage(self) -> None:
        """What was said of a run holds for what is chosen and shown now, if not for something before."""
        if self._parameterNode and self._messageSubject is None:
            self._messageSubject = self._subject()

    def _subject(self) -> tuple[Any, ...]:
        """What can be said something of: the nodes that are chosen, and what is in the result."""
        parameters = self._parameterNode
        nodes = (parameters.inputVolume, parameters.reference, parameters.outputSegmentation)
        return *(node and node.GetID() for node in nodes), parameters.referenceSegment, self._results.report

    def _say(self, text: str) -> None:
        from LiverSegLib.panel.line import show_line

        show_line(self.ui.statusLabel, text)

    def _updateButton(self) -> None:
        from LiverSegLib import messages

        running, ready = self._runner.running, self._parameterNode.inputVolume is not None
        hint = messages.RUNNING_HINT if running else messages.READY_HINT if ready else messages.NO_VOLUME_HINT
        self.ui.segmentButton.text = messages.CANCEL if running else messages.SEGMENT_LIVER
        self.ui.segmentButton.enabled = running or ready
        self.ui.segmentButton.toolTip = hint
        self.ui.progressBar.visible = running
        if not running:
            self._say(self._message or ("" if ready else messages.NO_VOLUME_HINT))
        for selector in (self.ui.inputSelector, self.ui.outputSelector, self.ui.referenceSelector):
            selector.enabled = not running


class LiverSegLogic(ScriptedLoadableModuleLogic):
    """From a CT volume node to a segmentation node; runs in Slicer and with slicer-core from PyPI alike.

    The network stays in memory between calls, one for each device that was asked for.

    >>> report = LiverSegLogic().segment(volumeNode, segmentationNode, reference=manualSegmentationNode)
    >>> print(report.summary())

    The methods called ...Steps are generators for a panel: see :mod:`LiverSegLib.mrml.scene_run`.

    Parameters
    ----------
    segmenterFactory
        Makes what segments on a device, given its name; by default LiverSegLib's Segmenter with the bundled network.
    refinerFactory
        Makes what corrects a scan, given its CT, its labels and the name of a device; by default LiverSegLib's Refiner.
    """

    def __init__(
        self,
        segmenterFactory: Callable[[str], Segmenter] | None = None,
        refinerFactory: MakeRefiner | None = None,
    ) -> None:
        super().__init__()
        self._makeSegmenter = segmenterFactory or _bundledSegmenter
        self._makeRefiner = refinerFactory or _bundledRefiner
        self._scene: SceneSegmenter | None = None
        self._corrector: SceneCorrector | None = None

    def getParameterNode(self) -> LiverSegParameterNode:
        """The choices of the panel, kept in the scene."""
        return LiverSegParameterNode(super().getParameterNode())

    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode | None = None,
        reference: slicer.vtkMRMLNode | tuple[slicer.vtkMRMLSegmentationNode, str] | None = None,
        device: str = "auto",
        tumour: bool = False,
        segments: bool = False,
        vessels: bool = False,
        spleen: bool = False,
        modality: str = "auto",
        progress: Callable[[float, str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> SegmentationReport:
        """Segment the liver and write it as the segment "Liver"; the scene stays as it was on any error.

        Parameters
        ----------
        volumeNode
            CT in HU, or MR; it may be oblique and under any parent transform.
        segmentationNode
            Where the result goes, under the volume's parent transform; other segments are kept. None makes a new one.
        reference
            Labelmap volume or segmentation to compare with, or (segmentation, segment id or name).
        device, tumour
            "auto", "cpu", "cuda", "cuda:0" or "mps"; whether tumours, a part of "Liver", become a segment as well.
        segments, vessels, spleen
            Whether Couinaud segments, the liver's vessels and the spleen become segments, and are measured.
        modality
            "ct" or "mr"; "auto": what its DICOM series says, or its values.
        progress, cancel
            Called in this thread with the part done, 0 to 1, and the name of the stage; set from anywhere to stop.

        Returns
        -------
        Volumes, timings and warnings; with a reference also Dice, IoU, HD95, ASSD and volume difference.

        Raises
        ------
        LiverSegLib.errors.LiverSegError
            InputError, ModelError, DeviceError, InstallError or Cancelled: one sentence that says what to do next.
        """
        self._checkPackages()
        from LiverSegLib.inference.options import SegmentOptions
        from LiverSegLib.mrml.scene_run import run_to_end

        wanted = {"tumour": tumour, "segments": segments, "vessels": vessels, "spleen": spleen}
        options = SegmentOptions(device=device, modality=modality, **wanted)
        steps = self.segmentSteps(volumeNode, segmentationNode, reference, options)
        return run_to_end(steps, progress, cancel).report

    def segmentSteps(
        self, volumeNode, segmentationNode=None, reference=None, options=None, referenceMustFit=True
    ) -> Steps[Outcome]:
        """:meth:`segment` as a generator of (share done, stage).

        A reference that need not fit is left out if it does not; the outcome says why.
        """
        return self._sceneSegmenter().segment(volumeNode, segmentationNode, reference, options, referenceMustFit)

    def segmentFramesSteps(self, volumeNode, segmentationNode=None, options=None) -> Steps[list[Outcome]]:
        """Segment all frames of the volume's sequence, as a generator of (share done, stage)."""
        return self._sceneSegmenter().segment_frames(volumeNode, segmentationNode, options)

    def compareSteps(self, segmentationNode, volumeNode, reference) -> Steps[Comparison]:
        """Compare a result that is in the scene with a reference, as a generator of (share done, stage)."""
        return self._sceneSegmenter().compare(segmentationNode, volumeNode, reference)

    def correct(
        self,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        strokes: Sequence[Stroke],
        device: str = "auto",
        progress: Callable[[float, str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> None:
        """Correct a result where strokes, in the frame of its CT, say what is liver; it can be undone.

        Raises
        ------
        LiverSegLib.errors.LiverSegError
            As :meth:`segment`; the scene stays as it was.
        """
        from LiverSegLib.mrml.scene_run import run_to_end

        run_to_end(self.correctSteps(segmentationNode, strokes, device), progress, cancel)

    def correctSteps(self, segmentationNode, strokes, device="auto") -> Steps[None]:
        """:meth:`correct` as a generator of (share done, stage)."""
        return self._sceneCorrector().add(segmentationNode, strokes, device)

    def deleteStrokeSteps(self, segmentationNode, number, device="auto") -> Steps[None]:
        """Take a stroke, counted from 0, out of a result, as a generator of (share done, stage)."""
        return self._sceneCorrector().delete(segmentationNode, number, device)

    def prepareCorrectionSteps(self, segmentationNode, device="auto") -> Steps[None]:
        """Make ready what the first stroke on a result needs, as a generator of (share done, stage)."""
        return self._sceneCorrector().prepare(segmentationNode, device)

    def forgetScan(self) -> None:
        """Let go of what was made ready for strokes."""
        if self._corrector is not None:
            self._corrector.forget()

    def deviceSteps(self) -> Steps[list[str]]:
        """Find the devices that run a kernel, as a generator of (share done, stage)."""
        return self._sceneSegmenter().devices()

    def warmUpSteps(self, device="auto") -> Steps[None]:
        """Load the network for a device and let it run once, as a generator of (share done, stage)."""
        return self._sceneSegmenter().warm_up(device)

    def canUndo(self, segmentationNode) -> bool:
        """Whether the segmentation held something else before a run of this logic."""
        return (
            self._scene is not None and segmentationNode is not None and self._scene.history.can_undo(segmentationNode)
        )

    def canRedo(self, segmentationNode) -> bool:
        """Whether a run of this logic was undone."""
        return (
            self._scene is not None and segmentationNode is not None and self._scene.history.can_redo(segmentationNode)
        )

    def undo(self, segmentationNode) -> None:
        """Bring back what the segmentation held before the last run."""
        self._sceneSegmenter().history.undo(segmentationNode)

    def redo(self, segmentationNode) -> None:
        """Put in again what was undone."""
        self._sceneSegmenter().history.redo(segmentationNode)

    def missingPackages(self) -> list[str]:
        """Names of the Python packages that have to be installed first."""
        from LiverSegLib import install

        return install.missing_packages()

    def installPackages(self) -> None:
        """Ask, and install what is missing; InstallError says why not, in one sentence."""
        from LiverSegLib import install

        install.ensure_packages()

    def _checkPackages(self) -> None:
        """InstallError if something is missing; a segmenter other than the bundled one needs nothing."""
        from LiverSegLib import install

        if self._makeSegmenter is _bundledSegmenter:
            install.check_packages()

    def close(self) -> None:
        """Stop what runs; the logic must not be used afterwards."""
        if self._scene is not None:
            self._scene.close()

    def _sceneSegmenter(self) -> SceneSegmenter:
        if self._scene is None:
            from LiverSegLib.mrml.scene_run import SceneSegmenter

            self._scene = SceneSegmenter(self._makeSegmenter)
        return self._scene

    def _sceneCorrector(self) -> SceneCorrector:
        if self._corrector is None:
            from LiverSegLib.mrml.correction_run import SceneCorrector

            self._corrector = SceneCorrector(self._sceneSegmenter(), self._makeRefiner)
        return self._corrector


def _bundledSegmenter(device: str) -> Segmenter:
    from LiverSegLib import install

    install.check_pytorch()
    from LiverSegLib.inference.segmenter import Segmenter

    return Segmenter(device=device)


@cache
def _bundledRefineModel() -> RefineModel:
    from LiverSegLib.model.refine_model import RefineModel

    return RefineModel.load()


def _bundledRefiner(ct: CTVolume, labels: np.ndarray, device: str) -> SceneRefiner:
    from LiverSegLib import install

    install.check_pytorch()
    from LiverSegLib.inference.refine import Refiner

    return Refiner(_bundledRefineModel(), ct, labels, device)


class LiverSegTest(ScriptedLoadableModuleTest):
    """The road that users take, on a synthetic CT, with no network connection and no sample data.

    Each test stands alone. Those that need a package which is not installed are skipped and say so.
    """

    def setUp(self) -> None:
        self._skipWithout("scipy")
        from LiverSegLib import mrml

        mrml.ensure_scene().Clear(0)

    def runTest(self, **options) -> None:
        """Run all tests, as Slicer's Self Tests module asks for."""
        for name in unittest.TestLoader().getTestCaseNames(type(self)):
            try:
                self.setUp()
                getattr(self, name)()
            except unittest.SkipTest as reason:
                logging.info("%s: skipped, %s", name, reason)
            finally:
                self.tearDown()

    @staticmethod
    def _skipWithout(*packages: str) -> None:
        from importlib.util import find_spec

        missing = [name for name in packages if find_spec(name) is None]
        if missing:
            raise unittest.SkipTest("needs " + ", ".join(missing))

    def _sample(self, name: str = "CT") -> tuple[Any, Any]:
        """A volume node with a coarse synthetic CT, and the exact labels, uint8 (k, j, i)."""
        from LiverSegLib import mrml, phantom

        sample = phantom.make_phantom(seed=0, shape=(24, 96, 96), spacing=(10.0, 3.8, 3.8))
        volumeNode = mrml.volume_from_ct(sample.ct)
        volumeNode.SetName(name)
        return volumeNode, sample.labels

    def test_the_network_finds_the_liver_of_the_phantom(self) -> None:
        self._skipWithout("torch", "nibabel")
        from LiverSegLib import mrml, phantom

        sample = phantom.make_phantom(seed=0)
        volumeNode = mrml.volume_from_ct(sample.ct)
        referenceNode = mrml.labelmap_from_array(sample.labels, sample.ct.affine, "reference")
        segmentationNode = volumeNode.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "result")
        report = LiverSegLogic().segment(volumeNode, segmentationNode, reference=referenceNode)
        self.assertGreaterEqual(report.dice, 0.90)
        self.assertEqual(segmentationNode.GetSegmentation().GetNthSegment(0).GetName(), "Liver")

    def test_the_result_lies_on_the_voxels_of_a_transformed_volume(self) -> None:
        from LiverSegLib import mrml

        volumeNode, labels = self._sample()
        transformNode = volumeNode.GetScene().AddNewNodeByClass("vtkMRMLLinearTransformNode")
        matrix = vtk.vtkTransform()
        matrix.RotateX(20)
        matrix.Translate(30, -40, 50)
        transformNode.SetMatrixTransformToParent(matrix.GetMatrix())
        volumeNode.SetAndObserveTransformNodeID(transformNode.GetID())
        logic = LiverSegLogic(segmenterFactory=lambda device: _ExactSegmenter(labels))
        outcome = _last(logic.segmentSteps(volumeNode))
        self.assertEqual(outcome.segmentation_node.GetTransformNodeID(), transformNode.GetID())
        found = mrml.segmentation_to_labels(outcome.segmentation_node, volumeNode)
        self.assertTrue(((found > 0) == (labels > 0)).all())

    def test_a_reference_gives_dice(self) -> None:
        from LiverSegLib import mrml

        volumeNode, labels = self._sample()
        halved = labels.copy()
        halved[: halved.shape[0] // 2] = 0
        referenceNode = mrml.labelmap_from_array(halved, mrml.volume_to_ct(volumeNode).affine, "reference")
        logic = LiverSegLogic(segmenterFactory=lambda device: _ExactSegmenter(labels))
        report = logic.segment(volumeNode, None, reference=referenceNode)
        shared, both = (halved > 0).sum(), (halved > 0).sum() + (labels > 0).sum()
        self.assertAlmostEqual(report.dice, 2 * shared / both)

    def test_a_stopped_run_leaves_the_scene_as_it_was(self) -> None:
        volumeNode, labels = self._sample()
        before = volumeNode.GetScene().GetNumberOfNodes()
        steps = LiverSegLogic(segmenterFactory=lambda device: _ExactSegmenter(labels)).segmentSteps(volumeNode)
        next(steps)
        steps.close()
        self.assertEqual(volumeNode.GetScene().GetNumberOfNodes(), before)

    def test_a_second_run_can_be_undone(self) -> None:
        from LiverSegLib import mrml

        volumeNode, labels = self._sample()
        results = iter([labels, labels[:, ::-1].copy()])
        logic = LiverSegLogic(segmenterFactory=lambda device: _ExactSegmenter(lambda: next(results)))
        segmentationNode = _last(logic.segmentSteps(volumeNode)).segmentation_node
        logic.segment(volumeNode, segmentationNode)
        logic.undo(segmentationNode)
        found = mrml.segmentation_to_labels(segmentationNode, volumeNode)
        self.assertTrue(((found > 0) == (labels > 0)).all())

    def test_a_stroke_corrects_the_result_and_is_undone(self) -> None:
        import numpy as np

        from LiverSegLib import mrml
        from LiverSegLib.data.strokes import Stroke

        volumeNode, labels = self._sample()
        logic = LiverSegLogic(lambda device: _ExactSegmenter(labels), lambda ct, labels, device: _ExactRefiner())
        segmentationNode = _last(logic.segmentSteps(volumeNode)).segmentation_node
        logic.correct(segmentationNode, [Stroke(mrml.affine_of(volumeNode)[None, :3, 3], is_liver=True)])
        found = mrml.segmentation_to_labels(segmentationNode, volumeNode)
        self.assertEqual(int(np.count_nonzero(found)), int(np.count_nonzero(labels)) + 1)
        logic.undo(segmentationNode)
        found = mrml.segmentation_to_labels(segmentationNode, volumeNode)
        self.assertTrue(((found > 0) == (labels > 0)).all())

    def test_a_labelmap_is_refused_as_input_in_one_sentence(self) -> None:
        from LiverSegLib import mrml
        from LiverSegLib.errors import InputError

        volumeNode, labels = self._sample()
        labelmapNode = mrml.labelmap_from_array(labels, mrml.volume_to_ct(volumeNode).affine, "liver")
        with self.assertRaises(InputError) as caught:
            LiverSegLogic(segmenterFactory=lambda device: _ExactSegmenter(labels)).segment(labelmapNode)
        self.assertNotIn("\n", str(caught.exception))

    def test_without_pytorch_one_sentence_names_the_next_step(self) -> None:
        from LiverSegLib import messages, mrml
        from LiverSegLib.errors import InstallError

        def broken(device: str) -> None:
            raise InstallError(messages.PYTORCH_BROKEN.format(reason="not there"))

        volumeNode, _labels = self._sample()
        before = volumeNode.GetScene().GetNumberOfNodes()
        with self.assertRaises(InstallError):
            _last(LiverSegLogic(segmenterFactory=broken).segmentSteps(volumeNode))
        self.assertEqual(volumeNode.GetScene().GetNumberOfNodes(), before)
        self.assertIsNone(mrml.segmentation_of(volumeNode))


class _ExactSegmenter:
    """In the self-tests in the place of the network: gives labels that are known, and needs no PyTorch."""

    def __init__(self, labels) -> None:
        self._labels = labels if callable(labels) else lambda: labels

    def segment(self, ct, options=None, progress=None, cancel=None):
        from types import SimpleNamespace

        from LiverSegLib.data.anatomy import Anatomy

        card = SimpleNamespace(name="exact", version="1", sha256="0" * 64, modality="CT")
        seconds = dict.fromkeys(("load", "preprocess", "network", "postprocess"), 0.0)
        return SimpleNamespace(
            labels=self._labels(),
            affine=ct.affine,
            warnings=(),
            seconds=seconds,
            device="cpu",
            model=card,
            quality=None,
            anatomy=Anatomy(),
            places=(),
            corrections=0,
        )


class _ExactRefiner:
    """In the self-tests in the place of the network that corrects: the first voxel becomes liver."""

    warnings: tuple[str, ...] = ()

    def refine(self, labels, strokes, cancel=None):
        new = labels.copy()
        new[0, 0, 0] = strokes[-1].is_liver
        return new


def _last(steps: Steps[Any]) -> Any:
    from LiverSegLib.mrml.scene_run import run_to_end

    return run_to_end(steps)
