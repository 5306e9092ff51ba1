"""Overlays: the result drawn on slices spread over the liver, as a picture to look at and to pass on."""

from __future__ import annotations

import os

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from .. import messages
from ..data.anatomy import Anatomy
from ..data.bounding_box import box_of
from ..data.metrics import dice
from ..data.modality import MR
from ..data.structures import COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS
from ..data.volume import CTVolume
from ..data.volumetry import rounded_parts
from ..inference.mr_signal import on_network_scale
from ..io.atomic import replacing

# Texts and their colours.
Legend = list[tuple[str, tuple[int, int, int]]]

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
# Size in pixels that the longer side of a panel gets; an outline is two pixels of it, that of vessels one.
PANEL = 400
GAP = 4
CAPTION, LINE = 58, 25
TEXT_SIZE, NUMBER_SIZE = 17, 13
# How much of a Couinaud segment's colour the slice gets; and where it has its number: so many pixels inside.
FILL, NUMBER_INSIDE = 0.35, 6
# Of noisy slices this makes a file as small as the usual level 6, in less than half the time.
PNG_LEVEL = 3
# The outermost slices show little: the panels keep this fraction of the liver's height away from its ends.
INSET = 0.08


def overlay(
    ct: CTVolume,
    labels: np.ndarray,
    reference: np.ndarray | None = None,
    title: str | None = None,
    anatomy: Anatomy | None = None,
) -> np.ndarray:
    """Draw the outlines of what was found on six axial slices, from the top of the liver to its bottom.

    Couinaud segments are filled and bear their numbers.

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
    anatomy
        Segments, vessels and spleen on the same grid.

    Returns
    -------
    RGB picture, uint8 (row, column, 3). The patient's left is on the right, as radiologists view it. Without any liver
    the slices are spread over the whole image and the caption says so.
    """
    drawn = on_network_scale(ct, WINDOW_HU) if ct.modality == MR else ct
    anatomy = anatomy or Anatomy()
    others = (reference, anatomy.segments, anatomy.spleen, anatomy.vessels)
    hu, labels_turned = drawn.canonical_view(), ct.geometry.to_canonical(labels)
    others_turned = [None if other is None else ct.geometry.to_canonical(other) for other in others]
    box = _body_box(hu, MR_BODY if ct.modality == MR else BODY_HU)
    scale = _pixels_per_mm(hu, box)
    panels = []
    for k in _slices(labels_turned):
        others_here = [None if other is None else other[k][box] for other in others_turned]
        panel = _drawn(_grey(hu.hu[k][box], scale), labels_turned[k][box], *others_here)
        panels.append(_numbered(panel, k, len(hu.hu)))
    captions = [_caption(ct, _legend(ct, labels, reference, anatomy), title, _montage_width(panels))]
    if anatomy.segments is not None:
        captions.append(_segments_line(ct, anatomy.segments, _montage_width(panels)))
    return np.vstack([_montage(panels), *captions])


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


def _grey(hu: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    low, high = WINDOW_HU
    levels = np.clip((hu - low) * (255 / (high - low)), 0, 255).astype(np.uint8)
    rows, columns = (max(1, round(n * s)) for n, s in zip(levels.shape, scale, strict=True))
    return np.array(Image.fromarray(levels).resize((columns, rows), Image.Resampling.BICUBIC).convert("RGB"))


def _drawn(
    panel: np.ndarray,
    labels: np.ndarray,
    reference: np.ndarray | None,
    segments: np.ndarray | None,
    spleen: np.ndarray | None,
    vessels: np.ndarray | None,
) -> np.ndarray:
    """A panel with what lies on its slice, each (row, column) on the voxels that the panel shows."""
    if segments is not None:
        panel = _filled(panel, segments)
    if reference is not None:
        _outline(panel, reference > 0, REFERENCE_COLOUR)
    _outline(panel, labels > 0, LIVER.colour)
    if spleen is not None:
        _outline(panel, spleen, SPLEEN.colour)
    if vessels is not None:
        _outline(panel, vessels, VESSELS.colour, pixels=1)
    _outline(panel, labels == TUMOUR.label, TUMOUR.colour)
    return panel if segments is None else _with_numbers(panel, segments)


def _outline(panel: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], pixels: int = 2) -> None:
    """Draw the mask's outline on the panel, just inside its edge."""
    if not mask.any():
        return
    rows, columns = panel.shape[:2]
    smooth = Image.fromarray(mask.astype(np.uint8) * 255).resize((columns, rows), Image.Resampling.BILINEAR)
    drawn = np.array(smooth) > 127
    _, *part = box_of(drawn[np.newaxis])
    inside = drawn[*part]
    panel[*part][inside & ~ndimage.binary_erosion(inside, iterations=pixels)] = colour


