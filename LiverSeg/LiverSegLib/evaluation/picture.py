"""Overlays: the result drawn on slices spread over the liver, as a picture to look at and to pass on."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .. import messages
from ..data.bounding_box import box_of
from ..data.metrics import dice
from ..data.modality import MR
from ..data.structures import LIVER, TUMOUR
from ..data.volume import CTVolume
from ..inference.mr_signal import on_network_scale
from ..io.atomic import replacing

# Soft tissue, as radiologists look at the liver.
WINDOW_HU = (-160.0, 240.0)
# Warmer than this is the patient, cooler the air and most of the table.
BODY_HU = -300.0
# Of MR on that window, a tenth of the signal.
MR_BODY = -120.0
TABLE_MM = 12.0
# So many slices, spread over all, show as well as all where the body is.
SLICES_OF_BODY = 32

REFERENCE_COLOUR = (86, 180, 233)
TEXT_COLOUR = (235, 235, 235)
DIM_TEXT_COLOUR = (165, 165, 165)

ROWS, COLUMNS = 2, 3
# Size in pixels that the longer side of a panel gets; an outline is two pixels of it.
PANEL = 400
GAP = 4
CAPTION = 58
TEXT_SIZE = 17
# Of noisy slices this makes a file as small as the usual level 6, in less than half the time.
PNG_LEVEL = 3
# The outermost slices show little: the panels keep this fraction of the liver's height away from its ends.
INSET = 0.08


def overlay(
    ct: CTVolume, labels: np.ndarray, reference: np.ndarray | None = None, title: str | None = None
) -> np.ndarray:
    """Draw the outlines of liver, tumour and reference on six axial slices, from the top of the liver to its bottom.

    Parameters
    ----------
    ct
        The image; MR, if its modality says so, is drawn on the window as the network sees it.
    labels
        uint8 (k, j, i) on the image's grid: 0 background, 1 liver, 2 tumour.
    reference
        Labels to compare with, on the same grid; its liver is outlined and the volume Dice written below.
    title
        First line of the caption; by default the image's name.

    Returns
    -------
    RGB picture, uint8 (row, column, 3). The patient's left is on the right, as radiologists view it. Without any liver
    the slices are spread over the whole image and the caption says so.
    """
    drawn = on_network_scale(ct, WINDOW_HU) if ct.modality == MR else ct
    hu, labels_turned = drawn.canonical_view(), ct.geometry.to_canonical(labels)
    reference_turned = None if reference is None else ct.geometry.to_canonical(reference)
    box = _body_box(hu, MR_BODY if ct.modality == MR else BODY_HU)
    scale = _pixels_per_mm(hu, box)
    panels = []
    for k in _slices(labels_turned):
        panel = _grey(hu.hu[k], box, scale)
        if reference_turned is not None:
            _outline(panel, reference_turned[k] > 0, box, REFERENCE_COLOUR)
        _outline(panel, labels_turned[k] > 0, box, LIVER.colour)
        _outline(panel, labels_turned[k] == TUMOUR.label, box, TUMOUR.colour)
        panels.append(_numbered(panel, k, len(hu.hu)))
    return np.vstack([_montage(panels), _caption(ct, labels, reference, title, _montage_width(panels))])


def write_png(path: str | os.PathLike[str], image: np.ndarray) -> None:
    """Write an RGB picture, uint8 (row, column, 3), as PNG; OutputError if it cannot be written."""
    with replacing(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG", compress_level=PNG_LEVEL)


def _slices(labels: np.ndarray) -> list[int]:
    """Indices of the slices to show, the uppermost first; fewer than there are panels if the image has fewer."""
    shown = np.flatnonzero(labels.any(axis=(1, 2)))
    if not len(shown):
        shown = np.arange(len(labels))
    inset = INSET * (shown[-1] - shown[0])
    spread = np.linspace(shown[-1] - inset, shown[0] + inset, ROWS * COLUMNS)
    return list(dict.fromkeys(np.rint(spread).astype(int).tolist()))


def _body_box(ct: CTVolume, above: float) -> tuple[slice, slice]:
    """Rows and columns that hold the patient, on every slice; the whole picture where nothing is as warm as tissue."""
    # A tenth of the slices must agree, so that an arm or a tube on a few of them does not widen the view.
    some = ct.hu[:: max(1, len(ct.hu) // SLICES_OF_BODY)]
    warm = (some > above).mean(axis=0) > 0.1
    # The shell of the table is thin and the patient is not: opening removes the one and leaves the other.
    rows, columns = (max(1, round(TABLE_MM / mm)) for mm in ct.spacing[1:])
    parts, count = ndimage.label(ndimage.binary_opening(warm, np.ones((rows, columns))))
    if not count:
        return slice(0, warm.shape[0]), slice(0, warm.shape[1])
    return ndimage.find_objects(parts)[np.argmax(np.bincount(parts.ravel())[1:])]


def _pixels_per_mm(ct: CTVolume, box: tuple[slice, slice]) -> tuple[float, float]:
    """Picture pixels per voxel along (row, column), equal per mm so that the body keeps its shape."""
    millimetres = [(part.stop - part.start) * mm for part, mm in zip(box, ct.spacing[1:], strict=True)]
    scale = PANEL / max(millimetres)
    return ct.spacing[1] * scale, ct.spacing[2] * scale


def _grey(hu: np.ndarray, box: tuple[slice, slice], scale: tuple[float, float]) -> np.ndarray:
    low, high = WINDOW_HU
    levels = np.clip((hu[box] - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    rows, columns = (max(1, round(n * s)) for n, s in zip(levels.shape, scale, strict=True))
    return np.array(Image.fromarray(levels).resize((columns, rows), Image.Resampling.BICUBIC).convert("RGB"))


def _outline(panel: np.ndarray, mask: np.ndarray, box: tuple[slice, slice], colour: tuple[int, int, int]) -> None:
    """Draw the mask's outline on the panel, just inside its edge."""
    if not mask[box].any():
        return
    rows, columns = panel.shape[:2]
    smooth = Image.fromarray(mask[box].astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.BILINEAR)
    drawn = np.array(smooth) > 127
    _, *part = box_of(drawn[np.newaxis])
    inside = drawn[*part]
    panel[*part][inside & ~ndimage.binary_erosion(inside, iterations=2)] = colour


