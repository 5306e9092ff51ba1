"""`Segmenter.refine`: a reader's strokes replayed on a result, and what becomes of all else that it holds."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest

from LiverSegLib import messages
from LiverSegLib.data.anatomy import Anatomy
from LiverSegLib.data.strokes import Stroke
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, InputError
from LiverSegLib.inference.refine import Refiner
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.model.liver_model import LiverModel
from Testing.listening import listening_model


@pytest.fixture
def a_ct() -> CTVolume:
    hu = np.random.default_rng(0).integers(-50, 90, (20, 50, 60)).astype(np.int16)
    return CTVolume.from_array(hu, np.diag((-2.0, -2.0, 4.0, 1.0)))


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel) -> Segmenter:
    return Segmenter(an_untrained_model, "cpu", refine=listening_model())


@pytest.fixture
def a_result(a_ct: CTVolume, a_segmenter: Segmenter) -> Segmentation:
    """A block of liver with a spleen beside it, and a warning."""
    labels, spleen = np.zeros(a_ct.hu.shape, np.uint8), np.zeros(a_ct.hu.shape, bool)
    labels[5:15, 10:40, 10:30] = 1
    spleen[5:15, 10:40, 32:45] = True
    return Segmentation(
        labels, a_ct.affine, ("look",), {}, "cpu", a_segmenter.model.card, quality=0.9, anatomy=Anatomy(None, spleen)
    )


def strokes_on(ct: CTVolume, *voxels: tuple[int, int, int]) -> list[Stroke]:
    return [Stroke((ct.affine @ (*voxel[::-1], 1.0))[None, :3], True) for voxel in voxels]


def test_strokes_are_replayed_one_after_the_other(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation
) -> None:
    before = a_result.labels.copy()
    strokes = strokes_on(a_ct, (10, 20, 33), (8, 30, 36))
    refiner = Refiner(listening_model(), a_ct, a_result.labels)
    expected = refiner.refine(refiner.refine(a_result.labels, strokes[:1]), strokes)

    corrected = a_segmenter.refine(a_ct, a_result, strokes)

    assert np.array_equal(corrected.labels, expected)
    assert np.array_equal(a_result.labels, before)


def test_the_result_tells_how_often_it_was_corrected_and_promises_nothing_any_more(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation
) -> None:
    once = a_segmenter.refine(a_ct, a_result, strokes_on(a_ct, (10, 20, 33)))
    again = a_segmenter.refine(a_ct, once, strokes_on(a_ct, (8, 30, 36)))

    assert (once.corrections, again.corrections) == (1, 2)
    assert once.quality is None and once.warnings == ("look",)


def test_a_spleen_gives_way_to_the_liver(a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation) -> None:
    corrected = a_segmenter.refine(a_ct, a_result, strokes_on(a_ct, (10, 20, 33)))

    spleen = corrected.anatomy.spleen
    assert spleen is not None and spleen.any()
    assert not (spleen & (corrected.labels > 0)).any()
    assert (corrected.labels[10, 20, 33], a_result.anatomy.spleen[10, 20, 33]) == (1, True)


def test_segments_are_told_apart_anew(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Testing.anatomy_stand_in import slabs

    whole = (slice(None),) * 3
    monkeypatch.setattr(
        "LiverSegLib.inference.anatomy.find_segments", lambda _, __, labels, *___: (whole, slabs(labels))
    )
    segmented = replace(a_result, anatomy=Anatomy(slabs(a_result.labels), None))

    corrected = a_segmenter.refine(a_ct, segmented, strokes_on(a_ct, (10, 20, 33)))

    assert corrected.anatomy.segments is not None
    assert np.array_equal(corrected.anatomy.segments > 0, corrected.labels > 0)


def test_vessels_are_found_anew_in_the_corrected_liver(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Testing.anatomy_stand_in import lines

    whole = (slice(None),) * 3
    monkeypatch.setattr("LiverSegLib.inference.anatomy.find_vessels", lambda _, __, labels, ___: (whole, lines(labels)))
    with_vessels = replace(a_result, anatomy=Anatomy(vessels=lines(a_result.labels)))

    corrected = a_segmenter.refine(a_ct, with_vessels, strokes_on(a_ct, (10, 20, 33)))

    assert not np.array_equal(corrected.labels, a_result.labels)
    assert np.array_equal(corrected.anatomy.vessels, lines(corrected.labels))


def test_that_nothing_is_left_to_be_divided_is_told(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation, monkeypatch: pytest.MonkeyPatch
) -> None:
    from Testing.anatomy_stand_in import slabs

    segmented = replace(a_result, anatomy=Anatomy(slabs(a_result.labels)))
    monkeypatch.setattr("LiverSegLib.inference.anatomy.SMALLEST_LIVER_ML", 1e6)
    corrected = a_segmenter.refine(a_ct, segmented, strokes_on(a_ct, (10, 20, 33)))
    assert corrected.anatomy.segments is None and messages.NO_SEGMENTS_OF_SO_LITTLE in corrected.warnings


def test_without_strokes_the_result_is_the_same(a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation) -> None:
    assert a_segmenter.refine(a_ct, a_result, []) is a_result


def test_progress_and_cancel(a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation) -> None:
    shares: list[float] = []
    strokes = strokes_on(a_ct, (10, 20, 33), (8, 30, 36))
    a_segmenter.refine(a_ct, a_result, strokes, lambda share, _: shares.append(share))
    assert shares == sorted(shares) and shares[-1] == 1.0

    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        a_segmenter.refine(a_ct, a_result, strokes, cancel=cancel)


def test_a_stroke_outside_is_told_with_its_number(
    a_segmenter: Segmenter, a_ct: CTVolume, a_result: Segmentation
) -> None:
    outside = Stroke(np.array([[900.0, 0, 0]]), True)
    with pytest.raises(InputError, match="Stroke 2 lies outside"):
        a_segmenter.refine(a_ct, a_result, [*strokes_on(a_ct, (10, 20, 33)), outside])
