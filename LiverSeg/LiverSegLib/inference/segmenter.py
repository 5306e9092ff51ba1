"""Segmenter: a CT or MR volume in, labels on its own grid out; slices in batches, with progress and cancel."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from .. import messages
from ..data.anatomy import Anatomy
from ..data.metrics import dice
from ..data.modality import CT, MR
from ..data.places import Place
from ..data.strokes import Stroke
from ..data.volume import CTVolume
from ..errors import DeviceError, InputError, is_out_of_memory
from ..model.couinaud_model import CouinaudModel
from ..model.liver_model import BUNDLED, FIRST_CLASSES, LiverModel, ModelCard, bundled_model_path
from ..model.refine_model import RefineModel
from ..model.vessel_model import VesselModel
from .anatomy import corrected_anatomy, find_anatomy
from .confidence import ConfidenceMap, expected_dice
from .filling import without_filling
from .label_writer import LabelWriter
from .logits import LARGEST_LOG_ODDS
from .modality import modality_of
from .mr_signal import on_network_scale
from .oblique_logits import UprightLogits
from .oblique_views import is_oblique, to_upright
from .options import SegmentOptions
from .places import places_to_check
from .plausibility import check_input, check_mr, check_no_picture, check_result
from .predictor import Predictor
from .progress import Progress, ProgressReporter
from .refine import Refiner
from .sides import Sides, are_beside, knows_sides, sides_of
from .slice_search import batches, joined
from .stack import LiverLogits, StackInference

Answer = TypeVar("Answer")

# What the card calls it.
SPLEEN = "spleen"

# Slices per batch. On a CPU, larger batches leave the cache; on a GPU, smaller ones leave it idle.
BATCH_SIZE = {"cpu": 12, "cuda": 32, "mps": 16}

# Of two views of an oblique volume; chosen on validation scans turned by 20 degrees, in the header or by resampling.
OWN_VIEW_WEIGHT = 0.4

# The Dice to expect of a mirror image, how much more than of the image itself, and the volume of its liver, before its
# answer is taken (Training/EXPERIMENTS.md).
MIRRORED_DICE, MIRRORED_GAIN, MIRRORED_ML = 0.85, 0.05, 400.0
# What that Dice is measured on first: slices that far apart.
MIRRORED_LOOK_MM = 5.0

# A liver lies on one side. What the network finds about as surely in the mirror image, in the same place or reflected,
# is a brain, a leg or a bottle of water; less than that volume may be the dome of a liver (Training/EXPERIMENTS.md).
SYMMETRIC_LOSS, SYMMETRIC_OVERLAP = 0.05, 0.65
# Nothing is found where the Dice to expect is so low, and the network sure of so small a share of it.
LEAST_DICE, LEAST_SURE = 0.8, 0.3
# In MR, where it expects less of itself, or is sure of a smaller share (Training/EXPERIMENTS.md).
LEAST_MR_AGREEMENT, LEAST_MR_SURE = 0.85, 0.3
# A picture with a large liver that the network is unsure of is none of a CT. Livers in CT turned into pictures by four
# windows have 0.904 at least; two of three MR that pass for pictures have less, the third 0.932.
PICTURE_DICE, PICTURE_ML = 0.906, 300.0

# What clean-up takes away is told if it is more than this share of the liver.
LEFT_OUT_SHARE = 0.1


@dataclass(frozen=True)
class Segmentation:
    """What the segmenter found.

    ``labels`` is uint8 (k, j, i) on the input's own grid: 0 background, 1 liver, 2 tumour (when asked for);
    ``affine`` is the input's. ``probabilities``, when asked for, is float16 (class, k, j, i), before clean-up.
    ``seconds`` holds the stages load, preprocess, network, postprocess and, where asked for, segments and vessels.
    ``self_agreement`` is what :class:`LiverSegLib.inference.confidence.ConfidenceMap` says; ``quality`` the Dice to be
    expected from it, 0 to 1, None if the model is not calibrated or no liver was found. ``anatomy`` has what else was
    asked for, ``places`` where to look, most in doubt first. ``corrections`` is how many strokes of a reader went into
    it; what was expected of the network's own result is then no longer told.
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
    anatomy: Anatomy = field(default_factory=Anatomy)
    places: tuple[Place, ...] = ()
    corrections: int = 0


