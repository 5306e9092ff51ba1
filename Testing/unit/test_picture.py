"""The overlay: slices through the liver with its outline, upright, in the body's own shape."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.structures import COUINAUD, LIVER, SPLEEN, TUMOUR, VESSELS
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.evaluation import picture
from LiverSegLib.evaluation.picture import CAPTION, COLUMNS, GAP, LINE, PANEL, REFERENCE_COLOUR, TEXT_COLOUR
from LiverSegLib.inference.options import SegmentOptions
from Testing.anatomy_stand_in import anatomy_of

SHAPE = (20, 60, 80)
AXIAL = np.diag((-4.0, -4.0, 5.0, 1.0))


@pytest.fixture
def ct():
    """An elliptical body of 50 HU, twice as wide as deep, in air."""
    j, i = np.ogrid[: SHAPE[1], : SHAPE[2]]
    body = ((j - 30) / 15) ** 2 + ((i - 40) / 30) ** 2 < 1
    hu = np.where(body, 50, -1000).astype(np.int16)
    return CTVolume(np.broadcast_to(hu, SHAPE).copy(), AXIAL, "a body")


@pytest.fixture
def labels():
    """A liver on the patient's right, at the picture's left, in the upper half, with a tumour."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[10:18, 25:35, 15:30] = 1
    labels[10:18, 29:32, 20:24] = 2
    return labels


def has(image, colour):
    """Where the picture, without its caption, has exactly this colour."""
    return (image[:-CAPTION] == colour).all(axis=-1)


def test_liver_tumour_and_reference_are_outlined_in_their_colours(ct, labels):
    image = picture.overlay(ct, labels, np.roll(labels, 3, axis=1))
    assert image.dtype == np.uint8
    for colour in (LIVER.colour, TUMOUR.colour, REFERENCE_COLOUR):
        assert has(image, colour).any()