def _filled(panel: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The panel with its Couinaud segments in their colours."""
    colours = np.array([(0, 0, 0), *(structure.colour for structure in COUINAUD)])
    shown = _on_panel(panel, segments)[..., np.newaxis]
    return np.where(shown > 0, (1 - FILL) * panel + FILL * colours[shown[..., 0]], panel).astype(np.uint8)


def _with_numbers(panel: np.ndarray, segments: np.ndarray) -> np.ndarray:
    """The panel with the number of each segment where that is widest; none where it is narrower than its number."""
    image, shown = Image.fromarray(panel), _on_panel(panel, segments)
    for number, box in enumerate(ndimage.find_objects(shown), start=1):
        if box is None:
            continue
        inside = ndimage.distance_transform_edt(np.pad(shown[box] == number, 1))[1:-1, 1:-1]
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        if inside[row, column] >= NUMBER_INSIDE:
            place = int(box[1].start + column), int(box[0].start + row)
            _write(image, place, str(number), TEXT_COLOUR, "mm")
    return np.array(image)


def _on_panel(panel: np.ndarray, labels: np.ndarray) -> np.ndarray:
    rows, columns = panel.shape[:2]
    return np.array(Image.fromarray(labels).resize((columns, rows), Image.Resampling.NEAREST))


def _numbered(panel: np.ndarray, k: int, count: int) -> np.ndarray:
    image = Image.fromarray(panel)
    _write(image, (6, 4), messages.PICTURE_SLICE.format(number=k + 1, count=count), DIM_TEXT_COLOUR, "la")
    return np.array(image)


def _write(image: Image.Image, place: tuple[int, int], text: str, colour: tuple[int, int, int], anchor: str) -> None:
    """Write on a slice, (column, row), so that it can be read on any grey."""
    draw, font = ImageDraw.Draw(image), _font(NUMBER_SIZE)
    draw.text(place, text, colour, font, anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0))


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


def _caption(ct: CTVolume, legend: Legend, title: str | None, width: int) -> np.ndarray:
    """Two lines below the panels: what it is, and what the colours mean with the numbers to them."""
    image = Image.new("RGB", (width, CAPTION))
    draw = ImageDraw.Draw(image)
    draw.text((8, 6), title or ct.name, TEXT_COLOUR, _font())
    draw.text((width - 8, 6), messages.RESEARCH_USE_SHORT, DIM_TEXT_COLOUR, _font(), anchor="ra")
    left = 8.0
    for text, colour in legend:
        draw.text((left, 31), text, colour, _font())
        left += draw.textlength(text, _font()) + 22
    return np.array(image)


def _legend(ct: CTVolume, labels: np.ndarray, reference: np.ndarray | None, anatomy: Anatomy) -> Legend:
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
    if anatomy.vessels is not None:
        entries.append((messages.PICTURE_VESSELS.format(volume=_millilitres(ct, anatomy.vessels)), VESSELS.colour))
    if anatomy.spleen is not None:
        entries.append((messages.PICTURE_SPLEEN.format(volume=_millilitres(ct, anatomy.spleen)), SPLEEN.colour))
    if reference is not None:
        expected = reference[box] > 0
        entries.append((messages.PICTURE_REFERENCE.format(volume=_millilitres(ct, expected)), REFERENCE_COLOUR))
        entries.append((messages.PICTURE_DICE.format(dice=dice(liver, expected)), TEXT_COLOUR))
    return entries


def _segments_line(ct: CTVolume, segments: np.ndarray, width: int) -> np.ndarray:
    """A third line: the Couinaud segments beside their colours, whose volumes add up."""
    image = Image.new("RGB", (width, LINE))
    draw = ImageDraw.Draw(image)
    draw.text((8, 0), messages.PICTURE_SEGMENTS, TEXT_COLOUR, _font())
    left = 8 + draw.textlength(messages.PICTURE_SEGMENTS, _font()) + 16
    voxels = np.bincount(segments[box_of(segments)].ravel(), minlength=len(COUINAUD) + 1)
    volumes = {structure.label: voxels[structure.label] * ct.voxel_volume_ml for structure in COUINAUD}
    for structure, volume in zip(COUINAUD, rounded_parts(volumes, 0).values(), strict=True):
        draw.rectangle((left, 4, left + 12, 16), structure.colour)
        text = messages.PICTURE_SEGMENT.format(number=structure.label, volume=volume)
        draw.text((left + 18, 0), text, TEXT_COLOUR, _font())
        left += 18 + draw.textlength(text, _font()) + 16
    return np.array(image)


def _millilitres(ct: CTVolume, mask: np.ndarray) -> float:
    return np.count_nonzero(mask) * ct.voxel_volume_ml


def _font(size: int = TEXT_SIZE) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