class Segmenter:
    """Keeps one network resident on one device and segments any number of volumes with it.

    Parameters
    ----------
    model
        The network; the bundled one by default.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps"; see :func:`LiverSegLib.model.devices.choose_device`.
    everywhere
        Run the network over all slices and all of each, instead of looking first where the body and the liver are:
        several times the work for nearly the same result, to measure against.
    couinaud, vessels, refine
        The networks of the segments, of the vessels, and of corrections; the bundled ones by default, loaded when first
        asked for.
    mr
        The network for MR; the bundled one by default, loaded when the first MR comes. Without use if ``model`` is for
        MR itself, which then takes no CT.

    Raises
    ------
    ModelError
        If the bundled model is damaged.
    DeviceError
        If the device does not exist, or the CPU has too little memory.
    """

    def __init__(
        self,
        model: LiverModel | None = None,
        device: str = "auto",
        everywhere: bool = False,
        couinaud: CouinaudModel | None = None,
        vessels: VesselModel | None = None,
        refine: RefineModel | None = None,
        mr: LiverModel | None = None,
    ) -> None:
        started = perf_counter()
        self._couinaud, self._vessels, self._refine, self._mr = couinaud, vessels, refine, mr
        self._mr_predictor: Predictor | None = None
        self.everywhere = everywhere
        self.predictor = Predictor(model or LiverModel.load(), device)
        self._load_seconds = perf_counter() - started

    def predictor_for(self, modality: str) -> Predictor | None:
        """The network for "CT" or "MR", on the device; None of CT where the only network is for MR.

        Raises
        ------
        ModelError
            If the bundled network for MR is missing or damaged.
        """
        if self.model.card.modality == modality:
            return self.predictor
        if modality == CT:
            return None
        if self._mr_predictor is None:
            started = perf_counter()
            model = self._mr or LiverModel.load(bundled_model_path(BUNDLED[MR]))
            self._mr_predictor = Predictor(model, str(self.device))
            self._load_seconds += perf_counter() - started
        return self._mr_predictor

    @property
    def model(self) -> LiverModel:
        return self.predictor.model

    @property
    def couinaud(self) -> CouinaudModel:
        """The network of the segments; raises ModelError if the bundled one is missing or damaged."""
        if self._couinaud is None:
            self._couinaud = CouinaudModel.load()
        return self._couinaud

    @property
    def vessels(self) -> VesselModel:
        """The network of the vessels; raises ModelError if the bundled one is missing or damaged."""
        if self._vessels is None:
            self._vessels = VesselModel.load()
        return self._vessels

    @property
    def refine_model(self) -> RefineModel:
        """The network of corrections; raises ModelError if the bundled one is missing or damaged."""
        if self._refine is None:
            self._refine = RefineModel.load()
        return self._refine

    @property
    def device(self) -> torch.device:
        """Where the network runs; the CPU after a GPU failed."""
        return self.predictor.device

    def warm_up(self) -> None:
        """Let the network run once, so that the first volume need not wait for what PyTorch prepares then."""
        self.predictor.warm_up()

    def segment(
        self,
        ct: CTVolume,
        options: SegmentOptions | None = None,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
        probabilities: bool = False,
    ) -> Segmentation:
        """Segment the liver.

        Parameters
        ----------
        ct
            CT or MR, of any orientation and spacing; the options, its header or its values tell which.
        options
            What is wanted; its device and model are those that this segmenter was made with, and not looked at.
        progress
            Called with the share done, 0 to 1, and the stage in words.
        cancel
            Set it to stop within a batch.
        probabilities
            Also return the class probabilities.

        Raises
        ------
        InputError
            If the values can be neither HU nor MR and the options do not force it.
        Cancelled
            If ``cancel`` was set.
        ModelError
            If a network that is needed is missing or damaged.
        DeviceError
            If even the CPU has too little memory.
        """
        options = options or SegmentOptions()
        modality = modality_of(ct, options)
        predictor = self.predictor_for(modality)
        if predictor is None:
            raise InputError(messages.NETWORK_FOR_MR.format(name=self.model.card.name, volume=ct.name))
        kind = _MRRun if modality == MR else _Run
        return kind(self, predictor, ProgressReporter(progress, cancel), options, probabilities).segment(ct)

    def refine(
        self,
        ct: CTVolume,
        result: Segmentation,
        strokes: Sequence[Stroke],
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Segmentation:
        """Correct a result by what a reader marked, one stroke after the other.

        Couinaud segments and vessels, where the result has them, are found anew; places and warnings stay.

        Parameters
        ----------
        ct
            The volume that the result was found in.
        result
            It stays as it is.
        strokes
            In order.
        progress, cancel
            As of :meth:`segment`.

        Raises
        ------
        InputError
            If a stroke lies outside of the volume, or that is MR.
        Cancelled
            If ``cancel`` was set.
        ModelError
            If a network that is needed is missing or damaged.
        DeviceError
            If even the CPU has too little memory.
        """
        reporter = ProgressReporter(progress, cancel)
        if not strokes:
            return result
        if result.model.modality == MR:
            raise InputError(messages.NO_CORRECTION_OF_MR)
        refiner = Refiner(self.refine_model, ct, result.labels, str(self.device))
        labels = result.labels
        for number in range(1, len(strokes) + 1):
            reporter.report(0.9 * (number - 1) / len(strokes), messages.CORRECTING)
            labels = refiner.refine(labels, strokes[:number], cancel)
        found, warnings = result.anatomy, [*refiner.warnings, *result.warnings]
        couinaud = self.couinaud if found.segments is not None else None
        vessels = self.vessels if found.vessels is not None else None
        anatomy = corrected_anatomy(ct, labels, found, couinaud, vessels, reporter, warnings)
        reporter.report(1.0, messages.DONE)
        return replace(
            result,
            labels=labels,
            anatomy=anatomy,
            quality=None,
            warnings=tuple(dict.fromkeys(warnings)),
            corrections=result.corrections + len(strokes),
        )

    def take_load_seconds(self) -> float:
        """Seconds that loading the model took, told once: later segmentations find it resident."""
        seconds, self._load_seconds = self._load_seconds, 0.0
        return seconds


@dataclass
class _Run:
    """One segmentation: what is wanted, its progress, its warnings."""

    segmenter: Segmenter
    predictor: Predictor
    progress: ProgressReporter
    options: SegmentOptions
    probabilities: bool
    warnings: list[str] = field(default_factory=list)

    def segment(self, ct: CTVolume) -> Segmentation:
        force = self.options.force
        self.progress.seconds["load"] = self.segmenter.take_load_seconds()
        # Before the liver is looked for: that a network is missing should not cost minutes.
        couinaud = self.segmenter.couinaud if self.options.segments else None
        vessels = self.segmenter.vessels if self.options.vessels else None
        self.progress.report(0.0, messages.PREPARING)
        ct = self._checked(ct)
        writer = self._labelled_or_mirrored(ct)
        self.warnings[:0] = self.predictor.warnings
        self.progress.report(0.92, messages.CLEANING_UP)
        left_out = writer.clean_up()
        quality = self._quality(writer)
        if quality is not None and quality < PICTURE_DICE and writer.volume_ml >= PICTURE_ML and not force:
            check_no_picture(ct)
        if quality is not None and self._is_unsure(quality):
            self.warnings.append(messages.CHECK_THIS_RESULT.format(quality=quality))
        self.warnings += check_result(writer.canonical, writer.labels, self.card.modality)
        if left_out.ml > LEFT_OUT_SHARE * writer.volume_ml:
            self.warnings.append(messages.LOOKED_LIKE_LIVER.format(ml=left_out.ml, number=left_out.slice + 1))
        places = places_to_check(writer, ct.affine)
        self.progress.lap("postprocess")
        anatomy = find_anatomy(writer, couinaud, vessels, self.progress, self.warnings)
        if self.options.spleen and self.spleen is None:
            self.warnings.append(messages.NETWORK_WITHOUT_SPLEEN.format(name=self.card.name))
        self.progress.report(1.0, messages.DONE)
        return Segmentation(
            writer.own_labels,
            ct.affine,
            tuple(self.warnings),
            self.progress.seconds,
            str(self.predictor.device),
            self.card,
            writer.own_classes,
            writer.confidence.self_agreement,
            quality,
            anatomy,
            places,
        )

    def _checked(self, ct: CTVolume) -> CTVolume:
        """The volume as the network sees it, if it can be what it is taken for."""
        ct, filling = without_filling(ct, self.card.window_hu[0])
        self.warnings += [*ct.warnings, *filling, *check_input(ct, self.options.force)]
        return ct

    def _quality(self, writer: LabelWriter) -> float | None:
        """Dice to be expected; None if the model is not calibrated or nothing was found."""
        calibration = self.card.calibration
        if calibration is None or not writer.labels[writer.slices].any():
            return None
        return expected_dice(writer.confidence.self_agreement, calibration["intercept"], calibration["slope"])

    def _is_unsure(self, quality: float | None) -> bool:
        """Whether so low a Dice, or no liver at all, is worth another look; never if the model is not calibrated."""
        calibration = self.card.calibration
        return calibration is not None and (quality or 0.0) < calibration["check_below"]

    @property
    def card(self) -> ModelCard:
        return self.predictor.card

    @property
    def channels(self) -> int:
        """How many log-odds a voxel has: of liver, of tumour where it matters, and of the spleen if it is wanted."""
        if self.spleen is not None:
            return 3
        return 2 if self.options.tumour or self.probabilities else 1

    @property
    def spleen(self) -> int | None:
        """Which class of the network is the spleen; None if it is not wanted, or the network does not know it."""
        known = self.options.spleen and SPLEEN in self.card.classes
        return self.card.classes.index(SPLEEN) if known else None

    def _labelled_or_mirrored(self, ct: CTVolume) -> LabelWriter:
        """The network's labels; where there is a doubt, those of the mirror image if it is surer there, or none."""
        writer = self._labelled(ct)
        quality = self._quality(writer)
        if not self._is_unsure(quality) and not self._is_alone(ct, writer):
            return writer
        look = self._labelled(ct.every_few_slices(MIRRORED_LOOK_MM).mirrored())
        mirrored, symmetric = self._is_mirrored(look, quality or 0.0), self._is_symmetric(writer, look)
        sides = self._sides(ct) if mirrored or symmetric else Sides.UNTOLD
        if mirrored and (sides is Sides.EXCHANGED or (sides is Sides.UNTOLD and not symmetric)):
            self.warnings.append(messages.MIRRORED.format(name=ct.name))
            return self._labelled(ct.mirrored())
        if self._is_doubtful_everywhere(writer) or (symmetric and sides is not Sides.KEPT):
            writer.clear()
        return writer

    def _is_mirrored(self, look: LabelWriter, quality: float) -> bool:
        """Whether a look at the mirror image shows a liver of some size, and of far more than this quality."""
        promised = self._quality(look) or 0.0
        return promised >= max(MIRRORED_DICE, quality + MIRRORED_GAIN) and look.volume_ml >= MIRRORED_ML

    def _is_alone(self, ct: CTVolume, writer: LabelWriter) -> bool:
        """Whether a liver of some size has no great vessel beside it, as far as the network knows them."""
        if writer.volume_ml < MIRRORED_ML or not knows_sides(self.card):
            return False
        return not self._on_device(lambda batch_size: are_beside(self.predictor, ct, writer.labels, batch_size))

    def _sides(self, ct: CTVolume) -> Sides:
        """What aorta and vena cava say of left and right, if the network knows them."""
        if not knows_sides(self.card):
            return Sides.UNTOLD
        return self._on_device(lambda batch_size: sides_of(self.predictor, ct, batch_size))

    def _is_symmetric(self, writer: LabelWriter, look: LabelWriter) -> bool:
        """Whether a look at the mirror image shows the same, in the same place or where it is reflected to."""
        if self._promise(look) < self._promise(writer) - SYMMETRIC_LOSS or writer.volume_ml < MIRRORED_ML:
            return False
        found = writer.labels[:: writer.canonical.slices_within(MIRRORED_LOOK_MM)] > 0
        return max(dice(found, look.own_labels > 0), dice(found, look.labels > 0)) >= SYMMETRIC_OVERLAP

    def _promise(self, writer: LabelWriter) -> float:
        """The Dice to be expected of what was found, 0 where that is not known."""
        return self._quality(writer) or 0.0

    def _is_doubtful_everywhere(self, writer: LabelWriter) -> bool:
        quality = self._quality(writer)
        return quality is not None and quality < LEAST_DICE and writer.confidence.sure_share < LEAST_SURE

    def _labelled(self, ct: CTVolume) -> LabelWriter:
        """The network's labels."""
        return self._on_device(lambda batch_size: self._labelled_in_batches(ct, batch_size))

    def _on_device(self, work: Callable[[int], Answer]) -> Answer:
        """What work in batches of a size gives; in smaller ones when memory runs out, on the CPU if the GPU fails."""
        batch_size = BATCH_SIZE[self.predictor.device.type]
        while True:
            try:
                return work(batch_size)
            except (RuntimeError, MemoryError) as error:
                batch_size = self._batch_size_after(error, batch_size)

    def _batch_size_after(self, error: Exception, batch_size: int) -> int:
        out_of_memory = is_out_of_memory(error)
        if out_of_memory and batch_size > 1:
            return batch_size // 2
        if self.predictor.device.type != "cpu":
            # Unplugged, reset, asleep, or without an operation that the network needs: the CPU can go on.
            self.predictor.move_to_cpu(error)
            return BATCH_SIZE["cpu"]
        if out_of_memory:
            raise DeviceError(messages.OUT_OF_MEMORY) from error
        raise error

    @torch.inference_mode()
    def _labelled_in_batches(self, ct: CTVolume, batch_size: int) -> LabelWriter:
        tumour_above = self.card.tumour_above if self.options.tumour else None
        writer = LabelWriter(ct, tumour_above, len(FIRST_CLASSES) if self.probabilities else 0, self.spleen is not None)
        if is_oblique(writer.canonical):
            self._from_two_views(writer, batch_size)
            return writer
        found = self._found(writer.canonical, batch_size, (0.05, 0.9))
        writer.confidence = ConfidenceMap(found.pixels(writer.canonical.geometry))
        for positions in found.batches(batch_size):
            smooth = self._smooth(found, positions)
            writer.confidence.add(positions, smooth[:, 0])
            # Only the box of the liver, unless somebody wants to know how sure the rest is background.
            part = found.on_input(smooth) if self.probabilities else found.liver_on_input(smooth)
            writer.write(positions, *part)
        self.progress.lap("postprocess")
        return writer

    def _from_two_views(self, writer: LabelWriter, batch_size: int) -> None:
        """Mean log-odds of an oblique volume's own slices and of slices resampled axial to the patient.

        The angle in the header tells how the image was cut, or merely how the patient lies: the network knows best
        the upright view in the first case, the own in the second, and their mean serves both. How sure the network is,
        the upright view tells.
        """
        canonical = writer.canonical
        upright = to_upright(canonical, self.card.spacing_mm)
        own = self._found(canonical, batch_size, (0.05, 0.45))
        other = self._found(upright, batch_size, (0.45, 0.9))
        smooth_of_other = [(positions, self._smooth(other, positions)) for positions in other.batches(batch_size)]
        writer.confidence = ConfidenceMap(other.pixels(upright.geometry))
        for positions, smooth in smooth_of_other:
            writer.confidence.add(positions, smooth[:, 0])
        upright_logits = UprightLogits(other, smooth_of_other, self.channels, upright, canonical)
        rows, columns = canonical.hu.shape[1:]
        for positions in batches(joined([*own.ranges, *upright_logits.slices]), batch_size):
            log_odds = torch.full((len(positions), self.channels, rows, columns), -LARGEST_LOG_ODDS)
            for both in own.overlap(positions):
                values, (inner_rows, inner_columns) = own.on_input(self._smooth(own, both))
                first = both.start - positions.start
                log_odds[first : first + len(both), :, inner_rows, inner_columns] = values.cpu()
            log_odds.lerp_(upright_logits.on(positions), 1 - OWN_VIEW_WEIGHT)
            writer.write(positions, log_odds, (slice(0, rows), slice(0, columns)))
        self.progress.lap("postprocess")

    def _found(self, stack: CTVolume, batch_size: int, span: tuple[float, float]) -> LiverLogits:
        """Where in an axial stack the liver may be; ``span`` is the part of the progress that this takes."""
        predictor, everywhere = self.predictor, self.segmenter.everywhere
        inference = StackInference(
            predictor, stack, self.channels, batch_size, self.progress, span, everywhere, self.spleen
        )
        return inference.find()

    def _smooth(self, found: LiverLogits, positions: range) -> Tensor:
        """Log-odds as they count, of some slices."""
        self.progress.report(0.0, messages.BACK_TO_SCAN)
        return found.smooth(positions)


@dataclass
class _MRRun(_Run):
    """The same on MR, of which there is the liver alone, and no Dice to expect: its network is not calibrated."""

    def __post_init__(self) -> None:
        wanted, self.options = self.options, self.options.on(MR)
        if wanted != self.options:
            self.warnings.append(messages.MR_LIVER_ALONE)

    def _checked(self, ct: CTVolume) -> CTVolume:
        self.warnings[:0] = [messages.SEGMENTED_AS_MR.format(name=ct.name), *ct.warnings]
        self.warnings += check_mr(ct, self.options.force)
        return on_network_scale(ct, self.card.window_hu)

    def _labelled_or_mirrored(self, ct: CTVolume) -> LabelWriter:
        """The network's labels; none where it is unsure of most of them, or as sure of them in the mirror image."""
        writer = self._labelled(ct)
        confidence = writer.confidence
        is_unsure = confidence.self_agreement < LEAST_MR_AGREEMENT or confidence.sure_share < LEAST_MR_SURE
        if is_unsure or self._is_symmetric(writer, self._labelled(ct.every_few_slices(MIRRORED_LOOK_MM).mirrored())):
            writer.clear()
        return writer

    def _promise(self, writer: LabelWriter) -> float:
        return writer.confidence.self_agreement