def test_mr_of_any_unit_is_drawn_as_bright_and_says_that_it_is_mr(ct, labels):
    signal = np.where(ct.hu > 0, 3000, 20).astype(np.int16) + np.arange(SHAPE[2], dtype=np.int16)
    mr, weaker = (replace(ct, hu=signal // factor, modality="MR") for factor in (1, 10))
    images = [picture.overlay(one, labels) for one in (mr, weaker)]
    assert np.abs(images[0].astype(int) - images[1]).mean() < 3 and images[0][:-CAPTION].max() > 200
    assert not np.array_equal(images[0][-CAPTION:], picture.overlay(replace(mr, modality="CT"), labels)[-CAPTION:])


def test_the_patients_right_is_on_the_left(ct, labels):
    image = picture.overlay(ct, labels)
    columns = np.flatnonzero(has(image[:, :PANEL], LIVER.colour).any(axis=0))
    assert columns.max() < PANEL / 2


def test_a_panel_has_the_shape_of_the_body(ct, labels):
    image = picture.overlay(ct, labels)
    rows = (len(image) - CAPTION) // 2 - GAP
    assert image.shape[1] == COLUMNS * (PANEL + GAP) - GAP
    assert rows / PANEL == pytest.approx(0.5, abs=0.05)


def test_pixels_that_are_not_square_do_not_stretch_the_body(ct, labels):
    coarse = CTVolume(ct.hu[:, ::2], AXIAL @ np.diag((1, 2, 1, 1)), ct.name)
    plain, stretched = picture.overlay(ct, labels), picture.overlay(coarse, labels[:, ::2])
    assert np.allclose(plain.shape, stretched.shape, atol=0.05 * PANEL)


def test_any_order_of_axes_gives_the_same_picture(ct, labels):
    turned = CTVolume(ct.hu.transpose(2, 0, 1)[::-1], turned_affine(), ct.name)
    image = picture.overlay(turned, labels.transpose(2, 0, 1)[::-1])
    assert np.array_equal(image, picture.overlay(ct, labels))


def turned_affine():
    """That of the array (k, j, i) of AXIAL reordered to (i, k, j), the first of them reversed."""
    affine = np.eye(4)
    # The new i is the old j, the new j is the old k, the new k is the old i from its end.
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = AXIAL[:3, 1], AXIAL[:3, 2], -AXIAL[:3, 0]
    affine[:3, 3] = AXIAL[:3, 0] * (SHAPE[2] - 1)
    return affine


def test_the_table_is_cut_away(ct, labels):
    with_table = ct.hu.copy()
    with_table[:, 55:57, 5:75] = 200
    image = picture.overlay(CTVolume(with_table, AXIAL, ct.name), labels)
    assert np.array_equal(image, picture.overlay(ct, labels))


def test_without_a_liver_the_whole_volume_is_shown_and_the_caption_differs(ct, labels):
    empty = picture.overlay(ct, np.zeros_like(labels))
    assert not has(empty, LIVER.colour).any()
    assert not np.array_equal(empty[-CAPTION:], picture.overlay(ct, labels)[-CAPTION:])


def test_a_single_slice_gives_a_single_panel(ct, labels):
    image = picture.overlay(CTVolume(ct.hu[12:13], AXIAL, "slice"), labels[12:13])
    rows = len(image) - CAPTION - GAP
    assert rows / PANEL == pytest.approx(0.5, abs=0.05)
    assert not image[:-CAPTION, PANEL + GAP :].any()


def test_the_png_holds_the_picture(ct, labels, tmp_path):
    image = picture.overlay(ct, labels)
    picture.write_png(tmp_path / "overlay.png", image)
    with Image.open(tmp_path / "overlay.png") as read:
        assert np.array_equal(np.asarray(read), image)


@pytest.fixture
def anatomy(labels):
    """Segments as slabs of the liver, vessels in it, a spleen at the patient's left."""
    found = anatomy_of(labels, SegmentOptions(segments=True, vessels=True))
    spleen = np.zeros(SHAPE, bool)
    spleen[10:18, 25:33, 58:66] = True
    return replace(found, spleen=spleen)


def test_segments_are_filled_and_vessels_and_spleen_outlined_in_their_colours(ct, labels, anatomy):
    image, plain = picture.overlay(ct, labels, anatomy=anatomy), picture.overlay(ct, labels)
    assert has(image, VESSELS.colour).any() and not has(plain, VESSELS.colour).any()
    columns = np.flatnonzero(has(image[:, :PANEL], SPLEEN.colour).any(axis=0))
    assert columns.min() > PANEL / 2
    # All panels are as before where there is none of it, and no grey is left where segments are.
    panels, liver = image[: len(plain) - CAPTION, :PANEL], slice(0, PANEL // 2)
    changed = (panels != plain[: len(panels), :PANEL]).any(axis=-1)
    assert changed[:, liver].any()
    assert (np.ptp(panels[changed].astype(int), axis=-1) > 0).mean() > 0.9


def test_segments_have_a_line_of_their_own_and_the_other_lines_stay(ct, labels, anatomy):
    divided = picture.overlay(ct, labels, anatomy=replace(anatomy, spleen=None, vessels=None))
    plain = picture.overlay(ct, labels)
    assert len(divided) == len(plain) + LINE
    assert np.array_equal(divided[-LINE - CAPTION : -LINE], plain[-CAPTION:])
    for structure in COUINAUD:
        assert (divided[-LINE:] == structure.colour).all(axis=-1).any()


def test_the_caption_tells_of_vessels_and_spleen(ct, labels, anatomy):
    found = replace(anatomy, segments=None)
    captions = [picture.overlay(ct, labels, anatomy=one)[-CAPTION:] for one in (found, replace(found, spleen=None))]
    for caption, colours in zip(captions, ([VESSELS, SPLEEN], [VESSELS]), strict=True):
        for structure in (VESSELS, SPLEEN):
            assert (caption == structure.colour).all(axis=-1).any() == (structure in colours)


def test_any_order_of_axes_gives_the_same_picture_of_the_anatomy(ct, labels, anatomy):
    def turn(array):
        return array.transpose(2, 0, 1)[::-1]

    turned = CTVolume(turn(ct.hu), turned_affine(), ct.name)
    found = Anatomy(*map(turn, (anatomy.segments, anatomy.spleen, anatomy.vessels)))
    image = picture.overlay(turned, turn(labels), anatomy=found)
    assert np.array_equal(image, picture.overlay(ct, labels, anatomy=anatomy))


def test_a_segment_narrower_than_its_number_gets_none(ct, labels):
    thin = np.zeros(SHAPE, np.uint8)
    thin[10:18, 30, 15:30] = 4
    wide = np.where(labels > 0, 4, 0).astype(np.uint8)
    for segments, numbered in ((thin, False), (wide, True)):
        image = picture.overlay(ct, labels, anatomy=Anatomy(segments))
        # Nothing else in the liver is as bright as the text.
        bright = (image[: PANEL // 2, : PANEL // 2] >= TEXT_COLOUR).all(axis=-1)
        assert bright[40:].any() == numbered
