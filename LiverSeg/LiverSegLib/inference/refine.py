"""Refiner: corrects a liver where a reader marked what is liver and what is not."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np
import torch
from scipy import ndimage
from scipy.spatial import KDTree
from torch import Tensor
from torch.nn import functional

from .. import messages
from ..data.strokes import Stroke
from ..data.volume import CTVolume
from ..errors import Cancelled, DeviceError, InputError, is_out_of_memory
from ..model.refine_model import RefineModel
from .predictor import DeviceNetwork
from .stroke_block import StrokeBlock
from .stroke_maps import REACH_MM, Marks, distance_mm, network_input
from .stroke_pieces import IsFar, connected_change, without_stray_pieces

# Slices at a time, and what a cancel waits for.
BATCH_SIZE = 12
# The network's word counts in full up to the first distance from the stroke, and not at all from the second on: a pixel
# and a slice less than REACH_MM, as what is found is interpolated.
FULL_MM, NOTHING_MM = 40.0, REACH_MM - 4.0
# Log-odds of what the present result holds throughout, beside which the network's fade.
SURE = 6.0
# How far from the outline a stroke may change something: so many times as far as it lies from it itself, and a pixel.
DEPTHS, PIXEL_MM = 2.0, 1.5
# Pieces that a correction cuts off are dropped up to this volume.
STRAY_ML = 3.0


class Refiner:
    """Corrects one scan's labels stroke by stroke, each in less than a second.

    Parameters
    ----------
    model
        The network and its card.
    ct
        The scan; any orientation and spacing.
    labels
        Those before the first stroke, uint8 (k, j, i) on its own grid: 0 background, 1 liver, 2 tumour. What was tumour
        there and comes back is tumour again.
    device
        "auto", "cpu", "cuda", "cuda:N" or "mps".

    Raises
    ------
    DeviceError
        If the device does not exist, or the CPU has too little memory.
    """

    def __init__(self, model: RefineModel, ct: CTVolume, labels: np.ndarray, device: str = "auto") -> None:
        self._card = model.card
        self._network = DeviceNetwork(model.network, device)
        self._own = ct.geometry
        self._stack = ct.canonical_view()
        self._first = labels

    @property
    def warnings(self) -> list[str]:
        """What the user should know of the device."""
        return self._network.warnings

    def refine(
        self, labels: np.ndarray, strokes: Sequence[Stroke], cancel: threading.Event | None = None
    ) -> np.ndarray:
        """New labels after the last stroke; the same for the same input, whatever was asked before.

        Nothing farther than :data:`LiverSegLib.inference.stroke_maps.REACH_MM` from that stroke changes.

        Parameters
        ----------
        labels
            Those before it, uint8 (k, j, i) on the scan's own grid; they stay as they are.
        strokes
            All so far, in order: the voxels of earlier ones stay as they were marked.
        cancel
            Set it to stop.

        Raises
        ------
        InputError
            If there is no stroke, or the last one lies outside of the scan.
        Cancelled
            If ``cancel`` was set.
        DeviceError
            If even the CPU has too little memory.
        """
        if not strokes:
            raise InputError(messages.NO_STROKE)
        if not strokes[-1].mask(self._own)[1].any():
            raise InputError(messages.STROKE_OUTSIDE.format(number=len(strokes), name=self._stack.name))
        while True:
            try:
                return self._refined(labels, strokes, cancel or threading.Event())
            except (RuntimeError, MemoryError) as error:
                if self._network.device.type == "cpu":
                    if is_out_of_memory(error):
                        raise DeviceError(messages.OUT_OF_MEMORY) from error
                    raise
                self._network.move_to_cpu(error)

    @torch.inference_mode()
    def _refined(self, labels: np.ndarray, strokes: Sequence[Stroke], cancel: threading.Event) -> np.ndarray:
        block = StrokeBlock.round_stroke(strokes[-1], self._stack.geometry, self._card)
        before = self._own.to_canonical(labels)[block.box] > 0
        share = block.share(self._own.to_canonical(labels) > 0)
        marks = block.marks(strokes)
        present = _odds_of(share)
        found = self._log_odds(block, share, marks, cancel)
        found = torch.where(_within_depth(share, block, marks), found, present)
        found = self._faded(present, found, block, marks)
        _stop_if(cancel)
        liver = _with_new_sign(before, block.on_stack(present), block.on_stack(found))
        _stop_if(cancel)
        covered = self._covered(strokes[-1:], block)[0]
        liver = connected_change(before, liver, covered, strokes[-1].is_liver)
        marked = self._mark(liver, strokes, block)
        _stop_if(cancel)
        fewest = STRAY_ML / self._own.voxel_volume_ml
        liver = without_stray_pieces(liver, liver != before, marked, fewest, self._is_far(strokes[-1], block))
        return self._written(labels, liver, block)

    def _is_far(self, stroke: Stroke, block: StrokeBlock) -> IsFar:
        """Tells whether voxels of the block's box are out of the stroke's reach."""
        first = [side.start for side in block.box]
        grid = self._stack.geometry
        tree = KDTree(stroke.dense_points_mm(self._card.spacing_mm))

        def is_far(voxels: np.ndarray) -> np.ndarray:
            points = (voxels + first)[:, ::-1] @ grid.affine[:3, :3].T + grid.affine[:3, 3]
            far: np.ndarray = tree.query(points)[0] >= REACH_MM
            return far

        return is_far

    def _log_odds(self, block: StrokeBlock, share: Tensor, marks: Marks, cancel: threading.Event) -> Tensor:
        """The network's log-odds of liver on the block, float32 (k, rows, columns) on the CPU."""
        ct = block.ct(self._stack.hu)
        parts = []
        for positions in torch.arange(len(ct)).split(BATCH_SIZE):
            _stop_if(cancel)
            spacing = (block.slice_mm, self._card.spacing_mm)
            images = network_input(ct, share, marks, positions, *spacing, self._card.offsets_mm)
            parts.append(self._network.logits(images.to(self._network.device))[:, 0].float().cpu())
        return torch.cat(parts)

    @staticmethod
    def _faded(present: Tensor, found: Tensor, block: StrokeBlock, marks: Marks) -> Tensor:
        """What was found near the last stroke, what is there now far from it, and a smooth change between."""
        distance = distance_mm(marks.last, torch.arange(len(found)), found.shape, block.spacing)
        weight = ((NOTHING_MM - distance) / (NOTHING_MM - FULL_MM)).clamp_(0, 1)
        return torch.lerp(present, found.clamp(-SURE, SURE), weight)

    def _covered(self, strokes: Sequence[Stroke], block: StrokeBlock) -> list[np.ndarray]:
        """What each stroke covers in the block's box, bool."""
        k, j, i = block.box
        shape = (k.stop - k.start, j.stop - j.start, i.stop - i.start)
        part = self._stack.geometry.part((k.start, j.start, i.start), shape)
        masks = []
        for stroke in strokes:
            masks.append(np.zeros(shape, bool))
            box, covered = stroke.mask(part)
            masks[-1][box] = covered
        return masks

    def _mark(self, liver: np.ndarray, strokes: Sequence[Stroke], block: StrokeBlock) -> np.ndarray:
        """Set what strokes mark in the block's box, later ones last; returns where that is, bool."""
        marked = np.zeros_like(liver)
        for stroke, covered in zip(strokes, self._covered(strokes, block), strict=True):
            liver[covered] = stroke.is_liver
            marked |= covered
        return marked

    def _written(self, labels: np.ndarray, liver: np.ndarray, block: StrokeBlock) -> np.ndarray:
        """A copy of the labels with the liver in the block's box."""
        written = labels.copy()
        inside = self._own.to_canonical(written)[block.box]
        first = self._own.to_canonical(self._first)[block.box]
        inside[~liver] = 0
        added = liver & (inside == 0)
        inside[added] = np.maximum(first[added], 1)
        return written


