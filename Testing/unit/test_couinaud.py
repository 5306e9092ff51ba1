"""Couinaud segments: every voxel of the liver has one, whatever the scan's axes, and nothing of it runs unasked.

Untrained networks of the real ones' kind serve: what is tested here holds for any weights.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import ndimage

from LiverSegLib import messages
from LiverSegLib.data.geometry import Geometry
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, ModelError
from LiverSegLib.inference import segmenter as segmenter_module
from LiverSegLib.inference.couinaud import LEAST_SURE, find_segments, in_one_piece_each, sureness
from LiverSegLib.inference.liver_grid import finer_slices, grid_round, heights_in, network_input, slice_input
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.segmenter import Segmentation, Segmenter
from LiverSegLib.model.couinaud_model import (
    CHANNELS,
    SEGMENTS,
    SLICE_CHANNELS,
    CouinaudCard,
    CouinaudModel,
    CouinaudNetwork,
)
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.unet_3d import fold, unfold

SEGMENTS_WANTED = SegmentOptions(segments=True)


@pytest.fixture
def couinaud_file(tmp_path: Path) -> Path:
    """Weights of small networks from a fixed seed, with a fitting card beside them."""
    card: dict[str, Any] = {
        "name": "untrained",
        "version": "0",
        "sha256": "",
        "shape": (20, 20, 24),
        "finest_mm": 4.0,
        "window_hu": (-40.0, 160.0),
        "widths": (8, 16),
        "patch": 2,
        "slice_widths": (8, 16),
        "slice_patch": 2,
        "intended_use": "tests",
        "training_data": [],
        "licence": "Apache-2.0",
        "training": {},
        "accuracy": {},
        "limits": [],
    }
    torch.manual_seed(0)
    network = CouinaudNetwork(CouinaudCard(**card))
    # The same for the voxels of a cube or square: segments of some size, as trained networks' are.
    for part in (network.volume, network.slices):
        weight = torch.randn(SEGMENTS, *part.head.weight.shape[1:])
        part.head.weight.data = weight.repeat_interleave(len(part.head.weight) // SEGMENTS, dim=0)
        part.head.bias.data.zero_()
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    card["sha256"] = hashlib.sha256(buffer.getvalue()).hexdigest()
    path = tmp_path / "couinaud.pt"
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def couinaud(couinaud_file: Path) -> CouinaudModel:
    return CouinaudModel.load(couinaud_file)


@pytest.fixture
def liver() -> tuple[CTVolume, np.ndarray]:
    """A ball of 0.9 l with an appendage, in waves of HU, and its mask; an axial stack."""
    k, j, i = np.ogrid[:40, :50, :60]
    mask = ((k - 20) / 16) ** 2 + ((j - 25) / 20) ** 2 + ((i - 28) / 22) ** 2 < 1
    mask[15:20, 22:28, 45:58] = True
    hu = 60 + 50 * np.sin(k / 4) + 50 * np.cos(j / 5 + i / 6)
    affine = np.diag((-3.0, -3.0, 3.0, 1.0))
    affine[:3, 3] = (60, 80, -400)
    return CTVolume(hu.astype(np.int16), affine, "ball"), mask


def segments_of(model: CouinaudModel, ct: CTVolume, mask: np.ndarray) -> np.ndarray:
    segments = np.zeros(mask.shape, np.uint8)
    box, found = find_segments(model, ct, mask, ProgressReporter())
    segments[box] = found
    return segments


def test_each_voxel_of_the_liver_has_a_segment_and_no_other(
    couinaud: CouinaudModel, liver: tuple[CTVolume, np.ndarray]
) -> None:
    segments = segments_of(couinaud, *liver)
    assert np.array_equal(segments > 0, liver[1])
    assert len(np.unique(segments)) > 3


def test_each_segment_is_one_piece(couinaud: CouinaudModel, liver: tuple[CTVolume, np.ndarray]) -> None:
    segments = segments_of(couinaud, *liver)
    for segment in np.unique(segments[segments > 0]):
        assert ndimage.label(segments == segment)[1] == 1, segment


def test_a_scan_with_finer_voxels_has_the_same_segments(
    couinaud: CouinaudModel, liver: tuple[CTVolume, np.ndarray]
) -> None:
    ct, mask = liver
    finer = Geometry((80, 100, 120), ct.affine @ np.diag((0.5, 0.5, 0.5, 1.0)))
    finer.affine[:3, 3] = (ct.affine @ (-0.25, -0.25, -0.25, 1))[:3]

    def doubled(values: np.ndarray) -> np.ndarray:
        return values.repeat(2, 0).repeat(2, 1).repeat(2, 2)

    fine = segments_of(couinaud, CTVolume(doubled(ct.hu), finer.affine), doubled(mask))
    coarse = doubled(segments_of(couinaud, ct, mask))
    assert np.mean(fine[fine > 0] == coarse[fine > 0]) > 0.9


def test_segments_do_not_depend_on_where_in_the_scanner_the_patient_lies(
    couinaud: CouinaudModel, liver: tuple[CTVolume, np.ndarray]
) -> None:
    ct, mask = liver
    moved = ct.affine.copy()
    moved[:3, 3] += (31.7, -12.3, 200.4)
    assert np.mean(segments_of(couinaud, ct, mask) == segments_of(couinaud, replace(ct, affine=moved), mask)) > 0.999


def test_a_cancel_stops_before_the_segments_are_told_apart(
    couinaud: CouinaudModel, liver: tuple[CTVolume, np.ndarray]
) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        find_segments(couinaud, *liver, ProgressReporter(cancel=cancel))


def test_islands_go_to_the_segment_that_surrounds_them() -> None:
    segments = np.full((9, 9, 20), 5, np.uint8)
    segments[:, :, 10:] = 8
    segments[3:5, 3:5, 3:5] = 8
    # An island within an island, at the liver's edge.
    segments[0:4, 0:4, 15:19] = 6
    segments[0, 0, 16] = 7
    cleaned = in_one_piece_each(segments, fewest_voxels=100)
    assert (cleaned[:, :, :10] == 5).all()
    assert (cleaned[:, :, 10:] == 8).all()


def test_a_piece_of_the_liver_that_touches_no_other_keeps_its_segment() -> None:
    segments = np.zeros((6, 6, 20), np.uint8)
    segments[:, :, :10] = 4
    segments[2:4, 2:4, 12:14] = 4
    segments[2:4, 2:4, 16:19] = 2
    assert np.array_equal(in_one_piece_each(segments, fewest_voxels=2), segments)


def test_the_grid_holds_the_liver_along_the_patients_axes() -> None:
    points = np.array(((-100.0, 20.0, 30.0), (110.0, 180.0, 160.0), (0.0, 50.0, 90.0)))
    grid = grid_round(points, (40, 40, 48), 4.0)
    assert grid.axes == "LPS"
    assert np.ptp(grid.spacing) < 1e-9 and grid.spacing[0] == pytest.approx((210 + 16) / 48)
    ijk = np.linalg.solve(grid.affine, np.c_[points, np.ones(3)].T)[:3]
    last = np.array(grid.shape[::-1])[:, None] - 1
    assert (ijk > 0).all() and (ijk < last).all()
    assert grid_round(points / 10, (40, 40, 48), 4.0).spacing[0] == 4.0


def test_the_network_is_told_where_in_the_liver_it_is() -> None:
    liver = torch.zeros(1, 8, 10, 12)
    liver[:, 2:6, 3:9, 4:8] = 1
    seen = network_input(torch.full(liver.shape, 60.0), liver, (-40.0, 160.0))
    assert seen.shape == (1, CHANNELS, 8, 10, 12)
    assert (seen[:, 0] == 0).all()
    assert torch.equal(seen[:, 1], 2 * liver - 1)
    for axis, positions in enumerate(seen[0, 2:]):
        inside = positions[liver[0] > 0]
        assert inside.mean().abs() < 1e-5
        assert inside.std(unbiased=False).item() == pytest.approx(0.5, abs=1e-5)
        assert (positions.diff(dim=axis) > 0).all()


def test_the_network_of_slices_is_told_the_height_where_it_is_known() -> None:
    liver = torch.zeros(4, 10, 12)
    liver[1:3, 3:9, 4:8] = 1
    heights = heights_in(liver)
    assert heights[1] == pytest.approx(-heights[2].item()) and (heights.diff() > 0).all()
    heights[3] = float("nan")
    seen = slice_input(torch.full(liver.shape, 60.0), liver, heights, (-40.0, 160.0))
    assert seen.shape == (4, SLICE_CHANNELS, 10, 12)
    assert torch.equal(seen[:, :4], network_input(torch.full(liver.shape, 60.0), liver, (-40.0, 160.0)))
    assert (seen[1, 4] == heights[1]).all() and (seen[:3, 5] == 1).all()
    assert (seen[3, 4:] == 0).all()


def test_finer_slices_fill_the_same_place() -> None:
    grid = Geometry((3, 4, 5), np.diag((-4.0, -4.0, 4.0, 1.0)))
    finer = finer_slices(grid)
    assert finer.shape == (3, 8, 10) and finer.spacing == (4.0, 2.0, 2.0)
    # The pixels 2 and 3 of each row and column are those of the voxel 1.
    middle = finer.affine @ (2.5, 2.5, 1, 1)
    assert np.allclose(middle, grid.affine @ (1, 1, 1, 1))


def test_both_networks_have_a_say(couinaud: CouinaudModel) -> None:
    """What one of them is sure of, the other, which knows nothing, does not change."""
    volume, slices = torch.zeros(1, CHANNELS, 4, 8, 8), torch.zeros(4, SLICE_CHANNELS, 16, 16)
    heads = couinaud.network.volume.head, couinaud.network.slices.head
    for sure in heads:
        for head in heads:
            torch.nn.init.zeros_(head.weight)
            torch.nn.init.zeros_(head.bias)
        sure.bias.data.view(SEGMENTS, -1)[5] = 10.0
        probabilities = couinaud.network(volume, slices).softmax(dim=1)
        assert probabilities.shape == (1, SEGMENTS, 4, 8, 8)
        assert (probabilities.argmax(dim=1) == 5).all()


def test_cubes_folded_into_channels_unfold() -> None:
    volumes = torch.randn(2, 3, 4, 6, 8)
    folded = fold(volumes, 2)
    assert folded.shape == (2, 24, 2, 3, 4)
    assert torch.equal(unfold(folded, 2), volumes)


# ---- through the segmenter -------------------------------------------------------------------------------------------


@pytest.fixture
def small_livers_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """An untrained network's liver has a few millilitres, and pieces that nobody would clean up."""
    monkeypatch.setattr("LiverSegLib.inference.label_writer.clean", lambda labels, *_: labels)
    monkeypatch.setattr("LiverSegLib.inference.anatomy.SMALLEST_LIVER_ML", 1.0)
    monkeypatch.setattr("LiverSegLib.inference.couinaud.SMALLEST_SEGMENT_ML", 0.01)


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel, couinaud: CouinaudModel, small_livers_count: None) -> Segmenter:
    return Segmenter(an_untrained_model, "cpu", couinaud=couinaud)