def _numbered(panel: np.ndarray, k: int, count: int) -> np.ndarray:
    image = Image.fromarray(panel)
    text = messages.PICTURE_SLICE.format(number=k + 1, count=count)
    ImageDraw.Draw(image).text((6, 4), text, DIM_TEXT_COLOUR, _font(13), stroke_width=1, stroke_fill=(0, 0, 0))
    return np.array(image)


def _montage(panels: list[np.ndarray]) -> np.ndarray:
    """Panels row by row on black; the last row may have gaps."""
    rows, columns = panels[0].shape[:2]
    lines = -(-len(panels) // COLUMNS)
    picture = np.zeros((lines * (rows + GAP), _montage_width(panels), 3), np.uint8)
    for n, panel in enumerate(panels):
        top, left = (n // COLUMNS) * (rows + GAP), (n % COLUMNS) * (columns + GAP)
        picture[top : top + rows, left : left + columns] = panel
    return picture


def _montage_width(panels: list[np.ndarray]) -> int:
    return COLUMNS * (panels[0].shape[1] + GAP) - GAP


def _caption(
    ct: CTVolume, labels: np.ndarray, reference: np.ndarray | None, title: str | None, width: int
) -> np.ndarray:
    """Two lines below the panels: what it is, and what the colours mean with the numbers to them."""
    image = Image.new("RGB", (width, CAPTION))
    draw = ImageDraw.Draw(image)
    draw.text((8, 6), title or ct.name, TEXT_COLOUR, _font())
    draw.text((width - 8, 6), messages.RESEARCH_USE_SHORT, DIM_TEXT_COLOUR, _font(), anchor="ra")
    left = 8.0
    for text, colour in _legend(ct, labels, reference):
        draw.text((left, 31), text, colour, _font())
        left += draw.textlength(text, _font()) + 22
    return np.array(image)


def _legend(ct: CTVolume, labels: np.ndarray, reference: np.ndarray | None) -> list[tuple[str, tuple[int, int, int]]]:
    box = box_of(labels if reference is None else labels | reference)
    liver, tumour = labels[box] > 0, labels[box] == TUMOUR.label
    entries = []
    if liver.any():
        entries.append((messages.PICTURE_LIVER.format(volume=_millilitres(ct, liver)), LIVER.colour))
    else:
        entries.append((messages.PICTURE_NO_LIVER, LIVER.colour))
    if ct.modality == MR:
        entries.append((messages.MR_EXPERIMENTAL, TEXT_COLOUR))
    if tumour.any():
        entries.append((messages.PICTURE_TUMOUR.format(volume=_millilitres(ct, tumour)), TUMOUR.colour))
    if reference is not None:
        expected = reference[box] > 0
        entries.append((messages.PICTURE_REFERENCE.format(volume=_millilitres(ct, expected)), REFERENCE_COLOUR))
        entries.append((messages.PICTURE_DICE.format(dice=dice(liver, expected)), TEXT_COLOUR))
    return entries


def _millilitres(ct: CTVolume, mask: np.ndarray) -> float:
    return np.count_nonzero(mask) * ct.voxel_volume_ml


def _font(size: int = TEXT_SIZE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