def _within_depth(share: Tensor, block: StrokeBlock, marks: Marks) -> Tensor:
    """What lies about as near to the outline as the stroke, or nearer; bool (k, rows, columns).

    Who marks the middle of what is wrong tells how thick that is: a thin rim is no reason to fill the organ beside it.
    """
    wrong = (share > 0.5).numpy() != marks.is_liver
    depth = torch.from_numpy(ndimage.distance_transform_edt(wrong, block.spacing)).float()
    last = torch.tensor(depth.shape) - 1
    k, j, i = (marks.last / torch.tensor(block.spacing)).round().long().clamp(min=0).minimum(last).unbind(1)
    return depth <= DEPTHS * depth[k, j, i].max() + PIXEL_MM


def _odds_of(share: Tensor) -> Tensor:
    """Log-odds that fall from inside to outside of a result over a few pixels."""
    blurred = functional.avg_pool2d(share[:, None], 3, stride=1, padding=1, count_include_pad=False)
    blurred = functional.avg_pool2d(blurred, 3, stride=1, padding=1, count_include_pad=False)[:, 0]
    # Half of it from the pixel itself, so that what is thin has the sign of what it is.
    return SURE * (blurred + share - 1)


def _with_new_sign(before: np.ndarray, present: Tensor, found: Tensor) -> np.ndarray:
    """What is liver, with the opposite where the sign of the log-odds is another than it was; bool (k, j, i).

    So the outline stays that of the scan's own voxels wherever the network agrees.
    """
    is_found = found > 0
    other = ((present > 0) != is_found).numpy()
    return np.where(other, is_found.numpy(), before)


def _stop_if(cancel: threading.Event) -> None:
    if cancel.is_set():
        raise Cancelled