@pytest.fixture
def a_ct(a_phantom) -> CTVolume:
    return CTVolume(a_phantom.ct.hu[10:22, 40:86, 30:78], a_phantom.ct.affine)


def test_segments_add_up_to_the_liver(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    found = a_segmenter.segment(a_ct, replace(SEGMENTS_WANTED, tumour=True))
    assert found.anatomy.segments is not None and found.anatomy.segments.dtype == np.uint8
    assert np.array_equal(found.anatomy.segments > 0, found.labels > 0)
    assert found.seconds["segments"] > 0
    turn = a_ct.geometry.to_canonical
    expected = segments_of(a_segmenter.couinaud, a_ct.canonical(), turn(found.labels))
    assert np.array_equal(turn(found.anatomy.segments), expected)


def test_nobody_pays_for_segments_that_were_not_asked_for(
    an_untrained_model: LiverModel, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter_module, "CouinaudModel", None)
    found = Segmenter(an_untrained_model, "cpu").segment(a_ct)
    assert found.anatomy.segments is None and "segments" not in found.seconds


def test_the_liver_is_the_same_with_and_without_segments(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    with_segments, without = a_segmenter.segment(a_ct, SEGMENTS_WANTED), a_segmenter.segment(a_ct)
    assert np.array_equal(with_segments.labels, without.labels)
    assert with_segments.quality == without.quality


def test_segments_follow_the_axes_of_the_scan_voxel_for_voxel(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    def segments(ct: CTVolume) -> np.ndarray:
        found = a_segmenter.segment(ct, SEGMENTS_WANTED).anatomy.segments
        assert found is not None
        return found

    expected = segments(a_ct)
    for axes in ("RAS", "SPL", "AIR", "PSR"):
        turned = Geometry(a_ct.hu.shape, a_ct.affine)
        order, affine = turned_to(turned, axes)
        hu = order(a_ct.hu)
        assert np.array_equal(segments(CTVolume(np.ascontiguousarray(hu), affine)), order(expected)), axes


def turned_to(geometry: Geometry, axes: str):
    """What turns an array, and the affine that goes with it, to other axes."""
    import nibabel
    from nibabel import orientations

    transform = orientations.ornt_transform(
        orientations.io_orientation(geometry.affine), orientations.axcodes2ornt(tuple(axes))
    )
    affine = geometry.affine @ orientations.inv_ornt_aff(transform, geometry.shape[::-1])
    assert "".join(nibabel.aff2axcodes(affine)) == axes

    def order(array: np.ndarray) -> np.ndarray:
        return orientations.apply_orientation(array.transpose(2, 1, 0), transform).transpose(2, 1, 0)

    return order, affine


def test_in_a_mirrored_scan_segments_are_those_of_the_mirror_image(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the segmenter finds that right and left are exchanged, segment 6 lies where the liver's right lobe does."""
    expected = a_segmenter.segment(a_ct, SEGMENTS_WANTED).anatomy.segments
    run = segmenter_module._Run
    monkeypatch.setattr(run, "_is_unsure", lambda self, quality: True)
    monkeypatch.setattr(run, "_is_mirrored", lambda self, look, quality: True)
    monkeypatch.setattr(run, "_is_symmetric", lambda self, writer, look: False)
    found = a_segmenter.segment(a_ct.mirrored(), SEGMENTS_WANTED)
    assert messages.MIRRORED.format(name=a_ct.name) in found.warnings
    assert np.array_equal(found.anatomy.segments, expected)


def test_a_cancel_while_segments_are_told_apart_stops_the_run(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    cancel = threading.Event()

    def progress(share: float, stage: str) -> None:
        if stage == messages.FINDING_SEGMENTS:
            cancel.set()

    with pytest.raises(Cancelled):
        a_segmenter.segment(a_ct, SEGMENTS_WANTED, progress, cancel)


def test_missing_weights_are_told_before_the_liver_is_looked_for(
    an_untrained_model: LiverModel, a_ct: CTVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.model.couinaud_model.bundled_model_path", lambda name: tmp_path / name)
    stages: list[str] = []
    with pytest.raises(ModelError, match="install the extension again"):
        Segmenter(an_untrained_model, "cpu").segment(a_ct, SEGMENTS_WANTED, lambda share, stage: stages.append(stage))
    assert messages.FINDING_LIVER not in stages


def warnings_of(segmenter: Segmenter, ct: CTVolume) -> tuple[Segmentation, tuple[str, ...]]:
    found = segmenter.segment(ct, SEGMENTS_WANTED)
    return found, found.warnings


def test_segments_that_were_not_found_are_named(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.inference.couinaud.SMALLEST_SEGMENT_ML", 1e6)  # so that all is one island
    network = a_segmenter.couinaud.network
    for part in (network.volume, network.slices):
        torch.nn.init.zeros_(part.head.weight)
        torch.nn.init.zeros_(part.head.bias)
        part.head.bias.data.view(SEGMENTS, -1)[2] = 1.0
    found, warnings = warnings_of(a_segmenter, a_ct)
    assert set(np.unique(found.anatomy.segments)) == {0, 3}
    assert messages.SEGMENTS_NOT_FOUND.format(segments="1, 2, 4, 5, 6, 7, 8") in warnings


@pytest.mark.parametrize(("sure", "told"), [(0.01, False), (-0.01, True)])
def test_a_network_that_is_unsure_of_the_segments_says_so(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch, sure: float, told: bool
) -> None:
    monkeypatch.setattr("LiverSegLib.inference.couinaud.sureness", lambda probabilities: LEAST_SURE + sure)
    assert (messages.SEGMENTS_UNSURE in warnings_of(a_segmenter, a_ct)[1]) == told


def test_sureness_is_that_of_the_liver_alone() -> None:
    liver = torch.tensor([1.0, 0.5, 0.0])
    likely = torch.tensor([[0.9, 0.6, 0.5], [0.1, 0.4, 0.5]])
    weighed = (likely * liver)[None, :, None, None]
    assert sureness(weighed) == pytest.approx((0.9 + 0.5 * 0.6) / 1.5)


def test_a_liver_that_may_be_cut_off_has_segments_with_a_warning(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    found, warnings = warnings_of(a_segmenter, a_ct)
    assert messages.LIVER_CUT_AT_ENDS_AND_SIDE in warnings
    assert messages.SEGMENTS_OF_A_PART in warnings
    assert found.anatomy.segments.any()


def test_the_segments_of_a_single_slice_come_with_a_warning(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    thick = np.diag((1.0, 1.0, 100.0, 1.0))
    slice_of_it = CTVolume(a_ct.hu[:1], a_ct.affine @ thick, a_ct.name)
    found, warnings = warnings_of(a_segmenter, slice_of_it)
    assert found.anatomy.segments.any() and messages.SEGMENTS_OF_A_PART in warnings


def test_the_tip_of_a_liver_has_no_segments(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.inference.anatomy.SMALLEST_LIVER_ML", 1e4)
    found, warnings = warnings_of(a_segmenter, a_ct)
    assert found.anatomy.segments is None
    assert messages.NO_SEGMENTS_OF_SO_LITTLE in warnings


# ---- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [8, 12]},
        {"widths": []},
        {"patch": 0},
        {"patch": "2"},
        {"slice_widths": []},
        {"slice_patch": 5},
        {"slice_patch": 3},
        {"shape": [20, 20]},
        {"shape": [20, 20, 22]},
        {"shape": [4000, 4000, 4000]},
        {"finest_mm": 0.0},
        {"window_hu": [100.0, -100.0]},
        {"sha256": 7},
    ],
    ids=str,
)
def test_a_card_of_an_impossible_network_is_refused(couinaud_file: Path, change: dict) -> None:
    card = couinaud_file.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(ModelError, match="card"):
        CouinaudModel.load(couinaud_file)


def test_weights_other_than_the_cards_are_refused(couinaud_file: Path) -> None:
    content = bytearray(couinaud_file.read_bytes())
    content[len(content) // 2] ^= 1
    couinaud_file.write_bytes(content)
    with pytest.raises(ModelError, match="does not match its card"):
        CouinaudModel.load(couinaud_file)


def test_the_weights_of_a_liver_network_are_refused(a_model_file: Path, couinaud_file: Path) -> None:
    card = json.loads(couinaud_file.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    a_model_file.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="does not hold this network"):
        CouinaudModel.load(a_model_file)
