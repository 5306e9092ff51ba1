"""Dice of a network in training on the scans that its split holds back, shared out among the processes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning_fabric import Fabric
from torch import Tensor

from LiverSegLib.grid import neighbour_stacks, pad_to_multiple, window

from .data.sample import PreparedScan
from .spec import OFFSETS_MM, WINDOW_HU


@torch.no_grad()
def share_statistics(fabric: Fabric, network: torch.nn.Module) -> None:
    """Make batch normalisation's statistics the mean of all processes', where each has counted its own samples."""
    for buffer in network.buffers():
        if buffer.is_floating_point():
            buffer.copy_(fabric.all_reduce(buffer))


@torch.no_grad()
def validate(
    fabric: Fabric,
    network: torch.nn.Module,
    scans: list[PreparedScan],
    offsets_mm: Sequence[float] = OFFSETS_MM,
    every: int = 3,
) -> dict[str, float]:
    """Volume Dice of liver, per scan and mean, and of tumour, over every third slice of each validation scan.

    The processes share the scans out, and all know all scores in the end.
    """
    network.eval()
    share_statistics(fabric, network)
    counts = torch.zeros(len(scans), 4, dtype=torch.long, device=fabric.device)
    for number in range(fabric.global_rank, len(scans), fabric.world_size):
        counts[number] = _count_voxels(network, scans[number], offsets_mm, every, fabric.device)
    counts = fabric.all_reduce(counts, reduce_op="sum").tolist()
    scores = {
        scan.name: round(2 * overlap / total, 4) for scan, (overlap, total, _, _) in zip(scans, counts, strict=True)
    }
    scores["liver_dice"] = round(sum(scores.values()) / len(scans), 4)
    overlap, total = (sum(row[column] for row in counts) for column in (2, 3))
    scores["tumour_dice"] = round(2 * overlap / max(total, 1), 4)
    return scores


def _count_voxels(
    network: torch.nn.Module, scan: PreparedScan, offsets_mm: Sequence[float], every: int, device: torch.device
) -> Tensor:
    """Voxels of liver in both and in either, those in both counted twice; likewise of tumour."""
    counts = torch.zeros(4, dtype=torch.long, device=device)
    hu, labels = scan.hu[:].to(device).float(), scan.labels[:].to(device)
    for chunk in torch.arange(0, len(hu), every, device=device).split(8):
        images = neighbour_stacks(hu, chunk, scan.slice_spacing, offsets_mm)
        images = pad_to_multiple(window(images, WINDOW_HU), -1.0)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            logits = network(images.contiguous(memory_format=torch.channels_last)).float()
        truth = labels[chunk]
        found = logits[..., : truth.shape[1], : truth.shape[2]].argmax(1)
        pairs = ((found > 0, truth > 0), (found == 2, truth == 2))
        counts += torch.stack([count for a, b in pairs for count in ((a & b).sum(), a.sum() + b.sum())])
    return counts
