"""Vessels within the liver: whatever the scan's axes and voxels, and nothing of it runs unasked.

In the trained network's place stands one that calls vessel what is brighter than the liver by 20 HU, in its own slice.
"""

from __future__ import annotations

import hashlib
import io
import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from LiverSegLib import messages
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, ModelError
from LiverSegLib.inference import segmenter as segmenter_module
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.progress import ProgressReporter
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.inference.vessels import are_faint, find_vessels
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.model.unet import UNet
from LiverSegLib.model.vessel_model import VesselModel
from Testing.unit.test_couinaud import turned_to

VESSELS_WANTED = SegmentOptions(vessels=True)
LIVER_HU, VESSEL_HU = 100, 160


@pytest.fixture
def vessel_file(tmp_path: Path) -> Path:
    """Weights with a fitting card beside them: a pixel's own value, less a fifth of the window, is passed on."""
    network = UNet(3, 1, (8,))
    for name, values in network.named_parameters():
        torch.nn.init.constant_(values, 1.0 if name in ("stem.1.weight", "stem.4.weight") else 0.0)
    with torch.no_grad():
        network.stem[0].weight[0, 1, 1, 1] = network.stem[3].weight[0, 0, 1, 1] = 1.0
        network.head.weight[0, 0], network.head.bias[0] = 50.0, -10.0
    buffer = io.BytesIO()
    torch.save(network.state_dict(), buffer)
    card = {
        "name": "brighter",
        "version": "0",
        "sha256": hashlib.sha256(buffer.getvalue()).hexdigest(),
        "spacing_mm": 1.0,
        "offsets_mm": (-2.0, 0.0, 2.0),
        "window_hu": (-100.0, 100.0),
        "widths": (8,),
        "patch": 1,
        "vessel_above": 0.5,
        "intended_use": "tests",
        "training_data": [],
        "licence": "Apache-2.0",
        "training": {},
        "accuracy": {},
        "limits": [],
    }
    path = tmp_path / "vessels.pt"
    path.write_bytes(buffer.getvalue())
    path.with_suffix(".json").write_text(json.dumps(card))
    return path


@pytest.fixture
def vessels(vessel_file: Path) -> VesselModel:
    return VesselModel.load(vessel_file)


@pytest.fixture
def liver() -> tuple[CTVolume, np.ndarray, np.ndarray]:
    """A ball of liver with a vessel that runs out of it, bone beside it, and the masks of liver and vessel in it."""
    k, j, i = np.ogrid[:30, :60, :70]
    mask = ((k - 15) / 13) ** 2 + ((j - 30) / 25) ** 2 + ((i - 35) / 28) ** 2 < 1
    tube = np.broadcast_to((j - 32) ** 2 + (i - 30) ** 2 < 4**2, mask.shape)
    hu = np.where(mask, LIVER_HU, 40)
    hu[tube] = VESSEL_HU
    hu[:, :4] = 600
    affine = np.diag((-1.5, -1.5, 3.0, 1.0))
    affine[:3, 3] = (60, 80, -400)
    return CTVolume(hu.astype(np.int16), affine, "ball"), mask, mask & tube


def vessels_of(model: VesselModel, ct: CTVolume, mask: np.ndarray) -> np.ndarray:
    found = np.zeros(mask.shape, bool)
    box, inner = find_vessels(model, ct, mask, ProgressReporter())
    found[box] = inner
    return found


def test_vessels_are_found_within_the_liver_alone(vessels: VesselModel, liver) -> None:
    ct, mask, tube = liver
    found = vessels_of(vessels, ct, mask)
    assert found.dtype == bool and not (found & ~mask).any()
    assert np.mean(found == tube) > 0.999 and found.sum() == pytest.approx(tube.sum(), rel=0.1)


def test_they_are_told_by_the_difference_from_the_liver_whatever_the_phase(vessels: VesselModel, liver) -> None:
    ct, mask, _ = liver
    expected = vessels_of(vessels, ct, mask)
    assert expected.any()
    for shift in (-80, 60):
        assert np.array_equal(vessels_of(vessels, replace(ct, hu=ct.hu + np.int16(shift)), mask), expected)


