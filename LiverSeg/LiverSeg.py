"""Liver Segmentation: the scripted module as Slicer sees it, thin; all that it does is in LiverSegLib.

Slicer imports this file at every start, so nothing heavy is imported here: LiverSegLib only inside methods.
"""

from __future__ import annotations

import threading
import time
import unittest
from collections.abc import Callable
from typing import TYPE_CHECKING

try:
    from slicer.i18n import tr as _
    from slicer.i18n import translate
    from slicer.ScriptedLoadableModule import *
except ImportError:
    # slicer-core from PyPI has the MRML classes but not the application's Python layer; the logic needs none of it.
    ScriptedLoadableModule = ScriptedLoadableModuleLogic = object
    ScriptedLoadableModuleTest = unittest.TestCase

    def _(text: str) -> str:
        return text

    def translate(context: str, text: str) -> str:
        return text


if TYPE_CHECKING:
    import numpy as np
    import slicer

    from LiverSegLib.report import SegmentationReport
    from LiverSegLib.segmenter import Segmenter


class LiverSeg(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        super().__init__(parent)
        parent.title = _("Liver Segmentation")
        parent.categories = [translate("qSlicerAbstractCoreModule", "Segmentation")]
        parent.dependencies = ["Segmentations", "Volumes"]
        parent.contributors = ["LiverSegExtension contributors"]
        parent.helpText = _(
            "Segments the liver in an abdominal CT with a network that was trained on real patients and is bundled "
            "with the module: nothing is downloaded, no image leaves the computer. With a reference segmentation it "
            "reports the Dice coefficient. For research use only, not for diagnosis."
        )
        parent.acknowledgementText = _(
            "The network was trained on 3D-IRCADb-01 (Soler et al., IRCAD, 2010) and on the LiTS 2017 training set "
            "(Bilic et al., Medical Image Analysis 84, 2023); its weights are for research and non-commercial use."
        )


class LiverSegLogic(ScriptedLoadableModuleLogic):
    """From a CT volume node to a segmentation node; runs in Slicer and with slicer-core from PyPI alike.

    The network stays in memory between calls, one for each device that was asked for.

    >>> report = LiverSegLogic().segment(volumeNode, segmentationNode, reference=manualSegmentationNode)
    >>> print(report.summary())

    Parameters
    ----------
    segmenterFactory
        Makes what segments on a device, given its name; by default LiverSegLib's Segmenter with the bundled network.
    """

    def __init__(self, segmenterFactory: Callable[[str], Segmenter] | None = None) -> None:
        super().__init__()
        self._makeSegmenter = segmenterFactory or _bundledSegmenter
        self._segmenters: dict[str, Segmenter] = {}

    def segment(
        self,
        volumeNode: slicer.vtkMRMLScalarVolumeNode,
        segmentationNode: slicer.vtkMRMLSegmentationNode,
        reference: slicer.vtkMRMLNode | tuple[slicer.vtkMRMLSegmentationNode, str] | None = None,
        device: str = "auto",
        tumour: bool = False,
        progress: Callable[[float, str], None] | None = None,
        cancel: threading.Event | None = None,
    ) -> SegmentationReport:
        """Segment the liver and write it as the segment "Liver"; the scene stays as it was on any error.

        Parameters
        ----------
        volumeNode
            CT in HU; it may be oblique and under any parent transform.
        segmentationNode
            Where the result goes, under the volume's parent transform. Its other segments are kept.
        reference
            Labelmap volume or segmentation to compare with, or (segmentation, segment id or name).
        device
            "auto", "cpu", "cuda", "cuda:0", "mps".
        tumour
            Whether to write liver tumours as a segment of their own too; they belong to "Liver" in any case.
        progress
            Called with the part done, 0 to 1, and the name of the stage.
        cancel
            Set it from anywhere to stop.

        Returns
        -------
        Volumes, timings and warnings; with a reference also Dice, IoU, HD95, ASSD and volume difference.

        Raises
        ------
        LiverSegLib.errors.LiverSegError
            InputError, ModelError, DeviceError or Cancelled: one sentence that says what to do next.
        """
        from LiverSegLib import mrml
        from LiverSegLib.errors import Cancelled
        from LiverSegLib.report import SegmentationReport

        start = time.perf_counter()
        ct = mrml.volume_to_ct(volumeNode)
        mrml.check_output(segmentationNode, volumeNode)
        truth, warnings = self._truth(reference, volumeNode)
        segmentation = self._segmenter(device).segment(ct, progress=progress, cancel=cancel, tumour=tumour)
        if cancel is not None and cancel.is_set():
            raise Cancelled()
        writeStart = time.perf_counter()
        mrml.write_segmentation(segmentationNode, segmentation.labels, volumeNode, tumour)
        end = time.perf_counter()
        return SegmentationReport.of(
            segmentation,
            ct.spacing,
            input=volumeNode.GetName(),
            output=segmentationNode.GetName(),
            reference=truth,
            tumour=tumour,
            extra_warnings=warnings,
            write_seconds=end - writeStart,
            total_seconds=end - start,
        )

    def _truth(self, reference, volumeNode: slicer.vtkMRMLScalarVolumeNode) -> tuple[np.ndarray | None, list[str]]:
        from LiverSegLib import mrml

        return (None, []) if reference is None else mrml.reference_to_labels(reference, volumeNode)

    def _segmenter(self, device: str) -> Segmenter:
        if device not in self._segmenters:
            self._segmenters[device] = self._makeSegmenter(device)
        return self._segmenters[device]


def _bundledSegmenter(device: str) -> Segmenter:
    from LiverSegLib.segmenter import Segmenter

    return Segmenter(device=device)


class LiverSegTest(ScriptedLoadableModuleTest):
    """The road that users take, on a synthetic CT: volume node in, segmentation node and Dice out."""

    def setUp(self) -> None:
        from LiverSegLib import mrml

        mrml.ensure_scene().Clear()

    def runTest(self) -> None:
        self.setUp()
        self.test_the_liver_of_the_phantom_is_found()

    def test_the_liver_of_the_phantom_is_found(self) -> None:
        from LiverSegLib import mrml, phantom

        sample = phantom.make_phantom(seed=0)
        volumeNode = mrml.volume_from_ct(sample.ct)
        referenceNode = mrml.labelmap_from_array(sample.labels, sample.ct.affine, "reference")
        segmentationNode = volumeNode.GetScene().AddNewNodeByClass("vtkMRMLSegmentationNode", "result")
        report = LiverSegLogic().segment(volumeNode, segmentationNode, reference=referenceNode)
        self.assertGreaterEqual(report.dice, 0.90)
        self.assertEqual(segmentationNode.GetSegmentation().GetNthSegment(0).GetName(), "Liver")
