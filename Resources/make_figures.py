"""Draws the pictures of the documentation from a real run: the module segments the phantom, Slicer's views show it.

``make figures`` runs it as ``python -m Resources.make_figures``. The panel is the module's own, in the bench of
Testing/bench; the views are drawn by Slicer's displayable managers (Testing/bench/views.py). Only the synthetic CT
appears, since the patients' data may not be copied.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import slicer
from PIL import Image, ImageDraw, ImageFont

from LiverSegLib import mrml, phantom
from Testing.bench import Application, slicer_application
from Testing.bench.views import SLICE_VIEWS, Views

OUTPUT = Path(__file__).resolve().parent / "Screenshots"
# Finer than the phantom of the demo, so that slices and surfaces look smooth.
SHAPE, SPACING = (140, 320, 320), (2.0, 1.15, 1.15)
WINDOW_HU, LEVEL_HU = 400, 40
# Small enough for pictures of less than 400 kB.
VIEW_SIZE = (384, 300)
# So much of the colour of a segment that one sees the CT through it.
FILL_OPACITY = 0.3
# From the patient's right and from above, and how much nearer than all that there is.
AZIMUTH, ELEVATION, ZOOM = -25.0, 8.0, 1.35
# The run on a slow computer.
SECONDS = 600.0
BAR_HEIGHT, GAP, MARGIN = 22, 2, 20
PAPER, INK = (239, 239, 239), (30, 30, 30)


def main() -> None:
    OUTPUT.mkdir(parents=True, exist_ok=True)
    sample = phantom.make_phantom(shape=SHAPE, spacing=SPACING)
    with slicer_application() as application:
        volume_node = mrml.volume_from_ct(sample.ct)
        volume_node.SetName("LiverPhantom")
        reference_node = mrml.labelmap_from_array(sample.labels, sample.ct.affine, "LiverPhantom exact liver")
        views = Views(application.scene, VIEW_SIZE)
        try:
            panel = run_panel(application, volume_node, reference_node)
            simple = photographed(application, panel)
            application.click(panel.ui.advancedSection)
            wait_for_end(application, panel)
            save(OUTPUT / "panel.png", without_empty_rows(photographed(application, panel)))
            slices, three_d = figures(views, volume_node, mrml.segmentation_of(volume_node), sample.labels, OUTPUT)
            save(OUTPUT / "LiverSegExtension.png", window(simple, slices, three_d))
        finally:
            views.close()


def run_panel(application: Application, volume_node, reference_node):
    """Open the panel and segment the volume as a user does; returns the panel as it is afterwards."""
    application.load_module()
    panel = application.open_panel()
    application.choose(panel.ui.inputSelector, volume_node)
    application.choose(panel.ui.referenceSelector, reference_node)
    application.click(panel.ui.segmentButton)
    wait_for_end(application, panel)
    return panel


def wait_for_end(application: Application, panel) -> None:
    """Wait for the end of what the panel does; a message or an error ends the script before a picture shows it."""
    application.wait_until(lambda: not panel.ui.progressBar.visible, SECONDS)
    for error in application.errors:
        raise error
    if application.dialogs:
        sys.exit(application.dialogs[-1].text)


def photographed(application: Application, panel) -> np.ndarray:
    with tempfile.TemporaryDirectory() as folder:
        path = application.grab(panel.parent, Path(folder) / "panel.png")
        return np.array(Image.open(path).convert("RGB"))


def without_empty_rows(picture: np.ndarray) -> np.ndarray:
    """Cut off what lies below the last widget."""
    used = np.flatnonzero((picture != picture[-1, 0]).any(axis=(1, 2)))
    return picture[: used[-1] + MARGIN]


def figures(
    views: Views, volume_node, segmentation_node, reference_labels: np.ndarray, folder: Path
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Save slices, 3D view and disagreement of a result; returns the slice views by name, and the 3D view."""
    show(views, volume_node, segmentation_node)
    slices = {name: framed(views, name) for name in SLICE_VIEWS}
    three_d = picture_3d(views)
    save(folder / "slices.png", beside(list(slices.values())))
    save(folder / "view3d.png", three_d)
    save(folder / "disagreement.png", disagreement(views, volume_node, segmentation_node, reference_labels))
    return slices, three_d


def show(views: Views, volume_node, segmentation_node) -> None:
    """What a user would do after the click: the abdomen's window, a ruler, the marker of the axes."""
    volume_node.GetDisplayNode().AutoWindowLevelOff()
    volume_node.GetDisplayNode().SetWindowLevel(WINDOW_HU, LEVEL_HU)
    views.show(volume_node)
    mrml.frame_slices(segmentation_node)
    mrml.set_surface(segmentation_node, shown=True, smoothing=0.5)
    segmentation_node.GetDisplayNode().SetOpacity2DFill(FILL_OPACITY)
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
    segments = [node.GetSegmentation().GetNthSegment(n) for n in range(node.GetSegmentation().GetNumberOfSegments())]
    return np.vstack([slices, legend(slices.shape[1], segments)])


def framed(views: Views, name: str) -> np.ndarray:
    """A slice view under its bar, as in Slicer's window."""
    node = views.slice_node(name)
    axis, letters = {"Red": (2, "SI"), "Green": (1, "AP"), "Yellow": (0, "RL")}[name]
    place = node.GetSliceToRAS().GetElement(axis, 3)
    return with_bar(
        views.slice(name), name[0], f"{letters[place < 0]}: {abs(place):.1f} mm", rgb(node.GetLayoutColor())
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


def legend(width: int, segments: list[slicer.vtkSegment]) -> np.ndarray:
    """A line that names the segments beside their colours."""
    strip = Image.new("RGB", (width, 30), PAPER)
    draw = ImageDraw.Draw(strip)
    x = 12
    for segment in segments:
        draw.rectangle((x, 9, x + 14, 22), rgb(segment.GetColor()))
        draw.text((x + 22, 15), segment.GetName(), INK, font(14), anchor="lm")
        x += 50 + round(draw.textlength(segment.GetName(), font(14)))
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
    """As PNG."""
    Image.fromarray(picture).save(path, optimize=True)
    print(f"{path}: {picture.shape[1]} × {picture.shape[0]} pixels, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
