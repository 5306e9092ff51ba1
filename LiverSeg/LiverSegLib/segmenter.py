"""Segmenter: a CT volume in, labels on its own grid out; slices in batches, with progress and cancel."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from . import messages
from .confidence import SelfAgreement, expected_dice
from .devices import choose_device, half_precision
from .errors import Cancelled, DeviceError
from .grid import neighbour_stacks, pad_to_multiple, to_input_size, to_model_spacing, window
from .margins import (
    LARGEST_MARGIN,
    class_margins,
    labels_from_margins,
    probabilities_from_margins,
    smooth_through_slices,
)
from .model import LiverModel, ModelCard
from .network import ConvBlock, UNet
from .postprocess import clean
from .quality import check_input, check_result
from .upright import interpolate_from_upright, is_oblique, to_upright
from .volume import CTVolume

Progress = Callable[[float, str], None]
Keep = Callable[[int, Tensor], None]

# Slices per batch. On a CPU, larger batches leave the cache; on a GPU, smaller ones leave it idle.
BATCH_SIZE = {"cpu": 8, "cuda": 32, "mps": 16}

# Of two views of an oblique volume; chosen on validation scans turned by 20 degrees, in the header or by resampling.
OWN_VIEW_WEIGHT = 0.4

# Pixel sizes for test-time augmentation, relative to the one that the network was trained with. Mirror images are no
# choice: the network never saw any, and takes a full stomach on the right for a liver.
AUGMENTED_PIXEL_SIZES = (1.0, 5 / 6, 6 / 5)


@dataclass(frozen=True)
class Segmentation:
    """What the segmenter found.

    ``labels`` is uint8 (k, j, i) on the input's own grid: 0 background, 1 liver, 2 tumour (when asked for);
    ``affine`` is the input's. ``probabilities``, when asked for, is float16 (class, k, j, i), before clean-up.
    ``seconds`` holds the stages load, preprocess, network and postprocess. ``self_agreement`` is what
    :class:`LiverSegLib.confidence.SelfAgreement` says; ``quality`` the Dice to be expected from it, 0 to 1, None if the
    model is not calibrated or no liver was found.
    """

    labels: np.ndarray
    affine: np.ndarray
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    device: str
    model: ModelCard
    probabilities: np.ndarray | None = None
    self_agreement: float = 0.0
    quality: float | None = None


class Segmenter:
    """Keeps one network resident on one device and segments any number of volumes with it.

    Parameters
    ----------
    model
        The network; the bundled one by default.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps"; see :func:`LiverSegLib.devices.choose_device`.

    Raises
    ------
    ModelError
        If the bundled model is damaged.
    DeviceError
        If the device does not exist.
    """

    def __init__(self, model: LiverModel | None = None, device: str = "auto") -> None:
        started = perf_counter()
        self.model = model or LiverModel.load()
        self.device, self.device_warnings = choose_device(device)
        try:
            self._network = self._network_on(self.device)
        except RuntimeError as error:
            if self.device.type == "cpu":
                raise
            self.move_to_cpu(error)
        self._load_seconds = perf_counter() - started

    def segment(
        self,
        ct: CTVolume,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        tumour: bool = False,
        force: bool = False,
        probabilities: bool = False,
        test_time_augmentation: bool = False,
    ) -> Segmentation:
        """Segment the liver.

        Parameters
        ----------
        ct
            Any orientation and spacing.
        progress
            Called with the share done, 0 to 1, and the stage in words.
        cancel
            Set it to stop within a batch.
        tumour
            Label tumours as 2; otherwise they are part of the liver, 1.
        force
            Segment although the values do not look like CT.
        probabilities
            Also return the class probabilities.
        test_time_augmentation
            Average what the network finds at three pixel sizes: three times the work for a steadier outline.

        Raises
        ------
        InputError
            If the values cannot be HU and ``force`` is not set.
        Cancelled
            If ``cancel`` was set.
        DeviceError
            If even the CPU has too little memory.
        """
        pixel_sizes = AUGMENTED_PIXEL_SIZES if test_time_augmentation else (1.0,)
        run = _Run(self, progress or _silent, cancel or threading.Event(), tumour, probabilities, pixel_sizes)
        return run.segment(ct, force)

    def move_to_cpu(self, error: Exception) -> None:
        """Continue on the CPU, after the GPU failed with this error; every further result says so."""
        if _is_out_of_memory(error):
            warning = messages.GPU_OUT_OF_MEMORY.format(device=self.device)
        else:
            warning = messages.GPU_FAILED.format(device=self.device, reason=str(error).partition("\n")[0])
        self.device_warnings.append(warning)
        self.device = torch.device("cpu")
        self._network = self._network_on(self.device)

    def _network_on(self, device: torch.device) -> UNet:
        """A copy made for speed; from the model's own, which stays on the CPU: from a dead GPU nothing can be read."""
        network = fold_batch_norm(self.model.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.to(device)

    def take_load_seconds(self) -> float:
        """Seconds that loading the model took, told once: later segmentations find it resident."""
        seconds, self._load_seconds = self._load_seconds, 0.0
        return seconds


@dataclass
class _Run:
    """One segmentation: what is wanted, its clock, its warnings, its way to report and to stop."""

    segmenter: Segmenter
    progress: Progress
    cancel: threading.Event
    tumour: bool
    probabilities: bool
    pixel_sizes: tuple[float, ...]
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    agreement: SelfAgreement = field(default_factory=SelfAgreement)

    def segment(self, ct: CTVolume, force: bool) -> Segmentation:
        self._clock = perf_counter()
        self.seconds["load"] = self.segmenter.take_load_seconds()
        self._report(0.0, messages.PREPARING)
        self.warnings += check_input(ct, force)
        canonical = ct.canonical()
        self._lap("preprocess")

        labels, classes = self._label(canonical)
        self.warnings[:0] = self.segmenter.device_warnings
        self._report(0.92, messages.CLEANING_UP)
        labels = clean(labels, canonical.spacing)
        quality = self._quality(labels)
        self.warnings += check_result(canonical, labels)
        labels = ct.from_canonical(labels)
        if classes is not None:
            classes = np.stack([ct.from_canonical(probability) for probability in classes])
        self._lap("postprocess")
        self._report(1.0, messages.DONE)
        return Segmentation(
            labels,
            ct.affine,
            tuple(self.warnings),
            self.seconds,
            str(self.segmenter.device),
            self.card,
            classes,
            self.agreement.value,
            quality,
        )

    def _quality(self, labels: np.ndarray) -> float | None:
        """Dice to be expected; a low one adds a warning."""
        calibration = self.card.calibration
        if calibration is None or not labels.any():
            return None
        quality = expected_dice(self.agreement.value, calibration["intercept"], calibration["slope"])
        if quality < calibration["check_below"]:
            self.warnings.append(messages.CHECK_THIS_RESULT.format(quality=quality))
        return quality

    @property
    def card(self) -> ModelCard:
        return self.segmenter.model.card

    @property
    def odds(self) -> int:
        """How many log-odds a voxel has: of liver, and of tumour where it matters."""
        return 2 if self.tumour or self.probabilities else 1

    def _label(self, canonical: CTVolume) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels and, if wanted, class probabilities of the canonical stack, before clean-up."""
        labels = np.empty(canonical.hu.shape, dtype=np.uint8)
        classes = (
            np.empty((len(self.card.classes), *canonical.hu.shape), dtype=np.float16) if self.probabilities else None
        )

        def keep(first: int, margins: Tensor) -> None:
            last = first + len(margins)
            labels[first:last] = labels_from_margins(margins if self.tumour else margins[:, :1]).cpu().numpy()
            if classes is not None:
                classes[:, first:last] = probabilities_from_margins(margins).half().cpu().numpy()

        if is_oblique(canonical):
            keep(0, self._margins_of_two_views(canonical))
        else:
            self._over_slices(canonical, keep, (0.05, 0.9))
        return labels, classes

    def _margins_of_two_views(self, canonical: CTVolume) -> Tensor:
        """Mean log-odds (k, odds, j, i) of an oblique volume's own slices and of slices resampled axial to the patient.

        The angle in the header tells how the image was cut, or merely how the patient lies: the network knows best
        the upright view in the first case, the own in the second, and their mean serves both.
        """
        upright = to_upright(canonical, self.card.spacing_mm)
        own = self._stored_margins(canonical, (0.05, 0.45))
        other = self._stored_margins(upright, (0.45, 0.9))
        own *= OWN_VIEW_WEIGHT
        for kind in range(own.shape[1]):
            own[:, kind] += (1 - OWN_VIEW_WEIGHT) * interpolate_from_upright(other[:, kind], upright, canonical)
        self._lap("postprocess")
        return torch.from_numpy(own)

    def _stored_margins(self, stack: CTVolume, span: tuple[float, float]) -> np.ndarray:
        margins_of_stack = np.empty((len(stack.hu), self.odds, *stack.hu.shape[1:]), dtype=np.float32)

        def keep(first: int, margins: Tensor) -> None:
            margins_of_stack[first : first + len(margins)] = margins.cpu().numpy()

        self._over_slices(stack, keep, span)
        return margins_of_stack

    def _over_slices(self, stack: CTVolume, keep: Keep, span: tuple[float, float]) -> None:
        """Run the network over all slices; with smaller batches when memory runs out, on the CPU if the GPU fails.

        ``keep`` is given the index of a batch's first slice and its log-odds (n, odds, j, i); ``span`` is the part of
        the progress that this takes.
        """
        batch_size = BATCH_SIZE[self.segmenter.device.type]
        while True:
            try:
                return self._in_batches(stack, batch_size, keep, span)
            except (RuntimeError, MemoryError) as error:
                batch_size = self._batch_size_after(error, batch_size)

    def _batch_size_after(self, error: Exception, batch_size: int) -> int:
        out_of_memory = _is_out_of_memory(error)
        if out_of_memory and batch_size > 1:
            return batch_size // 2
        if self.segmenter.device.type != "cpu":
            # Unplugged, reset, asleep, or without an operation that the network needs: the CPU can go on.
            self.segmenter.move_to_cpu(error)
            return BATCH_SIZE["cpu"]
        if out_of_memory:
            raise DeviceError(messages.OUT_OF_MEMORY) from error
        raise error

    @torch.inference_mode()
    def _in_batches(self, stack: CTVolume, batch_size: int, keep: Keep, span: tuple[float, float]) -> None:
        views = [self._resampled(stack, self.card.spacing_mm * size, batch_size) for size in self.pixel_sizes]
        self._lap("preprocess")
        own = views[0]
        # Half precision keeps a whole-body scan's log-odds in a few hundred megabytes.
        margins = torch.empty(len(own), self.odds, *own.shape[1:], dtype=torch.float16, device=own.device)
        batches = torch.arange(len(own), device=own.device).split(batch_size)
        for positions in batches:
            self._report(span[0] + (span[1] - span[0]) * int(positions[0]) / len(own), messages.FINDING_LIVER)
            margins[positions] = self._mean_margins(views, positions, stack.spacing[0]).half()
        self._lap("network")
        for positions in batches:
            self._report(span[1], messages.BACK_TO_SCAN)
            smooth = smooth_through_slices(margins, positions, stack.spacing[0])
            self.agreement.add(smooth[:, 0])
            keep(int(positions[0]), to_input_size(smooth, stack.hu.shape[1:]))
        self._lap("postprocess")

    def _mean_margins(self, views: list[Tensor], positions: Tensor, slice_spacing: float) -> Tensor:
        """Mean log-odds of some slices over the views, on the first one's grid; float32 (n, odds, rows, columns)."""
        rows, columns = views[0].shape[1:]
        total = torch.zeros(len(positions), self.odds, rows, columns, device=views[0].device)
        for slices in views:
            self._stop_if_cancelled()
            images = neighbour_stacks(slices, positions, slice_spacing, self.card.offsets_mm)
            margins = class_margins(self._logits(images))[:, : self.odds].clamp(-LARGEST_MARGIN, LARGEST_MARGIN)
            total += to_input_size(margins, (rows, columns))
        return total / len(views)

    def _resampled(self, stack: CTVolume, pixel_mm: float, batch_size: int) -> Tensor:
        """All slices, windowed, with square pixels of ``pixel_mm``, on the device; float32 (k, rows, columns)."""
        chunks = [
            to_model_spacing(
                window(torch.from_numpy(chunk).to(self.segmenter.device).float(), self.card.window_hu),
                stack.spacing[1:],
                pixel_mm,
            )
            for chunk in np.array_split(stack.hu, max(1, len(stack.hu) // batch_size))
        ]
        return torch.cat(chunks)

    def _logits(self, images: Tensor) -> Tensor:
        rows, columns = images.shape[2:]
        images = pad_to_multiple(images, -1.0).contiguous(memory_format=torch.channels_last)
        with half_precision(images.device):
            logits = self.segmenter._network(images)
        return logits[..., :rows, :columns].float()

    def _report(self, share: float, stage: str) -> None:
        self._stop_if_cancelled()
        self.progress(share, stage)

    def _stop_if_cancelled(self) -> None:
        if self.cancel.is_set():
            raise Cancelled()

    def _lap(self, stage: str) -> None:
        now = perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._clock
        self._clock = now


def fold_batch_norm(network: UNet) -> UNet:
    """A copy with each batch normalisation folded into the convolution before it: the same function, fewer passes."""
    folded = copy.deepcopy(network).eval()
    for block in folded.modules():
        if isinstance(block, ConvBlock):
            for position in (0, 3):
                convolution, normalisation = block[position], block[position + 1]
                assert isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d)
                block[position] = fuse_conv_bn_eval(convolution, normalisation)
                block[position + 1] = nn.Identity()
    return folded


def _is_out_of_memory(error: Exception) -> bool:
    # CUDA has a class of its own; the CPU's and Apple's allocators raise RuntimeError and say it in words.
    if isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError)):
        return True
    return "out of memory" in str(error) or "allocate memory" in str(error)


def _silent(share: float, stage: str) -> None:
    """Progress that nobody watches."""
