"""The bundled network for MR: the liver where there is one, whatever the contrast, and none elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from LiverSegLib import messages
from LiverSegLib.data.metrics import dice
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import Segmenter
from LiverSegLib.io.files import read_ct, read_labels
from Testing.mr_phantom import CONTRASTS, OTHER_PARTS, mr_phantom

pytestmark = pytest.mark.slow
AS_MR = SegmentOptions(modality="mr")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(device="cpu")


@pytest.mark.parametrize("contrast", CONTRASTS)
def test_the_liver_of_the_phantom_is_found_in_any_contrast(segmenter: Segmenter, contrast: str) -> None:
    phantom = mr_phantom(contrast)
    found = segmenter.segment(phantom.ct)
    assert found.model.modality == "MR" and dice(found.labels > 0, phantom.labels > 0) >= 0.85


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("draw", OTHER_PARTS.values(), ids=OTHER_PARTS)
def test_head_knee_and_spine_have_no_liver(segmenter: Segmenter, draw: Callable[[int], CTVolume], seed: int) -> None:
    found = segmenter.segment(draw(seed), AS_MR)
    assert not found.labels.any() and messages.NO_LIVER_IN_MR in found.warnings


@pytest.mark.parametrize("patient", [10, 31])
def test_a_real_t2_is_segmented_without_being_told(segmenter: Segmenter, shared_data: Path, patient: int) -> None:
    mr = read_ct(shared_data / "mr" / f"chaos_t2_{patient}_mr.nii.gz")
    liver = read_labels(shared_data / "mr" / f"chaos_t2_{patient}_liver.nii.gz").liver
    found = segmenter.segment(mr)
    assert found.model.modality == "MR" and dice(found.labels > 0, liver) >= 0.9
