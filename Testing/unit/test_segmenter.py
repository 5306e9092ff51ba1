"""The road from a volume to labels: any orientation, any voxel type, progress, cancel, and memory that runs out.

An untrained network serves: what is tested here holds for any weights, and its ragged answers forgive nothing.
"""

from __future__ import annotations

import itertools
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch

from LiverSegLib import messages
from LiverSegLib.data.volume import CTVolume
from LiverSegLib.errors import Cancelled, DeviceError
from LiverSegLib.inference.options import SegmentOptions
from LiverSegLib.inference.segmenter import BATCH_SIZE, Segmentation, Segmenter
from LiverSegLib.model.liver_model import LiverModel
from LiverSegLib.phantom import Phantom
from Testing.gpu import believe_in_a_gpu


@pytest.fixture
def a_segmenter(an_untrained_model: LiverModel) -> Segmenter:
    return Segmenter(an_untrained_model, "cpu")


@pytest.fixture
def a_ct(a_phantom: Phantom) -> CTVolume:
    """A part of the phantom, small enough to be segmented a hundred times."""
    return CTVolume(a_phantom.ct.hu[10:22, 40:86, 30:78], a_phantom.ct.affine)


@pytest.fixture(autouse=True)
def no_clean_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network's raw answer: cleaned up, an untrained network's might be one blob or nothing."""
    monkeypatch.setattr("LiverSegLib.inference.label_writer.clean", lambda labels, spacing, is_sure: labels)


def turned(ct: CTVolume, order: tuple[int, ...], flips: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """The same voxels in another axis order (k, j, i), with the affine that keeps them in their place."""
    array, affine = ct.hu, ct.affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            array = np.flip(array, axis)
            column = 2 - axis
            affine[:3, 3] += affine[:3, column] * (ct.hu.shape[axis] - 1)
            affine[:3, column] *= -1
    columns = [2 - order[2 - column] for column in range(3)]
    return array.transpose(order), affine[:, [*columns, 3]]


def test_the_48_axis_orders_give_the_same_mask_voxel_for_voxel(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    expected = a_segmenter.segment(a_ct).labels
    assert 0 < expected.sum() < expected.size
    for order in itertools.permutations(range(3)):
        for flips in itertools.product((0, 1), repeat=3):
            array, affine = turned(a_ct, order, flips)
            labels = a_segmenter.segment(CTVolume.from_array(array, affine)).labels
            back = np.flip(labels.transpose(np.argsort(order)), [axis for axis, flip in enumerate(flips) if flip])
            assert np.array_equal(back, expected), (order, flips)


def test_the_answer_tells_what_made_it(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    segmentation = a_segmenter.segment(a_ct)
    assert segmentation.labels.dtype == np.uint8
    assert segmentation.labels.shape == a_ct.hu.shape
    assert np.array_equal(segmentation.affine, a_ct.affine)
    assert set(segmentation.seconds) == {"load", "preprocess", "network", "postprocess"}
    assert segmentation.device == "cpu"
    assert segmentation.model.name == "untrained"


def test_tumour_is_a_label_only_when_asked_for(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    with_tumour = a_segmenter.segment(a_ct, SegmentOptions(tumour=True)).labels
    without = a_segmenter.segment(a_ct).labels
    assert set(np.unique(with_tumour)) == {0, 1, 2}
    assert np.array_equal(without, np.minimum(with_tumour, 1))


def test_probabilities_add_up_to_one_and_agree_with_the_labels(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    segmentation = a_segmenter.segment(a_ct, SegmentOptions(tumour=True), probabilities=True)
    classes = segmentation.probabilities.astype(np.float32)
    assert classes.shape == (3, *a_ct.hu.shape)
    assert np.allclose(classes.sum(axis=0), 1, atol=2e-3)
    clear = np.abs(classes[0] - 0.5) > 0.01
    assert np.array_equal((segmentation.labels > 0)[clear], (classes[0] < 0.5)[clear])


def test_the_card_says_from_which_probability_on_liver_is_tumour(
    an_untrained_model: LiverModel, a_ct: CTVolume
) -> None:
    card = replace(an_untrained_model.card, tumour_above=0.2)
    segmenter = Segmenter(replace(an_untrained_model, card=card), "cpu")
    found = segmenter.segment(a_ct, SegmentOptions(tumour=True), probabilities=True)
    _, liver, tumour = found.probabilities.astype(np.float32)
    share = tumour / np.maximum(liver + tumour, 1e-6)
    clear = (found.labels > 0) & (liver + tumour > 0.51) & (np.abs(share - 0.2) > 0.01)
    assert ((share > 0.2) & (share < 0.5) & clear).any()
    assert np.array_equal((found.labels == 2)[clear], (share > 0.2)[clear])


def test_a_model_without_calibration_promises_nothing(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    found = a_segmenter.segment(a_ct)
    assert found.quality is None
    assert 0 < found.self_agreement < 1


def test_a_liver_that_the_network_is_unsure_of_carries_a_warning(
    an_untrained_model: LiverModel, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An untrained network finds the same on either side, and is sure of nothing.
    monkeypatch.setattr("LiverSegLib.inference.segmenter.MIRRORED_ML", np.inf)
    monkeypatch.setattr("LiverSegLib.inference.segmenter.LEAST_SURE", 0.0)

    def found_with(check_below: float) -> Segmentation:
        calibration = {"intercept": 0.0, "slope": 1.0, "check_below": check_below}
        card = replace(an_untrained_model.card, calibration=calibration)
        return Segmenter(replace(an_untrained_model, card=card), "cpu").segment(a_ct)

    unsure, sure = found_with(0.9999), found_with(0.0)
    assert unsure.quality == sure.quality == pytest.approx(unsure.self_agreement)
    warning = messages.CHECK_THIS_RESULT.format(quality=unsure.quality)
    assert warning in unsure.warnings and warning not in sure.warnings


@pytest.mark.parametrize("shape", [(1, 80, 80), (3, 65, 70), (5, 130, 64)])
def test_odd_and_thin_shapes_are_answered_on_their_own_grid(
    a_segmenter: Segmenter, shape: tuple[int, int, int]
) -> None:
    hu = np.random.default_rng(0).integers(-1000, 400, shape).astype(np.int16)
    ct = CTVolume(hu, np.diag((-2.0, -2.0, 3.0, 1.0)))
    assert a_segmenter.segment(ct).labels.shape == shape


def test_a_single_slice_is_segmented_with_a_warning(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    segmentation = a_segmenter.segment(CTVolume(a_ct.hu[6:7], a_ct.affine))
    assert any("slice" in warning for warning in segmentation.warnings)


def test_progress_rises_from_start_to_end(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    shares: list[float] = []
    stages: list[str] = []
    a_segmenter.segment(
        a_ct,
        progress=lambda share, stage: (shares.append(share), stages.append(stage)),
    )
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] == 1
    assert len(set(stages)) > 2


def test_cancel_stops_within_a_batch(a_segmenter: Segmenter, a_ct: CTVolume) -> None:
    cancel = threading.Event()
    calls_after_cancel = 0

    def progress(share: float, stage: str) -> None:
        nonlocal calls_after_cancel
        calls_after_cancel += cancel.is_set()
        if share > 0.3:
            cancel.set()

    with pytest.raises(Cancelled):
        a_segmenter.segment(a_ct, progress=progress, cancel=cancel)
    assert calls_after_cancel == 0


class Memory:
    """A network whose device has room for so many slices at once."""

    def __init__(self, network: torch.nn.Module, room: int) -> None:
        self.network = network
        self.room = room
        self.batches: list[int] = []

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        if len(images) > self.room:
            raise torch.OutOfMemoryError("out of memory")
        self.batches.append(len(images))
        return self.network(images)


def test_out_of_memory_halves_the_batch_and_gives_the_same_labels(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = a_segmenter.segment(a_ct).labels
    memory = Memory(a_segmenter.predictor.network, room=3)
    monkeypatch.setattr(a_segmenter.predictor, "network", memory)
    assert (a_segmenter.segment(a_ct).labels == expected).mean() > 0.999  # other batches round otherwise
    assert max(memory.batches) == 3


def test_too_little_memory_for_one_slice_is_said_in_a_sentence(
    a_segmenter: Segmenter, a_ct: CTVolume, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(a_segmenter.predictor, "network", Memory(a_segmenter.predictor.network, room=0))
    with pytest.raises(DeviceError, match="close other programs"):
        a_segmenter.segment(a_ct)


@pytest.fixture
def a_segmenter_on_a_gpu(an_untrained_model: LiverModel, monkeypatch: pytest.MonkeyPatch) -> Segmenter:
    believe_in_a_gpu(monkeypatch)
    return Segmenter(an_untrained_model, "cuda:0")


class LostGpu:
    """A network whose GPU answers so many batches and then never again, not even to give its weights back."""

    def __init__(self, network: torch.nn.Module, batches: int, message: str) -> None:
        self.network = network
        self.batches = batches
        self.message = message

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        self.batches -= 1
        if self.batches < 0:
            raise RuntimeError(self.message)
        return self.network(images)

    def __getattr__(self, name: str) -> None:
        raise RuntimeError(self.message)


@pytest.mark.parametrize("batches", [0, 1])
@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: unspecified launch failure\nCUDA kernel errors might be asynchronously reported",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "MPS backend: command buffer exited with error status",
    ],
)
def test_a_gpu_lost_in_the_middle_of_a_run_is_replaced_by_the_cpu_with_a_warning(
    a_segmenter: Segmenter,
    a_segmenter_on_a_gpu: Segmenter,
    a_ct: CTVolume,
    monkeypatch: pytest.MonkeyPatch,
    batches: int,
    message: str,
) -> None:
    expected = a_segmenter.segment(a_ct).labels
    monkeypatch.setitem(BATCH_SIZE, "cuda", 4)
    a_segmenter_on_a_gpu.predictor.network = LostGpu(a_segmenter_on_a_gpu.predictor.network, batches, message)
    found = a_segmenter_on_a_gpu.segment(a_ct)
    assert (found.labels == expected).mean() > 0.999
    assert found.device == "cpu"
    assert [warning for warning in found.warnings if message.splitlines()[0] in warning and "\n" not in warning]
    assert a_segmenter_on_a_gpu.segment(a_ct).warnings == found.warnings  # no GPU in the next run either


def test_a_gpu_without_room_for_one_slice_is_replaced_by_the_cpu_with_a_warning(
    a_segmenter_on_a_gpu: Segmenter, a_ct: CTVolume
) -> None:
    a_segmenter_on_a_gpu.predictor.network = Memory(a_segmenter_on_a_gpu.predictor.network, room=0)
    found = a_segmenter_on_a_gpu.segment(a_ct)
    assert found.device == "cpu"
    assert any("too little free memory" in warning for warning in found.warnings)


def test_a_gpu_without_room_for_the_network_is_replaced_by_the_cpu_with_a_warning(
    an_untrained_model: LiverModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    to = torch.nn.Module.to

    def no_room(self: torch.nn.Module, *arguments: object, **options: object) -> torch.nn.Module:
        if torch.device("cuda:0") in arguments:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return to(self, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "to", no_room)
    monkeypatch.setattr("LiverSegLib.inference.predictor.choose_device", lambda name: (torch.device("cuda:0"), []))
    segmenter = Segmenter(an_untrained_model, "cuda:0")
    assert segmenter.device == torch.device("cpu")
    assert any("too little free memory" in warning for warning in segmenter.predictor.warnings)


def test_an_error_that_the_cpu_repeats_is_not_hidden(a_segmenter_on_a_gpu: Segmenter, a_ct: CTVolume) -> None:
    def broken(slices: object, *arguments: object) -> None:
        raise RuntimeError("a mistake of ours")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="a mistake of ours"):
        patch.setattr("LiverSegLib.inference.stack.SliceCache.stacks", broken)
        a_segmenter_on_a_gpu.segment(a_ct)