def test_a_scan_with_finer_voxels_has_the_same_vessels(vessels: VesselModel, liver) -> None:
    def finer(values: np.ndarray) -> np.ndarray:
        return values.repeat(2, 1).repeat(2, 2)

    ct, mask, _ = liver
    affine = ct.affine @ np.diag((0.5, 0.5, 1.0, 1.0))
    affine[:3, 3] = (ct.affine @ (-0.25, -0.25, 0, 1))[:3]
    fine = vessels_of(vessels, CTVolume(finer(ct.hu), affine), finer(mask))
    coarse = finer(vessels_of(vessels, ct, mask))
    assert np.mean(fine == coarse) > 0.998 and fine.sum() == pytest.approx(coarse.sum(), rel=0.1)


def test_specks_are_left_out(vessels: VesselModel, liver) -> None:
    ct, mask, _ = liver
    ct.hu[15:17, 20:23, 44:47] = VESSEL_HU  # 0.1 ml
    ct.hu[10:20, 40:45, 40:46] = VESSEL_HU  # 2 ml
    found = vessels_of(vessels, ct, mask)
    assert not found[15:17, 20:23, 44:47].any()
    assert found[12:18, 41:44, 41:45].all()


def test_a_card_can_ask_for_more_certainty(vessels: VesselModel, liver) -> None:
    ct, mask, _ = liver
    strict = replace(vessels, card=replace(vessels.card, vessel_above=1 - 1e-9))
    assert not vessels_of(strict, ct, mask).any()


def test_a_cancel_stops_before_the_vessels_are_found(vessels: VesselModel, liver) -> None:
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Cancelled):
        find_vessels(vessels, *liver[:2], ProgressReporter(cancel=cancel))


# ---- through the segmenter -------------------------------------------------------------------------------------------


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel, vessels: VesselModel, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    """An untrained network's liver has a few millilitres, and pieces that nobody would clean up."""
    monkeypatch.setattr("LiverSegLib.inference.label_writer.clean", lambda labels, *_: labels)
    monkeypatch.setattr("LiverSegLib.inference.anatomy.SMALLEST_LIVER_ML", 1.0)
    monkeypatch.setattr("LiverSegLib.inference.vessels.SMALLEST_VESSEL_ML", 0.0)
    return Segmenter(an_untrained_model, "cpu", vessels=vessels)


@pytest.fixture
def a_ct(a_phantom) -> CTVolume:
    return CTVolume(a_phantom.ct.hu[10:22, 40:86, 30:78], a_phantom.ct.affine)


