"""The vessels within a liver: a network looks at each slice of the liver's box with its neighbours."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from ..data.bounding_box import Box, box_of
from ..data.structures import LIVER
from ..data.volume import CTVolume
from ..model.vessel_model import VesselModel
from .predictor import DeviceNetwork
from .preprocess import Rectangle, model_size, neighbour_stacks, part_to_other_size, to_model_spacing, window
from .progress import ProgressReporter

# What the network sees of the scan beyond the liver.
AROUND_MM = 10.0
# Less is noise, or a stump of a vessel that cannot be followed.
SMALLEST_VESSEL_ML = 0.2
# Vessels have to be brighter than the liver by the first; by the third if they are darker than the second, as blood
# without contrast medium is with its 40 to 60 HU. In 20 livers of the portal venous phase, one of them fatty, they are
# brighter by 12 to 56 HU and have 105 HU or more, in the fatty one 76, 50 more than it.
FAINT_HU, ENHANCED_HU, CLEAR_HU = 15.0, 90.0, 40.0
# Slices at a time, between two looks at whether somebody cancelled.
BATCH_SIZE = 12
_TOUCHING = ndimage.generate_binary_structure(3, 3)


@torch.inference_mode()
def find_vessels(
    model: VesselModel, ct: CTVolume, labels: np.ndarray, progress: ProgressReporter
) -> tuple[Box, np.ndarray]:
    """Portal and hepatic veins within a liver, not told apart.

    The network is small and runs on the CPU, so these are the same whatever device found the liver.

    Parameters
    ----------
    model
        The network and its card.
    ct
        The scan, as an axial stack.
    labels
        bool or uint8 (k, j, i) on its grid; what is not 0 is liver, and there is some.
    progress
        Is asked whether somebody cancelled.

    Returns
    -------
    The liver's box, and bool (k, j, i) in it. Pieces, whose voxels touch by face, edge or corner, that are smaller than
    :data:`SMALLEST_VESSEL_ML` are left out.

    Raises
    ------
    Cancelled
        If somebody cancelled.
    """
    box = box_of(labels)
    liver = labels[box] > 0
    vessels = _likely_vessels(model, ct, box, float(np.median(ct.hu[box][liver])), progress) & liver
    return box, without_specks(vessels, SMALLEST_VESSEL_ML / ct.voxel_volume_ml)


def network_input(hu: Tensor, liver_hu: float, window_hu: tuple[float, float]) -> Tensor:
    """HU of any shape in the network's window round the liver's own median, so that no phase is brighter than another.

    Parameters
    ----------
    hu
        float32.
    liver_hu
        Median HU of the liver.
    window_hu
        What becomes -1 and 1, counted from that; what lies beyond is clipped.
    """
    return window(hu - liver_hu, window_hu)


def are_faint(hu: np.ndarray, labels: np.ndarray, vessels: np.ndarray) -> bool:
    """Whether vessels stand out so little that many may be missing, as without contrast medium.

    What was found is what stands out most, so that its own brightness counts beside the difference from the liver.

    Parameters
    ----------
    hu, labels, vessels
        (k, j, i) of one shape: the CT, 1 liver and 2 tumour, and a mask of some voxels.
    """
    rest = (labels == LIVER.label) & ~vessels
    middle = float(np.median(hu[vessels]))
    difference = middle - float(np.median(hu[rest])) if rest.any() else 0.0
    return difference < FAINT_HU or (middle < ENHANCED_HU and difference < CLEAR_HU)


def without_specks(vessels: np.ndarray, fewest_voxels: float) -> np.ndarray:
    """A bool (k, j, i) array without its pieces of fewer voxels."""
    pieces, _ = ndimage.label(vessels, _TOUCHING)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    return (sizes >= max(1.0, fewest_voxels))[pieces]


def _limit(model: VesselModel) -> float:
    """The logit from which on a voxel is vessel."""
    above = model.card.vessel_above
    return float(np.log(above / (1 - above)))


def _likely_vessels(
    model: VesselModel, ct: CTVolume, box: Box, liver_hu: float, progress: ProgressReporter
) -> np.ndarray:
    """Whether each voxel in the liver's box is more likely vessel than the card asks for; bool (k, j, i)."""
    card = model.card
    wide = _widened(box, ct, max(map(abs, card.offsets_mm)))
    shape, spacing = ct.hu[wide].shape, ct.spacing
    stack = to_model_spacing(torch.from_numpy(ct.hu[wide].astype(np.float32)), spacing[1:], card.spacing_mm)
    stack = network_input(stack, liver_hu, card.window_hu)
    size = model_size(shape[1:], spacing[1:], card.spacing_mm)
    inner = [slice(a.start - b.start, a.stop - b.start) for a, b in zip(box, wide, strict=True)]
    wanted: Rectangle = (inner[1], inner[2])
    whole: Rectangle = (slice(0, size[0]), slice(0, size[1]))
    limit = _limit(model)
    network = DeviceNetwork(model.network, "cpu", card.patch * 2 ** (len(card.widths) - 1))
    likely = []
    for positions in torch.arange(inner[0].start, inner[0].stop).split(BATCH_SIZE):
        progress.stop_if_cancelled()
        images = neighbour_stacks(stack, positions, spacing[0], card.offsets_mm)
        seen = network.logits(images).float()
        on_input = part_to_other_size(seen, whole, size, wanted, (shape[1], shape[2]))
        likely.append((on_input[:, 0] > limit).numpy())
    return np.concatenate(likely)


def _widened(box: Box, ct: CTVolume, slices_mm: float) -> Box:
    """With what the network sees around, as far as the scan goes."""
    margins = (slices_mm, AROUND_MM, AROUND_MM)
    k, j, i = (
        slice(max(0, side.start - int(np.ceil(mm / step))), min(size, side.stop + int(np.ceil(mm / step))))
        for side, mm, step, size in zip(box, margins, ct.spacing, ct.hu.shape, strict=True)
    )
    return k, j, i
