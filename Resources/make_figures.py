"""Draws the pictures of the documentation from real runs: the module segments a CT, Slicer's views show it.

``make figures`` runs it as ``python -m Resources.make_figures``. The panel is the module's own, in the bench of
Testing/bench; the views are drawn by Slicer's displayable managers (Testing/demo/views.py). With LIVERSEG_DATA the
CT is that of a patient, whose credit stands in the picture; whatever shows the phantom says that it is synthetic.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from LiverSegLib import mrml, phantom
from LiverSegLib.data.structures import VESSELS
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.evaluation import picture
from LiverSegLib.io.files import read_ct
from Testing.bench import Application, slicer_application
from Testing.demo.views import SLICE_VIEWS, Views
from Testing.widget.actions import compare, open_section

OUTPUT = Path(__file__).resolve().parent / "Screenshots"
# In the folder that LIVERSEG_DATA names; no other patient's CT may be shown.
SERIES, SERIES_NAME = "dicom_hcc048_portal", "HCC_048"
CREDIT = "CT: TCIA HCC-TACE-Seg, case HCC_048 (doi 10.7937/TCIA.5FNA-0924), CC BY 4.0"
# Finer than the phantom of the demo, so that slices and surfaces look smooth.
SHAPE, SPACING = (140, 320, 320), (2.0, 1.15, 1.15)
SYNTHETIC = "synthetic"
VIEW_SIZE, PANEL_WIDTH = (384, 300), 420
# So many colours keep a picture of noisy tissue below 450 kB.
COLOURS = 256
# From the patient's right and from above, and how much nearer than all that there is.
AZIMUTH, ELEVATION, ZOOM = -25.0, 8.0, 1.35
# The run on a slow computer.
SECONDS = 600.0
BAR_HEIGHT, GAP, MARGIN = 22, 2, 20
PAPER, INK = (239, 239, 239), (30, 30, 30)


def main() -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    sample = phantom.make_phantom(shape=SHAPE, spacing=SPACING)
    ct, credit = ct_to_show() or (sample.ct, f"CT: {SYNTHETIC}")
    with slicer_application() as application:
        views = Views(application.scene, VIEW_SIZE)
        try:
            application.load_module()
            figures = Figures(application, application.open_panel(), views)
            save(OUTPUT / "LiverSegExtension.png", figures.window(ct, credit))
            if ct.name == SERIES_NAME:
                save(OUTPUT / "hcc_048.png", figures.overlay(ct))
            save(OUTPUT / "anatomy.png", figures.anatomy(ct, credit))
            panel, slices = figures.comparison(sample)
            save(OUTPUT / "panel.png", panel)
            save(OUTPUT / "disagreement.png", slices)
        finally:
            views.close()


def ct_to_show() -> tuple[CTVolume, str] | None:
    """The patient's CT that may be shown, and its credit; None where it is not at hand."""
    folder = Path(os.environ.get("LIVERSEG_DATA", "")) / SERIES
    return (replace(read_ct(folder), name=SERIES_NAME), CREDIT) if folder.is_dir() else None