def test_the_segmenter_finds_the_vessels_of_its_liver(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    found = a_segmenter.segment(a_ct, VESSELS_WANTED)
    assert found.anatomy.vessels is not None and found.anatomy.vessels.any()
    assert not (found.anatomy.vessels & (found.labels == 0)).any()
    assert found.seconds["vessels"] > 0
    turn = a_ct.geometry.to_canonical
    expected = vessels_of(a_segmenter.vessels, a_ct.canonical(), turn(found.labels))
    assert np.array_equal(turn(found.anatomy.vessels), expected)


def test_nobody_pays_for_vessels_that_were_not_asked_for(
    an_untrained_model: LiverModel, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segmenter_module, "VesselModel", None)
    found = Segmenter(an_untrained_model, "cpu").segment(a_ct)
    assert found.anatomy.vessels is None and "vessels" not in found.seconds


def test_the_liver_is_the_same_with_and_without_vessels(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    with_vessels, without = a_segmenter.segment(a_ct, VESSELS_WANTED), a_segmenter.segment(a_ct)
    assert np.array_equal(with_vessels.labels, without.labels)


def test_vessels_follow_the_axes_of_the_scan_voxel_for_voxel(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    expected = a_segmenter.segment(a_ct, VESSELS_WANTED).anatomy.vessels
    for axes in ("RAS", "SPL", "AIR"):
        order, affine = turned_to(a_ct.geometry, axes)
        turned = CTVolume(np.ascontiguousarray(order(a_ct.hu)), affine)
        assert np.array_equal(a_segmenter.segment(turned, VESSELS_WANTED).anatomy.vessels, order(expected)), axes


def test_a_cancel_while_vessels_are_found_stops_the_run(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    cancel = threading.Event()

    def progress(share: float, stage: str) -> None:
        if stage == messages.FINDING_VESSELS:
            cancel.set()

    with pytest.raises(Cancelled):
        a_segmenter.segment(a_ct, VESSELS_WANTED, progress, cancel)


def test_missing_weights_are_told_before_the_liver_is_looked_for(
    an_untrained_model: LiverModel, a_ct: CTVolume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.model.vessel_model.bundled_model_path", lambda name: tmp_path / name)
    stages: list[str] = []
    with pytest.raises(ModelError, match="install the extension again"):
        Segmenter(an_untrained_model, "cpu").segment(a_ct, VESSELS_WANTED, lambda share, stage: stages.append(stage))
    assert messages.FINDING_LIVER not in stages


def test_a_liver_that_may_be_cut_off_has_vessels_with_a_warning(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    found = a_segmenter.segment(a_ct, VESSELS_WANTED)
    assert messages.LIVER_CUT_AT_ENDS_AND_SIDE in found.warnings and messages.VESSELS_OF_A_PART in found.warnings


def test_the_vessels_of_the_tip_of_a_liver_are_not_looked_for(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.inference.anatomy.SMALLEST_LIVER_ML", 1e4)
    found = a_segmenter.segment(a_ct, VESSELS_WANTED)
    assert found.anatomy.vessels is None and messages.NO_VESSELS_OF_SO_LITTLE in found.warnings


def test_where_no_vessels_are_to_be_seen_the_reason_is_told(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("LiverSegLib.inference.vessels.SMALLEST_VESSEL_ML", 1e6)
    found = a_segmenter.segment(a_ct, VESSELS_WANTED)
    assert found.anatomy.vessels is None and messages.NO_VESSELS in found.warnings


@pytest.mark.parametrize(
    ("liver_hu", "vessel_hu", "faint"),
    [(100, 150, False), (100, 110, True), (60, 40, True), (50, 75, True), (26, 76, False)],
)
def test_vessels_that_hardly_stand_out_are_faint(liver, liver_hu: int, vessel_hu: int, faint: bool) -> None:
    _, mask, tube = liver
    hu = np.where(tube, vessel_hu, liver_hu)
    assert are_faint(hu, mask.astype(np.uint8), tube) == faint


def test_faint_vessels_come_with_a_warning(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    for faint in (False, True):
        monkeypatch.setattr("LiverSegLib.inference.anatomy.are_faint", lambda *_, faint=faint: faint)
        found = a_segmenter.segment(a_ct, VESSELS_WANTED)
        assert (messages.FAINT_VESSELS in found.warnings) == faint and found.anatomy.vessels is not None


# ---- the file --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"widths": [8, 0]},
        {"widths": []},
        {"widths": [4096]},
        {"patch": 0},
        {"spacing_mm": 0.01},
        {"offsets_mm": []},
        {"offsets_mm": [0.0, 1000.0]},
        {"window_hu": [100.0, -100.0]},
        {"vessel_above": 1.0},
        {"sha256": 7},
    ],
    ids=str,
)
def test_a_card_of_an_impossible_network_is_refused(vessel_file: Path, change: dict) -> None:
    card = vessel_file.with_suffix(".json")
    card.write_text(json.dumps(json.loads(card.read_text()) | change))
    with pytest.raises(ModelError, match="card"):
        VesselModel.load(vessel_file)


def test_weights_other_than_the_cards_are_refused(vessel_file: Path) -> None:
    content = bytearray(vessel_file.read_bytes())
    content[len(content) // 2] ^= 1
    vessel_file.write_bytes(content)
    with pytest.raises(ModelError, match="does not match its card"):
        VesselModel.load(vessel_file)


def test_the_weights_of_a_liver_network_are_refused(a_model_file: Path, vessel_file: Path) -> None:
    card = json.loads(vessel_file.with_suffix(".json").read_text())
    card["sha256"] = hashlib.sha256(a_model_file.read_bytes()).hexdigest()
    a_model_file.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(ModelError, match="does not hold this network"):
        VesselModel.load(a_model_file)
