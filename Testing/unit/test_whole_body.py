"""The cost follows the liver, not the scan: what is left out, and that the answer stays the same.

In the place of the network there is one that knows the liver by its HU and counts what it is given.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.model.liver_model import LiverModel

LIVER_HU, TUMOUR_HU = 120, 60
PIXEL_MM, SLICE_MM = 3.0, 1.5


class SameEverywhere:
    """Log-odds of liver, the same for all pixels: one value a call, the last of them for all later calls."""

    def __init__(self, *odds: float) -> None:
        self.odds = list(odds)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        odds = self.odds.pop(0) if len(self.odds) > 1 else self.odds[0]
        liver = torch.full_like(images[:, :1], odds, dtype=torch.float32)
        return torch.cat((torch.zeros_like(liver), liver, torch.full_like(liver, -50.0)), dim=1)


@dataclass
class KnowsByHu:
    """Log-odds pixel by pixel: ±6, positive for values near those of liver and tumour; counts slices and pixels."""

    slices: int = 0
    pixels: int = 0

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.slices += len(images)
        self.pixels += len(images) * images.shape[2] * images.shape[3]
        hu = images[:, images.shape[1] // 2] * 200 + 40
        tumour = (hu - TUMOUR_HU).abs() < 15
        liver = (hu - LIVER_HU).abs() < 25
        return torch.stack((~(liver | tumour), liver, tumour), dim=1) * 12.0 - 6.0


def body(slices: int, liver_from: int) -> CTVolume:
    """A body that a test may change."""
    ct = drawn_body(slices, liver_from)
    return replace(ct, hu=ct.hu.copy())


@cache
def drawn_body(slices: int, liver_from: int) -> CTVolume:
    """A body of muscle and fat in air with a liver 180 mm high that begins at a slice, a tumour in it, and bone."""
    rows = columns = 140
    k, j, i = np.ogrid[:slices, :rows, :columns]
    hu = np.full((slices, rows, columns), -1000, np.int16)
    radius = np.hypot((j - 70) / 36, (i - 70) / 55)
    hu[:] = np.select([radius < 0.9, radius < 1], [0, -100], -1000).astype(np.int16)
    middle = liver_from + 60
    liver = ((k - middle) / 60) ** 2 + ((j - 66) / 22) ** 2 + ((i - 50) / 28) ** 2 < 1
    tumour = ((k - middle) / 8) ** 2 + ((j - 66) / 6) ** 2 + ((i - 50) / 6) ** 2 < 1
    hu[liver], hu[tumour] = LIVER_HU, TUMOUR_HU
    hu[:, 88:94, 66:74] = 700
    affine = np.diag((-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0))
    return CTVolume(hu, affine, "body")


@pytest.fixture
def trunk() -> CTVolume:
    """600 mm with the liver."""
    return body(400, 150)


@pytest.fixture
def whole_body() -> CTVolume:
    """1200 mm with the same liver, wider at the shoulders, with arms, on a table."""
    ct = body(800, 450)
    ct.hu[620:700, 50:90, 3:137] = 0
    ct.hu[:600, 60:80, 3:12] = ct.hu[:600, 60:80, 128:137] = 0
    ct.hu[:, 125:127, 10:130] = -100
    return ct


@pytest.fixture
def model(an_untrained_model: LiverModel) -> LiverModel:
    return replace(an_untrained_model, card=replace(an_untrained_model.card, spacing_mm=PIXEL_MM))


def segmenter_of(model: LiverModel, everywhere: bool = False) -> tuple[Segmenter, KnowsByHu]:
    segmenter = Segmenter(model, "cpu", everywhere=everywhere)
    segmenter.predictor.network = counter = KnowsByHu()
    return segmenter, counter


def liver_of(ct: CTVolume) -> np.ndarray:
    return (ct.hu == LIVER_HU) | (ct.hu == TUMOUR_HU)


def test_a_whole_body_costs_at_most_1_6_times_the_trunk_with_the_same_liver(
    model: LiverModel, trunk: CTVolume, whole_body: CTVolume
) -> None:
    segmenter, counter = segmenter_of(model)
    of_trunk = segmenter.segment(trunk).labels
    trunk_pixels, counter.pixels = counter.pixels, 0
    of_body = segmenter.segment(whole_body).labels
    assert counter.pixels < 1.6 * trunk_pixels
    assert np.array_equal(of_body[300:700], of_trunk[:400]) and of_trunk.any()


def test_the_answer_is_that_of_the_network_run_everywhere(
    model: LiverModel, trunk: CTVolume, whole_body: CTVolume
) -> None:
    (quick, few), (thorough, many) = segmenter_of(model), segmenter_of(model, everywhere=True)
    found, expected = (
        quick.segment(whole_body, SegmentOptions(tumour=True)),
        thorough.segment(whole_body, SegmentOptions(tumour=True)),
    )
    assert dice(found.labels > 0, expected.labels > 0) > 0.9999
    assert dice(found.labels == 2, expected.labels == 2) > 0.999
    assert found.warnings == expected.warnings
    assert many.slices == len(whole_body.hu)
    assert few.pixels < many.pixels / 2


def test_no_slice_is_given_to_the_network_twice(model: LiverModel, trunk: CTVolume) -> None:
    segmenter, counter = segmenter_of(model)
    # Bone, each slice of its own, so that no two pictures are the same.
    trunk.hu[:, 88:94, 66:74] = np.random.default_rng(0).integers(160, 240, (400, 6, 8))
    seen: list[bytes] = []

    def network(images: torch.Tensor) -> torch.Tensor:
        seen.extend(image[image > 0.6].float().numpy().tobytes() for image in images[:, images.shape[1] // 2])
        return counter(images)

    segmenter.predictor.network = network
    segmenter.segment(trunk)
    assert len(seen) == len(set(seen)) == counter.slices < 300


def test_a_false_hit_in_the_pelvis_or_the_head_costs_little_and_is_cleaned_away(
    model: LiverModel, whole_body: CTVolume
) -> None:
    segmenter, counter = segmenter_of(model)
    expected = segmenter.segment(whole_body).labels
    slices, counter.slices = counter.slices, 0
    whole_body.hu[40:60, 60:75, 60:75] = whole_body.hu[760:770, 60:70, 60:70] = LIVER_HU
    assert np.array_equal(segmenter.segment(whole_body).labels, expected)
    assert counter.slices == slices


def test_a_body_without_liver_is_told_after_the_first_look(model: LiverModel, whole_body: CTVolume) -> None:
    segmenter, counter = segmenter_of(model)
    whole_body.hu[liver_of(whole_body)] = 0
    found = segmenter.segment(whole_body, probabilities=True)
    assert not found.labels.any() and messages.NO_LIVER in found.warnings
    assert (found.probabilities[0] == 1).all() and not found.probabilities[1:].any()
    assert counter.slices <= 1200 / 12 + 1


@pytest.mark.parametrize("liver_from", [-60, 0, 700])
def test_a_liver_at_the_end_of_the_scan_is_found_to_the_last_slice(model: LiverModel, liver_from: int) -> None:
    ct = body(800, liver_from)
    segmenter, _ = segmenter_of(model)
    assert dice(segmenter.segment(ct).labels > 0, liver_of(ct)) > 0.98


def test_slices_that_were_not_looked_at_are_background_for_sure(model: LiverModel, trunk: CTVolume) -> None:
    segmenter, _ = segmenter_of(model)
    found = segmenter.segment(trunk, probabilities=True)
    assert (found.probabilities[0, :100] == 1).all() and not found.probabilities[1:, :100].any()
    assert np.allclose(found.probabilities.astype(np.float32).sum(axis=0), 1, atol=2e-3)
    clear = np.abs(found.probabilities[0] - 0.5) > 0.01
    assert np.array_equal((found.labels > 0)[clear], (found.probabilities[0] < 0.5)[clear])


def test_self_agreement_does_not_depend_on_how_much_else_was_scanned(
    model: LiverModel, trunk: CTVolume, whole_body: CTVolume
) -> None:
    segmenter, _ = segmenter_of(model)
    assert segmenter.segment(whole_body).self_agreement == pytest.approx(
        segmenter.segment(trunk).self_agreement, abs=1e-3
    )


@pytest.mark.parametrize(("own", "upright", "liver"), [(3, -1, 1), (3, -3, 0), (-3, 3, 1), (-3, 1, 0)])
def test_both_views_of_an_oblique_volume_decide(model: LiverModel, own: float, upright: float, liver: int) -> None:
    affine = np.diag((-PIXEL_MM, -PIXEL_MM, SLICE_MM, 1.0))
    affine[:3, :3] = Rotation.from_euler("x", 15, degrees=True).as_matrix() @ affine[:3, :3]
    ct = CTVolume(np.random.default_rng(0).integers(-200, 200, (8, 40, 40)).astype(np.int16), affine, "oblique")
    segmenter = Segmenter(model, "cpu", everywhere=True)
    segmenter.predictor.network = SameEverywhere(own, upright)
    assert segmenter.segment(ct).labels[4, 20, 20] == liver


@pytest.mark.parametrize(("doubt", "is_found"), [(-0.5, True), (-1.5, False)])
def test_where_the_network_only_doubts_at_first_it_looks_again(
    model: LiverModel, trunk: CTVolume, doubt: float, is_found: bool
) -> None:
    segmenter = Segmenter(model, "cpu")
    first_look = [doubt] * 3  # 26 slices in batches of at most 12
    segmenter.predictor.network = SameEverywhere(*first_look, 3.0)
    assert segmenter.segment(trunk).labels.any() == is_found


def test_an_oblique_body_costs_less_too_and_gives_the_same_liver(model: LiverModel, trunk: CTVolume) -> None:
    angle = np.radians(12)
    turn = np.array(((1, 0, 0), (0, np.cos(angle), -np.sin(angle)), (0, np.sin(angle), np.cos(angle))))
    affine = trunk.affine @ np.diag((1, 1, 2, 1))
    affine[:3, :3] = turn @ affine[:3, :3]
    oblique = CTVolume(trunk.hu[::2], affine)
    (quick, few), (thorough, many) = segmenter_of(model), segmenter_of(model, everywhere=True)
    found, expected = (
        quick.segment(oblique, SegmentOptions(tumour=True)).labels,
        thorough.segment(oblique, SegmentOptions(tumour=True)).labels,
    )
    assert dice(found > 0, expected > 0) > 0.999 and expected.any()
    assert few.pixels < many.pixels / 2


@pytest.mark.parametrize("axes", [(2, 1, 0), (1, 0, 2)])
def test_the_slices_run_along_the_patient_whatever_the_axes(
    model: LiverModel, trunk: CTVolume, axes: tuple[int, int, int]
) -> None:
    segmenter, counter = segmenter_of(model)
    expected = segmenter.segment(trunk).labels
    slices, counter.slices = counter.slices, 0
    columns = [2 - axes[2 - column] for column in range(3)]
    turned = CTVolume(trunk.hu.transpose(axes), trunk.affine[:, [*columns, 3]])
    assert np.array_equal(segmenter.segment(turned).labels, expected.transpose(axes))
    assert counter.slices == slices


def test_progress_rises_through_both_looks(model: LiverModel, whole_body: CTVolume) -> None:
    segmenter, _ = segmenter_of(model)
    shares: list[float] = []
    segmenter.segment(whole_body, progress=lambda share, stage: shares.append(share))
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1
    assert max(np.diff(shares)) < 0.15, "no long standstill"


@pytest.mark.parametrize("calls", [1, 15])
def test_cancel_answers_within_a_batch_in_either_look(model: LiverModel, whole_body: CTVolume, calls: int) -> None:
    segmenter, counter = segmenter_of(model)
    cancel, made = threading.Event(), []

    def network(images: torch.Tensor) -> torch.Tensor:
        made.append(len(images))
        if len(made) == calls:
            cancel.set()
        return counter(images)

    segmenter.predictor.network = network
    with pytest.raises(Cancelled):
        segmenter.segment(whole_body, cancel=cancel)
    assert len(made) == calls


def test_memory_that_runs_out_in_the_second_look_changes_nothing(model: LiverModel, trunk: CTVolume) -> None:
    segmenter, counter = segmenter_of(model)
    expected = segmenter.segment(trunk)
    made = []

    def network(images: torch.Tensor) -> torch.Tensor:
        made.append(len(images))
        if len(made) > 10 and len(images) > 4:
            raise torch.OutOfMemoryError("out of memory")
        return counter(images)

    segmenter.predictor.network = network
    found = segmenter.segment(trunk)
    assert np.array_equal(found.labels, expected.labels) and min(made) <= 4
    assert found.self_agreement == pytest.approx(expected.self_agreement)


def test_a_warm_up_runs_the_network_once_and_leaves_no_trace(model: LiverModel, trunk: CTVolume) -> None:
    segmenter, counter = segmenter_of(model)
    expected = segmenter.segment(trunk)
    counter.slices = 0
    segmenter.warm_up()
    assert counter.slices == 1
    again = segmenter.segment(trunk)
    assert np.array_equal(again.labels, expected.labels) and again.warnings == expected.warnings


def test_a_gpu_that_fails_while_it_is_warmed_up_gives_way_to_the_cpu(
    model: LiverModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(images: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("CUDA error: unspecified launch failure")

    segmenter, _ = segmenter_of(model)
    segmenter.predictor.device = torch.device("meta")
    segmenter.predictor.network = lost
    segmenter.warm_up()
    assert segmenter.device == torch.device("cpu")
    assert any("unspecified launch failure" in warning for warning in segmenter.predictor.warnings)