@dataclass(frozen=True)
class Figures:
    """A person at the panel, with a camera."""

    application: Application
    panel: Any
    views: Views

    def window(self, ct: CTVolume, credit: str) -> np.ndarray:
        """Segment a CT as a user does: Slicer's window afterwards, and a line below it."""
        volume_node = mrml.volume_from_ct(ct)
        self.segment(volume_node)
        show(self.views, volume_node, mrml.segmentation_of(volume_node))
        slices = {name: framed(self.views, name) for name in SLICE_VIEWS}
        picture = window(self.photographed(), slices, picture_3d(self.views))
        return np.vstack([picture, line(picture.shape[1], credit)])

    def overlay(self, ct: CTVolume) -> np.ndarray:
        """The result of :meth:`window` on slices, as ``--picture`` draws it."""
        volume_node = self.panel.ui.inputSelector.currentNode()
        labels = mrml.segmentation_to_labels(mrml.segmentation_of(volume_node), volume_node)
        return picture.overlay(ct, labels)

    def anatomy(self, ct: CTVolume, credit: str) -> np.ndarray:
        """Couinaud segments and vessels of a CT on a slice and in 3D, and the vessels alone in the liver."""
        boxes = (self.panel.ui.segmentsCheckBox, self.panel.ui.vesselsCheckBox)
        for box in boxes:
            self.application.click(box)
        volume_node = mrml.volume_from_ct(ct)
        self.segment(volume_node)
        for box in boxes:
            self.application.click(box)
        result = mrml.segmentation_of(volume_node)
        show(self.views, volume_node, result)
        views = [framed(self.views, "Red"), picture_3d(self.views)]
        for number in range(1, 9):
            result.GetDisplayNode().SetSegmentVisibility(mrml.ANATOMY_IDS[number], False)
        picture = beside([*views, picture_3d(self.views)])
        named = [(str(number), number) for number in range(1, 9)] + [("vessels", VESSELS.label)]
        segments = [(name, colour_of(result, mrml.ANATOMY_IDS[label])) for name, label in named]
        return np.vstack([picture, line(picture.shape[1], credit, segments)])

    def comparison(self, sample: phantom.Phantom) -> tuple[np.ndarray, np.ndarray]:
        """Segment the phantom and compare it: the panel with all that it has, and the disagreement on the slices."""
        volume_node = mrml.volume_from_ct(sample.ct)
        reference_node = mrml.labelmap_from_array(sample.labels, sample.ct.affine, "Exact liver")
        ui = self.panel.ui
        self.segment(volume_node)
        compare(self.application, self.panel, reference_node)
        for section in (ui.correctSection, ui.displaySection, ui.advancedSection):
            open_section(self.application, section)
            self.wait_for_end()
        result = mrml.segmentation_of(volume_node)
        show(self.views, volume_node, result)
        slices = disagreement(self.views, volume_node, result, sample.labels)
        return without_empty_rows(self.photographed()), slices

    def segment(self, volume_node) -> None:
        self.application.choose(self.panel.ui.inputSelector, volume_node)
        self.application.click(self.panel.ui.segmentButton)
        self.wait_for_end()

    def wait_for_end(self) -> None:
        """A message or an error ends the script before a picture shows it."""
        self.application.wait_until(lambda: not self.panel.ui.progressBar.visible, SECONDS)
        for error in self.application.errors:
            raise error
        if self.application.dialogs:
            sys.exit(self.application.dialogs[-1].text)

    def photographed(self) -> np.ndarray:
        # In Slicer a panel scrolls instead of being squeezed.
        parent = self.panel.parent
        parent.resize(PANEL_WIDTH, max(parent.height, parent.sizeHint().height()))
        with tempfile.TemporaryDirectory() as folder:
            path = self.application.grab(self.panel.parent, Path(folder) / "panel.png")
            return np.array(Image.open(path).convert("RGB"))


def without_empty_rows(picture: np.ndarray) -> np.ndarray:
    """Cut off what lies below the last widget."""
    used = np.flatnonzero((picture != picture[-1, 0]).any(axis=(1, 2)))
    return picture[: used[-1] + MARGIN]


def show(views: Views, volume_node, segmentation_node) -> None:
    """What a user would do after the click: a ruler, the marker of the axes."""
    views.show(volume_node)
    mrml.frame_slices(segmentation_node)
    for name in SLICE_VIEWS:
        node = views.slice_node(name)
        node.SetRulerType(node.RulerTypeThin)
        node.SetOrientationMarkerType(node.OrientationMarkerTypeAxes)
        node.SetOrientationMarkerSize(node.OrientationMarkerSizeMedium)


def picture_3d(views: Views) -> np.ndarray:
    """The liver before the coronal slice."""
    node = views.view_node
    node.SetBoxVisible(False)
    node.SetAxisLabelsVisible(False)
    node.SetOrientationMarkerType(node.OrientationMarkerTypeCube)
    node.SetOrientationMarkerSize(node.OrientationMarkerSizeSmall)
    views.slice_node("Green").SetSliceVisible(True)
    picture = views.three_d(AZIMUTH, ELEVATION, ZOOM)
    views.slice_node("Green").SetSliceVisible(False)
    return with_bar(picture, "1", "", rgb(node.GetLayoutColor()))


