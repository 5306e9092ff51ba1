"""Dice of a network in training on the scans that are held back."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from LiverSegLib.inference.preprocess import neighbour_stacks, pad_to_multiple, window

from .data.classes import Classes
from .data.stored import PreparedScan
from .optimizer import fast_dtype
from .settings import WINDOW_HU

# Every third slice is enough to see how a run goes.
EVERY = 3


@torch.no_grad()
def validate(
    network: torch.nn.Module, scans: list[PreparedScan], classes: Classes, offsets_mm: Sequence[float]
) -> dict[str, float]:
    """Volume Dice: of the liver by scan and its mean, of all other regions over the scans that label them."""
    if not scans:
        return {}
    network.eval()
    # Scan, region, twice the voxels in both and the voxels of each, added.
    counts = torch.stack([_count_voxels(network, scan, classes, offsets_mm) for scan in scans]).cpu()
    labelled = torch.tensor([scan.labelled for scan in scans])
    scores = {scan.name: _dice(count[0]) for scan, count in zip(scans, counts, strict=True)}
    scores["liver_dice"] = round(sum(scores.values()) / len(scans), 4)
    for number, region in enumerate(classes.regions[1:], start=1):
        scores[f"{region.classes[0]}_dice"] = _dice(counts[labelled[:, number], number].sum(0))
    return scores


def _dice(counts: Tensor) -> float:
    return round(float(counts[0] / counts[1].clamp(min=1)), 4)


def _count_voxels(
    network: torch.nn.Module, scan: PreparedScan, classes: Classes, offsets_mm: Sequence[float]
) -> Tensor:
    device = next(network.parameters()).device
    slices = scan.shape[0]
    hu, labels = scan.hu(0, slices).to(device), scan.labels(0, slices).to(device)
    members = classes.members.to(device)
    counts = torch.zeros(len(members), 2, dtype=torch.long, device=device)
    for chunk in torch.arange(0, slices, EVERY, device=device).split(8):
        images = neighbour_stacks(hu, chunk, scan.slice_spacing, offsets_mm)
        images = pad_to_multiple(window(images, WINDOW_HU), -1.0)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last)).float()
        truth = labels[chunk]
        probabilities = logits[..., : truth.shape[1], : truth.shape[2]].softmax(1)
        found = torch.einsum("nchw,rc->rnhw", probabilities, members) > 0.5
        wanted = members[:, truth.long()] > 0
        counts[:, 0] += 2 * (found & wanted).flatten(1).sum(1)
        counts[:, 1] += found.flatten(1).sum(1) + wanted.flatten(1).sum(1)
    return counts
