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

from .devices import autocast_dtype, choose_device
from .errors import Cancelled, DeviceError
from .grid import neighbour_stacks, pad_to_multiple, to_input_size, to_model_spacing, window
from .margins import class_margins, labels_from_margins, probabilities_from_margins, smooth_through_slices
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


@dataclass(frozen=True)
class Segmentation:
    """What the segmenter found.

    ``labels`` is uint8 (k, j, i) on the input's own grid: 0 background, 1 liver, 2 tumour (when asked for);
    ``affine`` is the input's. ``probabilities``, when asked for, is float16 (class, k, j, i), before clean-up.
    ``seconds`` holds the stages load, preprocess, network and postprocess.
    """

    labels: np.ndarray
    affine: np.ndarray
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    device: str
    model: ModelCard
    probabilities: np.ndarray | None = None


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
        network = fold_batch_norm(self.model.network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network = network.to(self.device)
        self._load_seconds = perf_counter() - started

    def segment(
        self,
        ct: CTVolume,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        tumour: bool = False,
        force: bool = False,
        probabilities: bool = False,
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

        Raises
        ------
        InputError
            If the values cannot be HU and ``force`` is not set.
        Cancelled
            If ``cancel`` was set.
        DeviceError
            If even the CPU has too little memory.
        """
        return _Run(self, progress or _silent, cancel or threading.Event()).segment(ct, tumour, force, probabilities)

    def move_to_cpu(self) -> None:
        """Continue on the CPU, after the GPU ran out of memory; every further result says so."""
        self.device_warnings.append(
            f"The GPU {self.device} has too little free memory; the CPU was used. "
            "Close other programs that use the GPU, then start again."
        )
        self.device = torch.device("cpu")
        self._network = self._network.to(self.device)

    def take_load_seconds(self) -> float:
        """Seconds that loading the model took, told once: later segmentations find it resident."""
        seconds, self._load_seconds = self._load_seconds, 0.0
        return seconds


@dataclass
class _Run:
    """One segmentation: its clock, its warnings, its way to report and to stop."""

    segmenter: Segmenter
    progress: Progress
    cancel: threading.Event
    warnings: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def segment(self, ct: CTVolume, tumour: bool, force: bool, probabilities: bool) -> Segmentation:
        self._clock = perf_counter()
        self.seconds["load"] = self.segmenter.take_load_seconds()
        self._report(0.0, "Preparing the volume")
        self.warnings += check_input(ct, force)
        canonical = ct.canonical()
        self._lap("preprocess")

        labels, classes = self._label(canonical, probabilities)
        self.warnings[:0] = self.segmenter.device_warnings
        self._report(0.92, "Cleaning up")
        if not tumour:
            np.minimum(labels, 1, out=labels)
        labels = clean(labels, canonical.spacing)
        self.warnings += check_result(canonical, labels)
        labels = ct.from_canonical(labels)
        if classes is not None:
            classes = np.stack([ct.from_canonical(probability) for probability in classes])
        self._lap("postprocess")
        self._report(1.0, "Done")
        return Segmentation(
            labels, ct.affine, tuple(self.warnings), self.seconds, str(self.segmenter.device), self.card, classes
        )

    @property
    def card(self) -> ModelCard:
        return self.segmenter.model.card

    def _label(self, canonical: CTVolume, probabilities: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Labels and, if wanted, class probabilities of the canonical stack, before clean-up."""
        labels = np.empty(canonical.hu.shape, dtype=np.uint8)
        classes = np.empty((len(self.card.classes), *canonical.hu.shape), dtype=np.float16) if probabilities else None

        def keep(first: int, margins: Tensor) -> None:
            last = first + len(margins)
            labels[first:last] = labels_from_margins(margins).cpu().numpy()
            if classes is not None:
                classes[:, first:last] = probabilities_from_margins(margins).half().cpu().numpy()

        if is_oblique(canonical):
            keep(0, self._margins_of_two_views(canonical))
        else:
            self._over_slices(canonical, keep, (0.05, 0.9))
        return labels, classes

    def _margins_of_two_views(self, canonical: CTVolume) -> Tensor:
        """Mean log-odds (k, 2, j, i) of an oblique volume's own slices and of slices resampled axial to the patient.

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
        margins_of_stack = np.empty((len(stack.hu), 2, *stack.hu.shape[1:]), dtype=np.float32)

        def keep(first: int, margins: Tensor) -> None:
            margins_of_stack[first : first + len(margins)] = margins.cpu().numpy()

        self._over_slices(stack, keep, span)
        return margins_of_stack

    def _over_slices(self, stack: CTVolume, keep: Keep, span: tuple[float, float]) -> None:
        """Run the network over all slices, with smaller batches and at last on the CPU when memory runs out.

        ``keep`` is given the index of a batch's first slice and its log-odds (n, 2, j, i); ``span`` is the part of the
        progress that this takes.
        """
        batch_size = BATCH_SIZE[self.segmenter.device.type]
        while True:
            try:
                return self._in_batches(stack, batch_size, keep, span)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                batch_size = self._smaller_batch(batch_size, error)

    def _smaller_batch(self, batch_size: int, error: Exception) -> int:
        if batch_size > 1:
            return batch_size // 2
        if self.segmenter.device.type == "cpu":
            raise DeviceError(
                "There is too little memory to segment this volume; close other programs or crop it."
            ) from error
        self.segmenter.move_to_cpu()
        return BATCH_SIZE["cpu"]

    @torch.inference_mode()
    def _in_batches(self, stack: CTVolume, batch_size: int, keep: Keep, span: tuple[float, float]) -> None:
        slices = self._to_model_grid(stack, batch_size)
        self._lap("preprocess")
        # Half precision keeps a whole-body scan's log-odds in a few hundred megabytes.
        margins = torch.empty(len(slices), 2, *slices.shape[1:], dtype=torch.float16, device=slices.device)
        batches = torch.arange(len(slices), device=slices.device).split(batch_size)
        for positions in batches:
            self._report(span[0] + (span[1] - span[0]) * int(positions[0]) / len(slices), "Finding the liver")
            images = neighbour_stacks(slices, positions, stack.spacing[0], self.card.offsets_mm)
            margins[positions] = class_margins(self._logits(images)).half()
        self._lap("network")
        for positions in batches:
            self._report(span[1], "Bringing it back to the scan's grid")
            smooth = smooth_through_slices(margins, positions, stack.spacing[0])
            keep(int(positions[0]), to_input_size(smooth, stack.hu.shape[1:]))
        self._lap("postprocess")

    def _to_model_grid(self, stack: CTVolume, batch_size: int) -> Tensor:
        """All slices, windowed, at the network's in-plane spacing, on the device; float32 (k, rows, columns)."""
        chunks = [
            to_model_spacing(
                window(torch.from_numpy(chunk).to(self.segmenter.device).float(), self.card.window_hu),
                stack.spacing[1:],
                self.card.spacing_mm,
            )
            for chunk in np.array_split(stack.hu, max(1, len(stack.hu) // batch_size))
        ]
        return torch.cat(chunks)

    def _logits(self, images: Tensor) -> Tensor:
        rows, columns = images.shape[2:]
        dtype = autocast_dtype(images.device)
        images = pad_to_multiple(images, -1.0).contiguous(memory_format=torch.channels_last)
        with torch.autocast(images.device.type, dtype=dtype, enabled=dtype is not None):
            logits = self.segmenter._network(images)
        return logits[..., :rows, :columns].float()

    def _report(self, share: float, stage: str) -> None:
        if self.cancel.is_set():
            raise Cancelled()
        self.progress(share, stage)

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
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return "out of memory" in str(error) or "allocate memory" in str(error)


def _silent(share: float, stage: str) -> None:
    """Progress that nobody watches."""
