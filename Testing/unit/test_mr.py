"""The road of MR: it is recognised, goes to the network for MR, and its result says that it is experimental.

In the places of the networks are two that find what is bright: a window of HU, or a share of the signal.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.modality import CT, MR
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import InputError, ModelError
from LiverSegLib.inference import segmenter as road
from LiverSegLib.inference.modality import modality_of
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import Phantom
from Testing.mr_phantom import CONTRASTS, mr_phantom

SURE = 12.0


def brighter_than(
    share: float, log_odds: float = SURE, right_only: bool = True
) -> Callable[[torch.Tensor], torch.Tensor]:
    """Logits of background, liver and tumour: liver where the middle slice fills this share of the window.

    As livers lie on the patient's right, it may find nothing elsewhere.
    """

    def network(images: torch.Tensor) -> torch.Tensor:
        found = (images[:, images.shape[1] // 2] > 2 * share - 1).to(images.dtype)
        if right_only:
            found[:, :, found.shape[2] * 5 // 8 :] = 0
        logit = log_odds * (2 * found - 1)
        return torch.stack((-logit, logit, logit - 20), dim=1)

    return network


@pytest.fixture(scope="module")
def mr() -> Phantom:
    return mr_phantom("hepatobiliary")


@pytest.fixture
def for_mr(an_untrained_model: LiverModel) -> LiverModel:
    card = replace(an_untrained_model.card, name="for mr", modality=MR, calibration=None, spacing_mm=2.85)
    return replace(an_untrained_model, card=card)


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel, for_mr: LiverModel) -> Segmenter:
    segmenter = Segmenter(an_untrained_model, "cpu", mr=for_mr)
    predictor = segmenter.predictor_for(MR)
    assert predictor is not None
    predictor.network = brighter_than(0.7)
    return segmenter


def as_chosen(modality: str) -> SegmentOptions:
    return SegmentOptions(modality=modality)


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_mr_is_recognised_by_its_values(contrast: str) -> None:
    assert modality_of(mr_phantom(contrast).ct, SegmentOptions()) == MR


@pytest.mark.parametrize("scale", [255, 4000])
def test_mr_is_recognised_whatever_its_values_were_scaled_to(scale: float) -> None:
    assert modality_of(mr_phantom("T1", scale=scale).ct, SegmentOptions()) == MR


def test_what_a_user_or_a_header_says_goes_before_the_values(mr: Phantom, a_phantom: Phantom) -> None:
    assert modality_of(mr.ct, as_chosen("ct")) == CT
    assert modality_of(a_phantom.ct, as_chosen("mr")) == MR
    assert modality_of(replace(a_phantom.ct, modality=MR), SegmentOptions()) == MR
    assert modality_of(replace(mr.ct, modality=CT), SegmentOptions()) == CT


def test_what_is_neither_is_not_taken_for_mr(a_phantom: Phantom, mr: Phantom) -> None:
    hu = a_phantom.ct.hu
    spots = np.zeros_like(hu)
    spots[20:30, 60:80, 60:80] = 5000  # as in PET
    noise = np.random.default_rng(0).integers(0, 4000, hu.shape).astype(np.int16)
    others = [hu, hu + np.int16(1024), spots + noise // 100, noise, a_phantom.labels.astype(np.int16) * 100]
    for values in others:
        assert modality_of(CTVolume(values, a_phantom.ct.affine), SegmentOptions()) == CT
    assert modality_of(mr.ct, SegmentOptions(force=True)) == CT


def test_there_is_no_other_modality() -> None:
    with pytest.raises(InputError, match="auto, ct or mr"):
        SegmentOptions(modality="pet")


def test_mr_goes_to_its_network_and_the_result_says_so(a_segmenter: Segmenter, mr: Phantom) -> None:
    found = a_segmenter.segment(mr.ct)
    assert dice(found.labels > 0, mr.labels > 0) > 0.8
    assert found.model.name == "for mr" and found.quality is None
    assert found.warnings[0] == messages.SEGMENTED_AS_MR.format(name=mr.ct.name)


def test_of_mr_there_is_the_liver_alone(a_segmenter: Segmenter, mr: Phantom) -> None:
    found = a_segmenter.segment(mr.ct, SegmentOptions(tumour=True, segments=True, spleen=True))
    assert messages.MR_LIVER_ALONE in found.warnings
    assert found.labels.max() == 1 and found.anatomy.segments is None and found.anatomy.spleen is None


def test_ct_beside_it_is_segmented_as_ever(a_segmenter: Segmenter, a_phantom: Phantom, mr: Phantom) -> None:
    before = a_segmenter.segment(a_phantom.ct)
    a_segmenter.segment(mr.ct)
    after = a_segmenter.segment(a_phantom.ct)
    assert after.model.name == a_segmenter.model.card.name and np.array_equal(before.labels, after.labels)
    assert not any("MR" in warning for warning in after.warnings)


def test_mr_never_goes_through_the_network_for_ct_unasked(a_segmenter: Segmenter, mr: Phantom) -> None:
    with pytest.raises(InputError, match="--modality mr"):
        a_segmenter.segment(mr.ct, as_chosen("ct"))


def test_a_network_for_mr_takes_no_ct(for_mr: LiverModel, a_phantom: Phantom) -> None:
    with pytest.raises(InputError, match="is for MR"):
        Segmenter(for_mr, "cpu").segment(a_phantom.ct)


def test_a_result_that_the_network_is_unsure_of_is_none(a_segmenter: Segmenter, mr: Phantom) -> None:
    predictor = a_segmenter.predictor_for(MR)
    assert predictor is not None
    predictor.network = brighter_than(0.7, log_odds=0.2)
    found = a_segmenter.segment(mr.ct)
    assert not found.labels.any() and messages.NO_LIVER_IN_MR in found.warnings


def test_what_the_mirror_image_shows_as_surely_is_no_liver(a_segmenter: Segmenter, mr: Phantom) -> None:
    predictor = a_segmenter.predictor_for(MR)
    assert predictor is not None
    predictor.network = brighter_than(0.7, right_only=False)
    found = a_segmenter.segment(mr.ct)
    assert not found.labels.any() and messages.NO_LIVER_IN_MR in found.warnings


def test_a_label_map_is_no_mr_even_if_somebody_says_so(a_segmenter: Segmenter, mr: Phantom) -> None:
    masks = CTVolume(mr.labels.astype(np.int16) * 100, mr.ct.affine, "masks")
    with pytest.raises(InputError, match="label map"):
        a_segmenter.segment(masks, as_chosen("mr"))


def test_without_its_network_mr_is_refused_in_one_sentence(
    an_untrained_model: LiverModel, mr: Phantom, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setattr(road, "bundled_model_path", lambda name: tmp_path / name)
    with pytest.raises(ModelError, match="install the extension again"):
        Segmenter(an_untrained_model, "cpu").segment(mr.ct)