def disagreement(views: Views, volume_node, segmentation_node, reference_labels: np.ndarray) -> np.ndarray:
    """The slices with what was missed and what is extra, and a legend."""
    labels = mrml.segmentation_to_labels(segmentation_node, volume_node)
    node = mrml.show_disagreement(segmentation_node, labels, reference_labels, volume_node)
    segmentation_node.GetDisplayNode().SetVisibility2DFill(False)
    slices = beside([framed(views, name) for name in SLICE_VIEWS])
    ids = node.GetSegmentation().GetSegmentIDs()
    segments = [(node.GetSegmentation().GetSegment(found).GetName(), colour_of(node, found)) for found in ids]
    return np.vstack([slices, line(slices.shape[1], f"CT: {SYNTHETIC}", segments)])


def colour_of(segmentation_node, segment_id: str) -> tuple[int, ...]:
    """Of a segment, 0 to 255."""
    return rgb(segmentation_node.GetSegmentation().GetSegment(segment_id).GetColor())


def framed(views: Views, name: str) -> np.ndarray:
    """A slice view under its bar, as in Slicer's window."""
    node = views.slice_node(name)
    axis, letters = {"Red": (2, "SI"), "Green": (1, "AP"), "Yellow": (0, "RL")}[name]
    place = node.GetSliceToRAS().GetElement(axis, 3)
    return with_bar(
        views.slice(name),
        name[0],
        f"{letters[place < 0]}: {abs(place):.1f} mm",
        rgb(node.GetLayoutColor()),
    )


def rgb(colour: Sequence[float]) -> tuple[int, ...]:
    """Red, green and blue, 0 to 255."""
    return tuple(round(255 * value) for value in colour)


def with_bar(picture: np.ndarray, label: str, text: str, colour: tuple[int, ...]) -> np.ndarray:
    width = picture.shape[1]
    bar = Image.new("RGB", (width, BAR_HEIGHT), colour)
    draw = ImageDraw.Draw(bar)
    draw.text((8, BAR_HEIGHT / 2), label, INK, font(14), anchor="lm")
    draw.text((width - 8, BAR_HEIGHT / 2), text, INK, font(13), anchor="rm")
    return np.vstack([np.array(bar), picture])


def line(width: int, text: str, segments: Sequence[tuple[str, tuple[int, ...]]] = ()) -> np.ndarray:
    """A line that names segments beside their colours, with a text at its right end."""
    strip = Image.new("RGB", (width, 30), PAPER)
    draw = ImageDraw.Draw(strip)
    x = 12
    for name, colour in segments:
        draw.rectangle((x, 9, x + 14, 22), colour)
        draw.text((x + 22, 15), name, INK, font(14), anchor="lm")
        x += 50 + round(draw.textlength(name, font(14)))
    draw.text((width - 12, 15), text, INK, font(14), anchor="rm")
    return np.array(strip)


def window(panel: np.ndarray, slices: dict[str, np.ndarray], three_d: np.ndarray) -> np.ndarray:
    """Slicer's window in its four-up layout: the panel at the left, the views at the right."""
    views = np.vstack(
        [
            beside([slices["Red"], three_d]),
            gap(GAP, 2 * VIEW_SIZE[0] + GAP),
            beside([slices["Green"], slices["Yellow"]]),
        ]
    )
    left = np.full((len(views), panel.shape[1], 3), panel[-1, 0], np.uint8)
    rows = min(len(panel), len(left))
    left[:rows] = panel[:rows]
    return beside([left, views])


def beside(pictures: list[np.ndarray]) -> np.ndarray:
    space = gap(len(pictures[0]), GAP)
    return np.hstack([piece for picture in pictures for piece in (picture, space)][:-1])


def gap(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def save(path: Path, picture: np.ndarray) -> None:
    """As PNG with a palette, which keeps rare colours, too: those of a legend are those of what it names."""
    image, choice = Image.fromarray(picture), Image.Quantize.MAXCOVERAGE
    coloured = image.quantize(COLOURS, choice, kmeans=1, dither=Image.Dither.NONE)
    coloured.save(path, optimize=True)
    print(f"{path}: {picture.shape[1]} × {picture.shape[0]} pixels, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
